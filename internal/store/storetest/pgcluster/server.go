package pgcluster

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/portico-id/portico/internal/loopback"
)

const (
	superuser = "portico"
	// poll is how often a starting server is asked whether it is ready. It
	// takes some 100 ms and has no signal for it that a parent could wait on.
	poll = 10 * time.Millisecond
	// startTimeout is generous: crash recovery on a loaded machine.
	startTimeout = time.Minute
	// answerTimeout bounds one question to whoever has the port: it may be
	// somebody who accepts connections and says nothing.
	answerTimeout = 5 * time.Second
	// portAttempts bounds how often another process may take the port between
	// our finding it free and the server's binding it.
	portAttempts = 5
)

// errPortTaken says that the server could not bind its port.
var errPortTaken = errors.New("pgcluster: the port is taken")

// settings make a server fast whose data need not outlive the machine. What
// protects against the death of the server alone stays on: a commit returns
// when the kernel has it (synchronous_commit), so Crash loses none.
var settings = []string{ //nolint:gochecknoglobals // a table
	"fsync=off",
	"full_page_writes=off",
	"synchronous_commit=on",
	"wal_level=minimal",
	"max_wal_senders=0",
	"max_connections=200",
	"listen_addresses=127.0.0.1",
	"unix_socket_directories=",
	"jit=off",
	"timezone=UTC",
	"log_timezone=UTC",
	"logging_collector=off",
	"log_destination=stderr",
}

// server is the process of a private cluster.
type server struct {
	bin  installed
	home *home
	url  string
	port int

	cmd   *exec.Cmd // nil while the server is down
	leash *os.File  // a pipe to the server's guard
	alive *os.File  // a pipe from the server, which says nothing and ends with it
}

// newServer makes a cluster and starts it.
func newServer(ctx context.Context, bin installed) (*server, error) {
	h, err := newHome()
	if err != nil {
		return nil, err
	}
	s := &server{bin: bin, home: h}
	password := rand.Text()
	if err := s.initdb(ctx, password); err != nil {
		return nil, errors.Join(err, h.remove())
	}
	for range portAttempts {
		if s.port, err = loopback.FreePort(ctx); err != nil {
			break
		}
		s.url = (&url.URL{
			Scheme:   "postgres",
			User:     url.UserPassword(superuser, password),
			Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
			Path:     "postgres",
			RawQuery: "sslmode=disable",
		}).String()
		if err = s.start(ctx); !errors.Is(err, errPortTaken) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, h.remove())
	}
	return s, nil
}

// initdb makes the data directory. The password keeps this machine's other
// users out: a superuser's connection is a shell in the server's account.
func (s *server) initdb(ctx context.Context, password string) error {
	verifier, err := scramVerifier(password)
	if err != nil {
		return err
	}
	pwfile := filepath.Join(s.home.dir, "password")
	if err := os.WriteFile(pwfile, []byte(verifier), 0o600); err != nil {
		return err
	}
	if cred := s.home.cred; cred != nil {
		if err := os.Chown(pwfile, int(cred.Uid), int(cred.Gid)); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, s.bin.initdb(),
		"-D", s.home.data(), "-U", superuser, "--pwfile", pwfile, "--auth", "scram-sha-256",
		"--encoding", "UTF8", "--locale", "C", "--no-sync")
	s.prepare(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pgcluster: initdb of Postgres %d: %w: %s", s.bin.major, err, lastLine(out))
	}
	return os.Remove(pwfile)
}

// guarded starts a server that cannot outlive us. Its guard, a child of the
// server's that shares our leash, a pipe, reads until we write a line (Crash
// and Close) or are gone (end of file: the kernel closes the pipe of a process
// that is killed, too). Then it stops the server at once and, if we are gone,
// removes the folder. It needs neither a thread of ours, as
// PR_SET_PDEATHSIG does, nor a goroutine that a leak detector would find.
const guarded = `
(
	read -r _ <&3 && gone=false || gone=true
	kill -QUIT $$
	$gone || exit 0
	cd /
	n=0
	while kill -0 $$ && [ -e "$0/data/postmaster.pid" ] && [ $((n += 1)) -le 100 ]; do sleep 0.05; done
	rm -rf "$0"
) >/dev/null 2>&1 4>&- &
exec "$@" 3<&-
`

