package pgcluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// envOwner turns this test binary into a process that owns a cluster until it
// is killed: see TestServerEndsWithItsOwner.
const envOwner = "PORTICO_PGCLUSTER_OWNER"

func TestMain(m *testing.M) {
	if os.Getenv(envOwner) != "" {
		os.Exit(own())
	}
	os.Exit(m.Run())
}

// own acquires a private cluster, says where, and waits to be killed.
func own() int {
	c, err := acquire(context.Background(), "")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Fprintln(os.Stdout, c.URL())
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 1
}

// private acquires a private cluster that ends with the test.
func private(t *testing.T) *Cluster {
	t.Helper()
	c, err := acquire(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeConn(context.Background(), conn) })
	return conn
}

func show(t *testing.T, conn *pgx.Conn, setting string) string {
	t.Helper()
	var value string
	if err := conn.QueryRow(t.Context(), `SELECT current_setting($1)`, setting).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// awaitEnd waits until the server has closed an idle connection.
func awaitEnd(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := conn.WaitForNotification(ctx)
	if ctx.Err() != nil {
		t.Fatalf("the server still runs: %v", err)
	}
}

// awaitGone waits until a folder is gone: what removes it is another process
// that tells nobody.
func awaitGone(t *testing.T, dir string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s is still there", dir)
		}
	}
}

func TestPrivateClusterIsOursAndFastAndGoneAfterClose(t *testing.T) {
	t.Parallel()
	c := private(t)
	if !c.Private() {
		t.Error("Private() is false")
	}
	conn := connect(t, c.URL())
	home := c.server.home.dir
	for setting, want := range map[string]string{
		"data_directory":          filepath.Join(home, "data"),
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": "",
		"fsync":                   "off",
		"full_page_writes":        "off",
		"max_connections":         "200",
		"server_encoding":         "UTF8",
		"TimeZone":                "UTC",
	} {
		if got := show(t, conn, setting); got != want {
			t.Errorf("%s is %q, want %q", setting, got, want)
		}
	}
	if _, err := conn.Exec(t.Context(), `CREATE DATABASE somebodys`); err != nil {
		t.Error("the role may not create databases:", err)
	}

	for range 2 { // the second Close does nothing
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	awaitEnd(t, conn)
	if _, err := os.Stat(home); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there (%v)", home, err)
	}
	if err := c.Restart(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Restart after Close: %v, want ErrClosed", err)
	}
	if err := c.Crash(); !errors.Is(err, ErrClosed) {
		t.Errorf("Crash after Close: %v, want ErrClosed", err)
	}
}

func TestNobodyComesInWithoutThePassword(t *testing.T) {
	t.Parallel()
	c := private(t)
	for name, password := range map[string]*url.Userinfo{
		"no password":    url.User(superuser),
		"a wrong one":    url.UserPassword(superuser, "wrong"),
		"an unset role":  url.UserPassword("postgres", "postgres"),
		"an empty value": url.UserPassword(superuser, ""),
	} {
		u, err := url.Parse(c.URL())
		if err != nil {
			t.Fatal(err)
		}
		u.User = password
		conn, err := pgx.Connect(t.Context(), u.String())
		if err == nil {
			closeConn(t.Context(), conn)
			t.Errorf("%s: let in", name)
		}
	}
}

func TestWhatWasCommittedSurvivesACrash(t *testing.T) {
	t.Parallel()
	c := private(t)
	conn := connect(t, c.URL())
	exec := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE TABLE kept (n int)`)
	for n := range 20 {
		exec(fmt.Sprintf(`INSERT INTO kept VALUES (%d)`, n))
	}
	exec(`BEGIN`)
	exec(`INSERT INTO kept VALUES (1000)`)

	if err := c.Crash(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `COMMIT`); err == nil {
		t.Error("a connection survived the crash")
	}
	if conn, err := pgx.Connect(t.Context(), c.URL()); err == nil {
		closeConn(t.Context(), conn)
		t.Error("a crashed server answers")
	}
	if err := c.Crash(); err != nil {
		t.Error("a second crash:", err)
	}

	for _, name := range []string{"after a crash", "while it runs"} {
		if err := c.Restart(t.Context()); err != nil {
			t.Fatalf("Restart %s: %v", name, err)
		}
		var n int
		if err := connect(t, c.URL()).QueryRow(t.Context(), `SELECT count(*) FROM kept`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n != 20 {
			t.Errorf("%s: %d rows, want the 20 that were committed", name, n)
		}
	}
}

func TestServerEndsWithItsOwner(t *testing.T) {
	t.Parallel()
	owner := exec.Command(os.Args[0])
	owner.Env = append(os.Environ(), envOwner+"=1")
	owner.Stderr = os.Stderr
	stdin, err := owner.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err, owner.Wait())
	}
	conn := connect(t, strings.TrimSpace(url))
	home := filepath.Dir(show(t, conn, "data_directory"))

	if err := owner.Process.Kill(); err != nil { // SIGKILL: it cannot clean up
		t.Fatal(err)
	}
	_ = owner.Wait()
	awaitEnd(t, conn)
	awaitGone(t, home)
}

func TestClustersLiveSideBySide(t *testing.T) {
	t.Parallel()
	a, b := private(t), private(t)
	if a.URL() == b.URL() {
		t.Fatal("two clusters share", a.URL())
	}
	if err := a.Crash(); err != nil {
		t.Fatal(err)
	}
	if err := connect(t, b.URL()).Ping(t.Context()); err != nil {
		t.Error("one cluster's crash took the other along:", err)
	}
}

func TestGivenServerIsCheckedAndLeftAlone(t *testing.T) {
	t.Parallel()
	host := private(t)
	conn := connect(t, host.URL())
	for _, sql := range []string{
		`CREATE ROLE maker LOGIN CREATEDB PASSWORD 'sesame'`,
		`CREATE ROLE reader LOGIN PASSWORD 'sesame'`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	as := func(user, password string) string {
		u, err := url.Parse(host.URL())
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword(user, password)
		return u.String()
	}

	c, err := acquire(t.Context(), as("maker", "sesame"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Private() || c.URL() != as("maker", "sesame") {
		t.Errorf("Private() = %v, URL() = %s", c.Private(), c.URL())
	}
	if err := c.Crash(); !errors.Is(err, ErrNotPrivate) {
		t.Errorf("Crash: %v, want ErrNotPrivate", err)
	}
	if err := c.Restart(t.Context()); !errors.Is(err, ErrNotPrivate) {
		t.Errorf("Restart: %v, want ErrNotPrivate", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := conn.Ping(t.Context()); err != nil {
		t.Error("Close stopped a server that was given:", err)
	}

	for name, tt := range map[string]struct{ url, says string }{
		"a role that may not create databases": {as("reader", "sesame"), `ALTER ROLE "reader" CREATEDB`},
		"a wrong password":                     {as("maker", "opensesame"), "does not answer"},
		"nobody listening":                     {"postgres://maker:opensesame@127.0.0.1:1/postgres", "does not answer"},
		"not a URL":                            {"postgres://maker:opensesame@[::1/postgres", "not a Postgres URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := acquire(t.Context(), tt.url)
			if err == nil {
				t.Fatal("accepted")
			}
			if got := err.Error(); !strings.Contains(got, tt.says) || !strings.Contains(got, EnvURL) {
				t.Errorf("the error does not say %q: %s", tt.says, got)
			}
			if strings.Contains(err.Error(), "sesame") {
				t.Errorf("the error holds the password: %s", err)
			}
		})
	}
}
