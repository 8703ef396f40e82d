package program

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/store/storetest"
)

const tenantGuide = root + "docs/tenant.md"

// guideBlock is a piece of shell in a guide, and what precedes it.
var guideBlock = regexp.MustCompile("(?s)(.*?)\n```sh\n(.*?)```\n")

// assigned are the variables that a piece of shell sets at its lines' begin.
var assigned = regexp.MustCompile(`(?m)^([A-Z_]+)=.*$`)

// TestTheGuideToATenantWorksWordForWord runs each piece of shell of the guide,
// in its order and in one shell. The only things that are put in are those that
// the guide tells its reader to put in.
func TestTheGuideToATenantWorksWordForWord(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: starts a process")
	}
	w := newKindWorld(t, storetest.EmptyPostgres(t))
	host := func(address string) string { return strings.TrimPrefix(address, "http://") }
	own := map[string]string{
		"PORTICO": w.public, "LISTEN": host(w.public), "OPS": host(w.opsURL), "APP": frontend, "DATABASE": w.settings["PORTICO_DATABASE_URL"],
		"API": w.simURL, "ISSUER": w.simURL + "/v2", "EMAIL": "you@example.com",
		"CLIENT_ID": "portico", "CLIENT_SECRET": w.settings["PORTICO_OIDC_CLIENT_SECRET"], "API_TOKEN": testToken,
	}
	shell := newGuideShell(t)
	put := 0
	for i, piece := range guideBlock.FindAllStringSubmatch(read(t, tenantGuide), -1) {
		before, commands := piece[1], piece[2]
		if strings.Contains(before, "<!-- the test opens the link as a browser does -->") {
			openTheLink(t, w, own["EMAIL"])
		}
		commands = assigned.ReplaceAllStringFunc(commands, func(line string) string {
			name, _, _ := strings.Cut(line, "=")
			value, ok := own[name]
			if !ok {
				return line
			}
			put++
			delete(own, name) // a second one would be a computed value
			return name + "='" + value + "'"
		})
		shell.run(fmt.Sprintf("piece %d of the guide", i+1), commands)
	}
	if len(own) > 0 || put != 11 {
		t.Errorf("the guide has no place for %v", own)
	}
	users := w.sim.Users()
	if len(users) != 1 || users[0].Email != "you@example.com" || users[0].Creates != 1 || users[0].Passkeys != 1 {
		t.Errorf("the provider has %+v", users)
	}
	if out := shell.run("the end", "kill %1\nwait %1\necho it ended with $?\n"); !strings.Contains(out, "it ended with 0") {
		t.Errorf("serve ended otherwise: %s", out)
	}
}

// openTheLink registers a passkey and follows where that leads, which is to the
// app, signed in.
func openTheLink(t *testing.T, w *world, email string) {
	t.Helper()
	b := w.browser()
	b.enrol(email)
	if end := b.follow(w.public + "/login"); end.String() != frontend+"/" {
		t.Fatalf("the login ends at %s", end)
	}
	b.signedIn()
}

// guideShell is a shell that stops at the first command which fails.
type guideShell struct {
	t     *testing.T
	in    io.Writer
	lines *bufio.Scanner
}

func newGuideShell(t *testing.T) *guideShell {
	t.Helper()
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is needed to follow the guide (Debian: apt-get install %[1]s)", tool)
		}
	}
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.Symlink(program, filepath.Join(folder, "portico")); err != nil {
		t.Fatal(err)
	}
	bash := exec.Command("bash", "-eu", "-o", "pipefail")
	bash.Dir = folder
	bash.Env = []string{
		"PATH=" + folder + ":" + os.Getenv("PATH"), "HOME=" + folder,
		"PORTICO_ALLOW_INSECURE_LOCALHOST=true", // the simulator is plain http, and so is Portico here
	}
	in, err := bash.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := bash.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	bash.Stderr = bash.Stdout
	if err := bash.Start(); err != nil {
		t.Fatal(err)
	}
	s := &guideShell{t: t, in: in, lines: bufio.NewScanner(out)}
	t.Cleanup(func() {
		if t.Failed() {
			if raw, err := os.ReadFile(filepath.Join(folder, "portico.log")); err == nil {
				t.Logf("the log:\n%s", raw)
			}
		}
		// What the shell has started goes with it: it is told once more, in case
		// that the guide was left half-way.
		_, _ = io.WriteString(in, "kill %1 2>/dev/null; wait\n")
		_ = in.Close()
		_ = bash.Wait()
	})
	return s
}

// run runs commands, and returns what they print. The test fails if one does.
func (s *guideShell) run(what, commands string) string {
	s.t.Helper()
	const done = "--- done"
	if _, err := io.WriteString(s.in, commands+"echo; echo '"+done+"'\n"); err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
	var printed []string
	for s.lines.Scan() {
		if s.lines.Text() == done {
			return strings.Join(printed, "\n")
		}
		printed = append(printed, s.lines.Text())
	}
	s.t.Fatalf("%s failed:\n%s\n%s", what, commands, strings.Join(slices.Clone(printed), "\n"))
	return ""
}