// start starts the server on its port and returns when it answers.
func (s *server) start(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()

	log, err := os.OpenFile(s.home.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	logged, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	held, leash, err := os.Pipe()
	if err != nil {
		return err
	}
	defer held.Close()
	alive, life, err := os.Pipe()
	if err != nil {
		return errors.Join(err, leash.Close())
	}
	defer life.Close() // the second time, unless the start fails

	args := []string{"-c", guarded, s.home.dir, s.bin.postgres(), "-D", s.home.data(), "-p", strconv.Itoa(s.port)}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	// Not CommandContext: ctx ends with the start, the server does not.
	cmd := exec.Command("/bin/sh", args...) //nolint:noctx // see above
	s.prepare(cmd)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{held, life} // descriptors 3 and 4
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("pgcluster: start Postgres: %w", err), leash.Close(), alive.Close())
	}
	s.cmd, s.leash, s.alive = cmd, leash, alive
	// Only the server's own copy may keep the pipe open from here on.
	if err := life.Close(); err != nil {
		return errors.Join(err, s.stop())
	}
	if err := s.ready(ctx, logged); err != nil {
		return errors.Join(err, s.stop())
	}
	return nil
}

// ready waits until the server answers, and makes sure that it is ours that
// does: nothing may be written to a server that had the port before.
func (s *server) ready(ctx context.Context, logged int64) error {
	for {
		dir, err := s.dataDirectory(ctx)
		switch {
		case err == nil && dir == s.home.data():
			return nil
		case err == nil:
			return fmt.Errorf("%w: %d belongs to the Postgres in %s", errPortTaken, s.port, dir)
		case ctx.Err() != nil:
			return fmt.Errorf("pgcluster: Postgres does not answer: %w", err)
		case s.exitsWithin(poll):
			return s.whyExited(logged)
		}
	}
}

func (s *server) dataDirectory(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return "", err
	}
	defer closeConn(ctx, conn)
	var dir string
	err = conn.QueryRow(ctx, `SHOW data_directory`).Scan(&dir)
	return dir, err
}

// exitsWithin waits for the server's end and reports whether it came in time.
func (s *server) exitsWithin(d time.Duration) bool {
	if err := s.alive.SetReadDeadline(time.Now().Add(d)); err != nil {
		return true
	}
	_, err := s.alive.Read(make([]byte, 1))
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// whyExited reads the server's log from where this start began.
func (s *server) whyExited(logged int64) error {
	all, err := os.ReadFile(s.home.log())
	if err != nil {
		return err
	}
	log := string(all[min(logged, int64(len(all))):])
	if strings.Contains(log, "could not bind") {
		return fmt.Errorf("%w: %d", errPortTaken, s.port)
	}
	why := lastLine([]byte(log))
	for line := range strings.Lines(log) {
		if strings.Contains(line, "FATAL:") {
			why = bytes.TrimSpace([]byte(line))
			break
		}
	}
	return fmt.Errorf("pgcluster: Postgres %d did not start: %s", s.bin.major, why)
}

// stop ends the server at once, by SIGQUIT from its guard, and waits until it
// is gone. It does nothing to a server that is down.
func (s *server) stop() error {
	if s.cmd == nil {
		return nil
	}
	_, err := s.leash.WriteString("stop\n")
	if errors.Is(err, syscall.EPIPE) {
		err = s.cmd.Process.Signal(syscall.SIGQUIT) // somebody has killed the guard
		if errors.Is(err, os.ErrProcessDone) {
			err = nil
		}
	}
	_ = s.cmd.Wait() // how a server ends that is told to drop everything is no news
	err = errors.Join(err, s.leash.Close(), s.alive.Close())
	s.cmd, s.leash, s.alive = nil, nil, nil
	return err
}

// close stops the server and removes what it left.
func (s *server) close() error {
	return errors.Join(s.stop(), s.home.remove())
}

// prepare sets what all processes of a cluster share.
func (s *server) prepare(cmd *exec.Cmd) {
	cmd.Dir = s.home.dir
	// None of the PG… variables that the caller may have: they name servers
	// that are not ours.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: s.home.cred,
		// Out of the terminal's reach: Ctrl-C is for us, and we stop the server.
		Setsid: true,
	}
}
