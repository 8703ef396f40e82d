package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/built"
)

// roll runs the program with the flags and returns what it says.
func roll(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	var out await.Log
	o, err := commandLine(append([]string{"-binary", path}, args...), &out)
	if err != nil {
		t.Fatal(err)
	}
	err = run(t.Context(), o, &out)
	return out.String(), err
}

func TestMain(m *testing.M) { built.Main(m) }

// binary is portico as it would be run.
var binary = built.Once("github.com/portico-id/portico/cmd/portico")

// TestReplicasAreRestartedInTurnAndNoRequestFails runs by itself: the others
// want requests to fail, and this machine is theirs as well.
func TestReplicasAreRestartedInTurnAndNoRequestFails(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: starts and restarts processes")
	}
	// Time enough to notice, on a machine that is busy with other tests.
	said, err := roll(t, "-replicas", "2", "-restarts", "2", "-rate", "80", "-delay", "2s")
	if err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}

func TestWhatEndsWithoutNoticeIsNoticed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: starts and kills processes")
	}
	for name, args := range map[string][]string{
		"a replica that is killed":                   {"-signal", "kill"},
		"a replica that leaves before it is noticed": {"-delay", "0s", "-check", "1s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said, err := roll(t, append(args, "-replicas", "2", "-restarts", "2", "-rate", "80")...)
			if !errors.Is(err, errFailed) || !strings.Contains(said, "502") {
				t.Errorf("it ended with %v\n%s", err, said)
			}
		})
	}
}

func TestFlagsThatMakeNoRunAreRefused(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"-replicas 1", "-restarts 0", "-clients 3", "-rate 0", "-check 0", "-signal hup", "now"} {
		if _, err := commandLine(strings.Fields(args), t.Output()); err == nil {
			t.Errorf("%s is taken", args)
		}
	}
}
