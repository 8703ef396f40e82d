package program

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx", for the other directory

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/importer"
	"github.com/portico-id/portico/internal/store/storetest"
)

var (
	importUsers = flag.Int("import.users", 200, "users who are imported, once from a file and once from a database")
	importKills = flag.Int("import.kills", 2, "how often the import, and how often the replica that serves, is killed on the way")
	importTime  = flag.Duration("import.time", 2*time.Minute, "how long an import may take")
)

// mostOverIdle is the memory, in KiB, that an import of any size may take
// beyond what the program takes for a list.
const mostOverIdle = 100 << 10

// importing is the story of one import.
type importing struct {
	*world

	db      *sql.DB // Portico's, behind its back
	people  int
	highest int64 // KiB that any of its processes took
}

// child is a users command in a process of its own.
type child struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr bytes.Buffer
	exited chan struct{}
	err    error

	highest atomic.Int64 // KiB that it took
}

// users starts the binary with a users command.
func (i *importing) users(args ...string) *child {
	i.t.Helper()
	path, err := binary()
	if err != nil {
		i.t.Fatal(err)
	}
	c := &child{cmd: exec.Command(path, append([]string{"users"}, args...)...), exited: make(chan struct{})}
	c.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "PORTICO_DATABASE_URL=" + i.settings["PORTICO_DATABASE_URL"]}
	c.cmd.Stderr = &c.stderr
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		i.t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		i.t.Fatal(err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.exited)
	}()
	go i.watch(c)
	i.t.Cleanup(func() { i.kill(c) })
	return c
}

// watch looks what the process has taken at most, until it has ended. What the
// kernel says afterwards would count the test's own memory, which the process
// began with.
func (i *importing) watch(c *child) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
		if _, rest, ok := strings.Cut(string(status), "VmHWM:"); ok && err == nil {
			line, _, _ := strings.Cut(rest, "kB")
			if kib, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64); err == nil && strings.Contains(string(status), "Name:\tportico\n") {
				c.highest.Store(kib)
			}
		}
		select {
		case <-tick.C:
		case <-c.exited:
			return
		}
	}
}

// kill ends the process without a word to it, and remembers what it took.
func (i *importing) kill(c *child) {
	_ = c.cmd.Process.Kill() // it may have ended by itself
	i.wait(c)
}

func (i *importing) wait(c *child) {
	<-c.exited
	i.highest = max(i.highest, c.highest.Load())
}

// count asks Portico's database.
func (i *importing) count(query string) (n int) {
	i.t.Helper()
	if err := i.db.QueryRowContext(i.t.Context(), query).Scan(&n); err != nil {
		i.t.Fatal(err)
	}
	return n
}

// until waits until the query counts so many, or the process has ended.
func (i *importing) until(c *child, query string, n int) {
	i.t.Helper()
	deadline := time.After(*importTime)
	tick := time.NewTicker(max(time.Millisecond, time.Duration(i.people)*time.Microsecond))
	defer tick.Stop()
	var exited <-chan struct{}
	if c != nil {
		exited = c.exited
	}
	for i.count(query) < n {
		select {
		case <-tick.C:
		case <-exited:
			i.t.Fatalf("it ended by itself before %d of %q: %v\n%s", n, query, c.err, &c.stderr)
		case <-deadline:
			i.t.Fatalf("%q counts %d, not %d, after %s", query, i.count(query), n, *importTime)
		}
	}
}

// newest is the id of the newest import.
func (i *importing) newest() (id string) {
	i.t.Helper()
	if err := i.db.QueryRowContext(i.t.Context(), `SELECT id FROM imports ORDER BY id DESC LIMIT 1`).Scan(&id); err != nil {
		i.t.Fatal(err)
	}
	return id
}

func person(n int) (externalID, email, name string) {
	return fmt.Sprintf("crm-%06d", n), fmt.Sprintf("person-%06d@example.com", n), fmt.Sprintf("Person, \"%d\"", n)
}

// peopleAsCSV writes a file with people.
func peopleAsCSV(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "people.csv")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := csv.NewWriter(file)
	if err := w.Write([]string{"key", "email", "display_name"}); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		id, email, name := person(i)
		if err := w.Write([]string{id, email, name}); err != nil {
			t.Fatal(err)
		}
	}
	w.Flush()
	if w.Error() != nil {
		t.Fatal(w.Error())
	}
	return path
}

