package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/portico-id/portico/internal/store/storetest/pgcluster"
)

func TestCommandGetsAServerAndItsExitCodeIsPassedOn(t *testing.T) {
	shared, err := pgcluster.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	t.Setenv(pgcluster.EnvURL, shared.URL())
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args []string
		code int
		out  string
		says string
	}{
		"success":                    {args: []string{"--", "sh", "-c", `echo "[$1]"`, "sh", "two words"}, code: 0, out: "[two words]\n"},
		"the dashes may be left out": {args: []string{"true"}, code: 0},
		"failure":                    {args: []string{"--", "sh", "-c", "exit 7"}, code: 7},
		"death by a signal":          {args: []string{"--", "sh", "-c", "kill -KILL $$"}, code: 137},
		"the address":                {args: []string{"--", "printenv", pgcluster.EnvURL}, out: shared.URL() + "\n"},
		"standard input is passed":   {args: []string{"--", "cat"}, out: "typed", code: 0},
		"a command that is missing":  {args: []string{"--", "/no/such/command"}, code: 127, says: "/no/such/command"},
		"a command that cannot run":  {args: []string{"--", plain}, code: 126, says: "permission denied"},
		"no command":                 {args: []string{"--"}, code: 125, says: "usage: withpostgres"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			code := run(tt.args, strings.NewReader("typed"), &stdout, &stderr, nil)
			if code != tt.code {
				t.Errorf("exit code %d, want %d (%s)", code, tt.code, stderr.String())
			}
			if stdout.String() != tt.out {
				t.Errorf("standard output %q, want %q", stdout.String(), tt.out)
			}
			if !strings.Contains(stderr.String(), tt.says) {
				t.Errorf("standard error %q does not say %q", stderr.String(), tt.says)
			}
		})
	}
}

// story runs a command that prints the server's address and waits for a
// signal, and returns that address.
func story(t *testing.T, onSignal string, signals <-chan os.Signal) (url string, code <-chan int) {
	t.Helper()
	out, in := io.Pipe()
	stdin, hold, err := os.Pipe() // a file: the command reads it itself
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); hold.Close() })
	done := make(chan int, 1)
	go func() {
		script := `trap '` + onSignal + `' INT TERM; echo "$` + pgcluster.EnvURL + `"; while :; do read -r _; done`
		code := run([]string{"--", "sh", "-c", script}, stdin, in, os.Stderr, signals)
		done <- code
		in.Close()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line), done
}

func TestSignalsReachTheCommandAndTheServerGoesLast(t *testing.T) {
	t.Setenv(pgcluster.EnvURL, "") // a server of our own, whatever the environment gives
	for name, sig := range map[string]os.Signal{"SIGINT": os.Interrupt, "SIGTERM": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			signals := make(chan os.Signal, 1)
			url, code := story(t, "exit 42", signals)
			conn, err := pgx.Connect(t.Context(), url)
			if err != nil {
				t.Fatal("the command's server does not answer:", err)
			}
			defer conn.Close(context.Background())

			signals <- sig
			if got := <-code; got != 42 {
				t.Errorf("exit code %d, want the command's 42", got)
			}
			if _, err := pgx.Connect(t.Context(), url); err == nil {
				t.Error("the server outlived the command")
			}
		})
	}
}
