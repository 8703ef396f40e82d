package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// made runs a release over this test's own binary and returns its files.
func made(t *testing.T) map[string][]byte {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	binaries, source, out := t.TempDir(), t.TempDir(), t.TempDir()
	for _, arch := range []string{"linux_amd64", "linux_arm64"} {
		if err := os.Mkdir(filepath.Join(binaries, arch), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(binaries, arch, "portico"), self, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range beside {
		if filepath.Ext(file) == "" && file != "LICENSE" {
			if err := os.MkdirAll(filepath.Join(source, file), 0o700); err != nil {
				t.Fatal(err)
			}
			file += "/b.txt"
		}
		if err := os.WriteFile(filepath.Join(source, file), []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := (release{version: "v1.2.3", at: time.Unix(1_700_000_000, 0), binaries: binaries, source: source, out: out}).run(); err != nil {
		t.Fatal(err)
	}
	check := exec.CommandContext(t.Context(), "sha256sum", "--strict", "-c", "SHA256SUMS")
	check.Dir = out
	if said, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
	all := make(map[string][]byte)
	files, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if all[file.Name()], err = os.ReadFile(filepath.Join(out, file.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestTheSameBinariesAreTheSameRelease(t *testing.T) {
	t.Parallel()
	first, second := made(t), made(t)
	if len(first) != 5 {
		t.Errorf("there are %d files", len(first))
	}
	for name, content := range first {
		if !bytes.Equal(content, second[name]) {
			t.Errorf("%s is another the second time", name)
		}
	}
}

func TestTheArchiveHoldsWhatItSaysAndNothingOfTheMachine(t *testing.T) {
	t.Parallel()
	unpacked, err := gzip.NewReader(bytes.NewReader(made(t)["portico_v1.2.3_linux_amd64.tar.gz"]))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for archive := tar.NewReader(unpacked); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, strings.TrimPrefix(header.Name, "portico_v1.2.3_linux_amd64/"))
		if header.Uid != 0 || header.Uname != "" || header.ModTime.Unix() != 1_700_000_000 {
			t.Errorf("%+v", header)
		}
	}
	if want := []string{
		"CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md", "deploy/kubernetes/b.txt", "deploy/postgres/b.txt", "deploy/proxy/b.txt",
		"deploy/systemd/b.txt", "docs/b.txt", "portico",
	}; !slices.Equal(names, want) {
		t.Errorf("it holds %q", names)
	}
}

func TestTheBillNamesWhatTheBinaryIsMadeOf(t *testing.T) {
	t.Parallel()
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(made(t)["portico_v1.2.3_linux_arm64.cdx.json"]), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, component := range *bom.Components {
		names = append(names, component.Name)
		if component.Version == "" || !strings.HasPrefix(component.PackageURL, "pkg:golang/") || component.Name != "std" && component.Hashes == nil {
			t.Errorf("%+v", component)
		}
	}
	for _, want := range []string{"std", "github.com/CycloneDX/cyclonedx-go"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not in it: %q", want, names)
		}
	}
	if bom.SpecVersion != cdx.SpecVersion1_6 || bom.Metadata.Component.Version != "v1.2.3" {
		t.Errorf("it is %v", bom.SpecVersion)
	}
}

func TestWhatIsNoReleaseIsRefused(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]release{
		"no version":  {at: time.Unix(1, 0), binaries: ".", out: t.TempDir()},
		"a branch":    {version: "main", at: time.Unix(1, 0), binaries: ".", out: t.TempDir()},
		"no time":     {version: "v1.2.3", at: time.Unix(0, 0), binaries: ".", out: t.TempDir()},
		"no binaries": {version: "v1.2.3", at: time.Unix(1, 0), binaries: t.TempDir(), out: t.TempDir()},
	} {
		if err := r.run(); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
