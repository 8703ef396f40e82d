package program

import (
	"debug/buildinfo"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// What Portico is made of, and how holes in that are found and repaired.

func TestASVS_15_1_2_TheBinaryNamesWhatItIsMadeOf(t *testing.T) {
	t.Parallel()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	checksums := read(t, root+"go.sum")
	var names []string
	for _, module := range info.Deps {
		names = append(names, module.Path)
		if line := fmt.Sprintf("%s %s %s\n", module.Path, module.Version, module.Sum); module.Replace != nil || !strings.Contains(checksums, line) {
			t.Errorf("%+v is not of go.sum", module)
		}
	}
	for _, want := range []string{
		"github.com/labstack/echo/v4", "github.com/coreos/go-oidc/v3", "golang.org/x/oauth2", "gorm.io/gorm", "github.com/jackc/pgx/v5",
		"github.com/go-playground/validator/v10", "github.com/riverqueue/river",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not in it: %q", want, names)
		}
	}
	says(t, section(t, security, "## What Portico is made of"), "go version -m portico", "CycloneDX")
}

func TestASVS_15_1_1_HowSoonAHoleIsRepairedIsInSECURITY(t *testing.T) {
	t.Parallel()
	says(t, section(t, security, "## What Portico is made of"),
		"within 3 days if it is critical, 7 if it is high, and 30 otherwise, counted from when it was published", "once a quarter")
}

func TestCIAsksForKnownHoles(t *testing.T) {
	t.Parallel()
	if ci := read(t, root+".ci/run"); !strings.Contains(ci, "\n\tstage vuln make vuln\n") {
		t.Error("CI does not ask for them")
	}
	if recipes := read(t, root+"Makefile"); !strings.Contains(recipes, "\n\t$(tool) govulncheck $(PKG)\n") {
		t.Error("`make vuln` does not look at all packages")
	}
	says(t, section(t, security, "## What Portico is made of"), "Every run of CI asks", "and fails if it does")
}

func TestASVS_16_4_2_HowTheLogIsKeptIsInTheGuide(t *testing.T) {
	t.Parallel()
	says(t, section(t, root+"docs/operate.md", "## Keeping the log"),
		"neither read nor change", "neither the users whom it is about", "90 days", "MaxRetentionSec=90day")
}
