//go:build !gauntlet

package failpoint

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestAPointCostsNothing(t *testing.T) {
	// Not in parallel: it counts all of the program's allocations.
	if Enabled {
		t.Fatal("enabled without the tag")
	}
	// Empty functions are put in their callers' place unless the compiler is
	// told otherwise; then at least nothing is allocated.
	if allocated := testing.AllocsPerRun(1000, func() {
		Here(Points[0])
		if Seeded(Bugs[0]) {
			t.Error("a bug without the tag")
		}
	}); allocated != 0 {
		t.Errorf("%v allocations", allocated)
	}
}

// BenchmarkHere is to be held against BenchmarkNothing: the two are the same
// loop.
func BenchmarkHere(b *testing.B) {
	for b.Loop() {
		Here("create.before")
	}
}

func BenchmarkNothing(b *testing.B) {
	for b.Loop() {
	}
}

func TestASVS_15_2_3_TheProductHasNoTraceOfThem(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "portico")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/portico-id/portico/cmd/portico")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(append([]string{EnvPoints, EnvBug}, Points...), Bugs...) {
		if bytes.Contains(program, []byte(name)) {
			t.Errorf("%s is in the binary", name)
		}
	}
}
