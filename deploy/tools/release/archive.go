package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// beside are the files and folders of the source that go with the binary: what
// an operator needs of this version, the grants above all.
var beside = []string{
	"CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md",
	"deploy/kubernetes", "deploy/postgres", "deploy/proxy", "deploy/systemd", "docs",
}

// archive writes the binary and what goes with it.
func (r release) archive(binary, name string) (err error) {
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	// The zero header: no name, no time, no system.
	packed, err := gzip.NewWriterLevel(out, gzip.BestCompression)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(packed)
	folder := strings.TrimSuffix(filepath.Base(name), ".tar.gz")
	for _, name := range beside {
		// In the order of their names, whatever the disk's is.
		err := fs.WalkDir(os.DirFS(r.source), name, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			return r.add(archive, folder+"/"+path, filepath.Join(r.source, path), 0o644)
		})
		if err != nil {
			return err
		}
	}
	if err := r.add(archive, folder+"/portico", binary, 0o755); err != nil {
		return err
	}
	return errors.Join(archive.Close(), packed.Close())
}

// add copies a file into the archive. The file's own mode, owner and time are
// those of the machine that built it, and not taken.
func (r release) add(archive *tar.Writer, name, path string, mode int64) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := archive.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: info.Size(), Mode: mode, ModTime: r.at, Format: tar.FormatUSTAR,
	}); err != nil {
		return err
	}
	_, err = io.Copy(archive, file)
	return err
}

// sums writes SHA256SUMS, as sha256sum -c reads it, over all that is there.
func (r release) sums() error {
	files, err := filepath.Glob(filepath.Join(r.out, "portico_*"))
	if err != nil {
		return err
	}
	var lines strings.Builder
	for _, file := range files {
		sum, err := sumOf(file)
		if err != nil {
			return err
		}
		fmt.Fprintf(&lines, "%x  %s\n", sum, filepath.Base(file))
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(lines.String()), 0o644)
}

func sumOf(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return nil, err
	}
	return hash.Sum(nil), nil
}
