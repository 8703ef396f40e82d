package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

func main() {
	var r release
	var at int64
	flag.StringVar(&r.version, "version", "", "such as v0.1.0")
	flag.Int64Var(&at, "time", 0, "Unix time of everything: the commit's")
	flag.StringVar(&r.binaries, "binaries", "", "folder with linux_ARCH/portico")
	flag.StringVar(&r.source, "source", ".", "folder of the source, for what goes with the binary")
	flag.StringVar(&r.out, "out", "", "folder to write into")
	flag.Parse()
	r.at = time.Unix(at, 0).UTC()
	if err := r.run(); err != nil {
		fmt.Fprintln(os.Stderr, "release: "+err.Error())
		os.Exit(1)
	}
}

// release is one version, as archives.
type release struct {
	version  string
	at       time.Time
	binaries string
	source   string
	out      string
}

// versions are those of semver.org, with the v that Go wants.
var versions = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)

func (r release) run() error {
	if !versions.MatchString(r.version) {
		return fmt.Errorf("%q is no version such as v0.1.0", r.version)
	}
	if r.at.Unix() == 0 {
		return errors.New("there is no time: give the commit's")
	}
	folders, err := filepath.Glob(filepath.Join(r.binaries, "linux_*"))
	if err != nil || len(folders) == 0 {
		return fmt.Errorf("there are no binaries in %s", r.binaries)
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	for _, folder := range folders { // in the order of their names
		name := filepath.Join(r.out, "portico_"+r.version+"_"+filepath.Base(folder))
		if err := r.archive(filepath.Join(folder, "portico"), name+".tar.gz"); err != nil {
			return err
		}
		if err := r.bill(filepath.Join(folder, "portico"), name+".cdx.json"); err != nil {
			return err
		}
	}
	return r.sums()
}