// peopleAsTable makes a database with a table of people.
func peopleAsTable(t *testing.T, n int) (databaseURL string) {
	t.Helper()
	databaseURL = storetest.EmptyPostgres(t)
	db, err := sql.Open("pgx", databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{
		`CREATE TABLE people (n integer PRIMARY KEY, key text NOT NULL, email text NOT NULL, name text)`,
		`INSERT INTO people SELECT n, 'crm-' || lpad(n::text, 6, '0'), 'person-' || lpad(n::text, 6, '0') || '@example.com',
			'Person, "' || n || '"' FROM generate_series(0, ` + strconv.Itoa(n-1) + `) n`,
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return databaseURL
}

func TestAnImportThatIsKilledAgainAndAgainLosesAndDoublesNobody(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: starts and kills processes")
	}
	t.Run("from a file", func(t *testing.T) {
		t.Parallel()
		file := peopleAsCSV(t, *importUsers)
		newImporting(t).survive(func(i *importing, args ...string) *child {
			return i.users(append([]string{"import", file, "--external-id", "key"}, args...)...)
		})
	})
	t.Run("from a database", func(t *testing.T) {
		t.Parallel()
		other := peopleAsTable(t, *importUsers)
		newImporting(t).survive(func(i *importing, args ...string) *child {
			return i.users(append([]string{
				"import", "--from-database", other, "--external-id", "key", "--display-name", "name",
				"--query", "SELECT key, email, name FROM people ORDER BY n",
			}, args...)...)
		})
	})
}

func newImporting(t *testing.T) *importing {
	t.Helper()
	w := newKindWorld(t, storetest.Postgres(t))
	db, err := sql.Open("pgx", w.settings["PORTICO_DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &importing{world: w, db: db, people: *importUsers}
}

// survive imports the people while the import, and then the replica that
// carries them to the provider, is killed on the way.
func (i *importing) survive(begin func(i *importing, args ...string) *child) {
	i.t.Helper()
	list := i.users("imports")
	i.wait(list)
	idle := i.highest
	serve := i.spawn()
	batch := strconv.Itoa(max(1, i.people/200))
	start := time.Now()

	// While it is read there is nothing to go on with: it is begun again.
	c := begin(i, "--batch", batch)
	i.until(c, `SELECT count(*) FROM imports`, 1)
	i.kill(c)
	c = begin(i, "--batch", batch)
	for kill := range *importKills - 1 {
		i.until(c, `SELECT count(*) FROM users`, i.people*(kill+1)/(*importKills))
		i.kill(c)
		c = i.users("import", "--resume", i.newest(), "--batch", batch)
	}
	i.until(c, `SELECT count(*) FROM users`, i.people)
	i.t.Logf("%d users were made after %s", i.people, time.Since(start).Round(time.Millisecond))
	for kill := range *importKills {
		i.until(c, `SELECT count(*) FROM users WHERE status = 'invited'`, i.people*(kill+1)/(*importKills+1))
		serve.kill()
		serve = i.spawn()
	}
	i.finishes(c)
	took := time.Since(start)
	i.t.Logf("the provider had them after %s: %.0f/s; the import took up to %d MiB, %d MiB over idle", took.Round(time.Millisecond),
		float64(i.people)/took.Seconds(), i.highest>>10, (i.highest-idle)>>10)
	if idle == 0 || i.highest > idle+mostOverIdle {
		i.t.Errorf("it took %d KiB, and idle are %d KiB", i.highest, idle)
	}
	i.areThereOnce()
}

// finishes waits for the command's end, which says that all is well.
func (i *importing) finishes(c *child) {
	i.t.Helper()
	select {
	case <-c.exited:
	case <-time.After(*importTime):
		i.t.Fatalf("the import has not ended after %s: %d are invited\n%s", *importTime, i.count(`SELECT count(*) FROM users WHERE status = 'invited'`), &c.stderr)
	}
	i.wait(c)
	if c.err != nil {
		i.t.Fatalf("the import ended with %v\n%s", c.err, &c.stderr)
	}
}

// areThereOnce holds the file, the directory and the provider against each
// other.
func (i *importing) areThereOnce() {
	i.t.Helper()
	there := make(map[string]simulator.User, i.people)
	for _, u := range i.sim.Users() {
		if _, twice := there[u.ExternalID]; twice || u.Creates != 1 {
			i.t.Errorf("the provider has made %s more than once: %+v", u.ExternalID, u)
		}
		there[u.ExternalID] = u
	}
	rows, err := i.db.QueryContext(i.t.Context(), `SELECT external_id, email, display_name, internal_id, origin FROM users ORDER BY external_id`)
	if err != nil {
		i.t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var has, want [5]string
		if err := rows.Scan(&has[0], &has[1], &has[2], &has[3], &has[4]); err != nil {
			i.t.Fatal(err)
		}
		want[0], want[1], want[2] = person(n)
		want[3], want[4] = there[want[0]].InternalID, "import"
		if has != want || there[want[0]].Email != want[1] {
			i.t.Fatalf("the directory has %q, not %q, and the provider %+v", has, want, there[want[0]])
		}
	}
	if rows.Err() != nil || n != i.people || len(there) != i.people {
		i.t.Errorf("of %d people the directory has %d and the provider %d: %v", i.people, n, len(there), rows.Err())
	}
}

func TestWhoSignsUpDuringAnImportDoesNotWaitForIt(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: starts processes")
	}
	// On Postgres: SQLite has one connection, for which everybody waits.
	w := newKindWorld(t, storetest.Postgres(t))
	w.settings["PORTICO_RATE_LIMITS"] = "off"
	// Each create takes so long that the import is far from over.
	if _, err := w.sim.AddFault(simulator.Fault{
		Match:  simulator.Match{Path: "/v1/manage/users"},
		Effect: simulator.Effect{DelayMS: 300, Commit: simulator.CommitBefore},
	}); err != nil {
		t.Fatal(err)
	}
	w.start()
	if out, err := w.command("users", "import", peopleAsCSV(t, 500), "--external-id", "key", "--no-wait"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b := w.browser()
	for n := range 3 {
		before := len(w.sim.Users())
		r := b.signUp(fmt.Sprintf("new-%d@example.com", n))
		b.await(r, "invited")
		// Counted in users, not in seconds: a busy machine is slow for all alike.
		if passed := len(w.sim.Users()) - before; passed > 130 {
			t.Errorf("%d of the import went before a sign-up", passed)
		}
	}
	if there := len(w.sim.Users()); there > 400 {
		t.Errorf("the import is all but over, with %d at the provider: this shows nothing", there)
	}
}

// stopping is standard error that interrupts the program at a text.
type stopping struct {
	bytes.Buffer

	at   string
	stop func()
}

func (s *stopping) Write(p []byte) (int, error) {
	if strings.Contains(string(p), s.at) {
		s.stop()
	}
	return s.Buffer.Write(p)
}

func TestAnImportThatIsInterruptedSaysHowToGoOn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newKindWorld(t, databaseURL)
		file := peopleAsCSV(t, 30)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var out bytes.Buffer
		complaint := stopping{at: "checking:", stop: cancel} // that phase is over then
		err := Run(ctx, []string{"users", "import", file, "--external-id", "key", "--batch", "10"}, w.environ(), &out, &complaint)
		if err == nil || !strings.Contains(err.Error(), "stopped after 0 of 30 users: go on with: portico users import --resume ") {
			t.Fatalf("it ended with %v\n%s", err, &complaint)
		}
		id := err.Error()[strings.LastIndex(err.Error(), " ")+1:]
		list, err := w.command("users", "imports", "--output", "json")
		if err != nil || !strings.Contains(list, id) || !strings.Contains(list, `"status": "`+string(importer.Validated)) {
			t.Fatalf("%v\n%s", err, list)
		}
		w.start()
		for range 2 { // once it is committed, going on is waiting
			if out, err := w.command("users", "import", "--resume", id); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		if there := w.sim.Users(); len(there) != 30 || slices.ContainsFunc(there, func(u simulator.User) bool { return u.Creates != 1 }) {
			t.Errorf("the provider has %d: %+v", len(there), there)
		}
		if _, err := w.command("users", "import", "--resume", "nonsense"); !errors.Is(err, importer.ErrNotFound) {
			t.Errorf("of an id that is none it says %v", err)
		}
	})
}
