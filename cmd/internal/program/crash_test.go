package program

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/built"
	"github.com/portico-id/portico/internal/store/storetest"
)

// binary is portico as it would be run.
var binary = built.Once("github.com/portico-id/portico/cmd/portico")

// process is a Portico of its own.
type process struct {
	w      *world
	cmd    *exec.Cmd
	log    *watcher
	stderr bytes.Buffer  // what it says beside its log; to be read once exited is closed
	exited chan struct{} // closed when it has ended
	err    error         // how, once exited is closed
}

// spawn runs the binary until it is killed or the test ends. What env says, as
// NAME=value, it finds in its environment too.
func (w *world) spawn(env ...string) *process {
	w.t.Helper()
	path, err := binary()
	if err != nil {
		w.t.Fatal(err)
	}
	p := &process{w: w, log: newWatcher(`"msg":"ready"`), exited: make(chan struct{})}
	p.cmd = exec.Command(path, "serve")
	p.cmd.Env = slices.Concat(w.environ(), []string{"PATH=" + os.Getenv("PATH")}, env)
	p.cmd.Stdout, p.cmd.Stderr = p.log, &p.stderr
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	w.t.Cleanup(func() {
		p.kill()
		if w.t.Failed() {
			w.t.Logf("the log:\n%s%s", p.log, &p.stderr)
		}
	})
	select {
	case <-p.log.seen:
	case <-p.exited:
		w.t.Fatalf("serve ended: %v\n%s%s", p.err, p.log, &p.stderr)
	case <-time.After(await.Patience):
		w.t.Fatalf("serve is not ready\n%s", p.log)
	}
	return p
}

// kill ends the process without a word to it, as the kernel would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.exited
}

func TestASVS_2_3_3_AnAcceptedSignUpSurvivesKill9(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: starts and kills processes")
	}
	for name, fault := range map[string]*simulator.Effect{
		"right after the 202":                                   nil,
		"while the create is under way and takes effect":        {DelayMS: 30_000, Commit: simulator.CommitBefore},
		"while the create is under way and takes effect later":  {DelayMS: 1_500, Commit: simulator.CommitAfter},
		"while the create is under way and never takes effect":  {Drop: true, DelayMS: 30_000, Commit: simulator.CommitNever},
		"after the create was refused and before it is retried": {Status: http.StatusServiceUnavailable, Commit: simulator.CommitNever},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, databaseURL string) {
				w := newWorld(t, databaseURL)
				if fault != nil {
					if _, err := w.sim.AddFault(simulator.Fault{
						Match:  simulator.Match{Method: http.MethodPost, Path: "/v1/manage/users"},
						Effect: *fault,
						Times:  1,
					}); err != nil {
						t.Fatal(err)
					}
				}
				b := w.browser()
				p := w.spawn()
				signup := b.signUp("ada@example.com")
				if fault != nil {
					w.awaitFault()
				}
				p.kill()
				w.spawn()
				b.arrivesOnce(signup, "ada@example.com")
			})
		})
	}
}

func TestASVS_2_3_3_EveryOneOfManySignUpsSurvivesKill9(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: starts and kills processes")
	}
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		accepted := make(map[string]receipt)
		for round := range 5 {
			p := w.spawn()
			b := w.browser() // whose connections are not those that the last kill left
			for i := range 4 {
				email := fmt.Sprintf("user-%d-%d@example.com", round, i)
				accepted[email] = b.signUp(email)
			}
			p.kill()
		}
		w.spawn()
		b := w.browser()
		for email, signup := range accepted {
			b.arrivesOnce(signup, email)
		}
		if got := len(w.sim.Users()); got != len(accepted) {
			t.Errorf("the provider has %d users for %d sign-ups", got, len(accepted))
		}
	})
}

func TestSIGTERMEndsTheProcessWithStatusZero(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: starts a process")
	}
	w := newWorld(t, storetest.SQLite(t))
	p := w.spawn()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.exited
	if p.err != nil {
		t.Errorf("it ended with %v\n%s", p.err, p.log)
	}
	if !bytes.Contains([]byte(p.log.String()), []byte(`"msg":"stopped"`)) {
		t.Errorf("it did not say that it stopped\n%s", p.log)
	}
}
