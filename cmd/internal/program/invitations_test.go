package program

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/invitation"
	"github.com/portico-id/portico/internal/store/storetest"
)

// office is where an operator sits who knows the database and nothing else.
type office struct {
	t       *testing.T
	environ []string
}

func newOffice(t *testing.T, databaseURL string) office {
	t.Helper()
	return office{t, []string{"PORTICO_DATABASE_URL=" + databaseURL}}
}

// do runs an invitations command and returns what it printed where.
func (o office) do(args ...string) (stdout, stderr string, err error) {
	o.t.Helper()
	var out, told bytes.Buffer
	err = Run(o.t.Context(), append([]string{"invitations"}, args...), o.environ, &out, &told)
	return out.String(), told.String(), err
}

// must is do for what has to work.
func (o office) must(args ...string) (stdout, stderr string) {
	o.t.Helper()
	stdout, stderr, err := o.do(args...)
	if err != nil {
		o.t.Fatalf("%v: %v\n%s%s", args, err, stdout, stderr)
	}
	return stdout, stderr
}

// shownInvitation is an invitation as list gives it to a program.
type shownInvitation struct {
	ID        string     `json:"id"`
	State     string     `json:"state"`
	Email     *string    `json:"email"`
	Note      string     `json:"note"`
	Uses      int        `json:"uses"`
	UsesLeft  int        `json:"uses_left"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt time.Time  `json:"expires_at"`
	RevokedAt *time.Time `json:"revoked_at"`
}

func (o office) list() []shownInvitation {
	o.t.Helper()
	out, _ := o.must("list", "--output", "json")
	var shown []shownInvitation
	decoder := json.NewDecoder(strings.NewReader(out))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&shown); err != nil || shown == nil {
		o.t.Fatalf("%v\n%s", err, out)
	}
	return shown
}

func TestAnInvitationIsCreatedListedAndRevoked(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		o := newOffice(t, databaseURL)
		if len(o.list()) != 0 {
			t.Error("there are some before any was created")
		}
		anyones, told := o.must("create")
		if !strings.Contains(told, "shown once") || !strings.Contains(told, "anyone, once") {
			t.Errorf("it says only %q", told)
		}
		adas, told := o.must("create", "--uses", "3", "--expires", "36h", "--email", "Ada@Example.COM", "--note", "for <Ada> & co")
		if !strings.Contains(told, "ada@example.com, 3 times") {
			t.Errorf("it says only %q", told)
		}
		codes := []string{anyones, adas}
		for _, code := range codes {
			if _, err := invitation.ParseCode(code); err != nil || strings.Count(code, "\n") != 1 {
				t.Errorf("%q is not a code alone: %v", code, err)
			}
		}

		shown := o.list()
		if len(shown) != 2 {
			t.Fatalf("listed %+v", shown)
		}
		ada, anyone := shown[0], shown[1]
		if ada.State != "open" || ada.Uses != 3 || ada.UsesLeft != 3 || ada.Email == nil || *ada.Email != "ada@example.com" ||
			ada.Note != "for <Ada> & co" || ada.ExpiresAt.Sub(ada.CreatedAt) != 36*time.Hour || ada.RevokedAt != nil {
			t.Errorf("Ada's is %+v", ada)
		}
		if anyone.State != "open" || anyone.Uses != 1 || anyone.Email != nil || anyone.Note != "" ||
			anyone.ExpiresAt.Sub(anyone.CreatedAt) != 7*24*time.Hour {
			t.Errorf("anyone's is %+v", anyone)
		}

		for range 2 { // the second time changes nothing
			o.must("revoke", anyone.ID)
		}
		if again := o.list(); again[1].State != "revoked" || again[1].RevokedAt == nil || again[0].State != "open" {
			t.Errorf("afterwards there are %+v", again)
		}
		table, _ := o.must("list")
		lines := strings.Split(strings.TrimSpace(table), "\n")
		for i, line := range []string{
			`^ID +STATE +LEFT +`,
			`^` + ada.ID + ` +open +3 of 3 .*ada@example\.com +for <Ada> & co$`,
			`^` + anyone.ID + ` +revoked +1 of 1 .*anyone`,
		} {
			if len(lines) != 3 || !regexp.MustCompile(line).MatchString(lines[i]) {
				t.Errorf("line %d is not %s\n%s", i, line, table)
			}
		}
		for _, code := range codes {
			if strings.Contains(table, strings.TrimSpace(code)) {
				t.Errorf("the list shows a code\n%s", table)
			}
		}
	})
}

func TestMoreInvitationsThanAPageHoldsAreListed(t *testing.T) {
	t.Parallel()
	databaseURL := storetest.SQLite(t)
	o := newOffice(t, databaseURL)
	o.must("create", "--note", "the first")
	row := `INSERT INTO invitations (id, code_hash, note, uses, uses_left, created_at, expires_at) VALUES ($1, randomblob(32), '', 1, 1, $2, $2)`
	db := storetest.Open(t, databaseURL).SQL()
	for range 2*invitation.MaxPage - 1 {
		if _, err := db.ExecContext(t.Context(), row, string(directory.NewUserID()), time.Now().UTC()); err != nil {
			t.Fatal(err)
		}
	}
	shown := o.list()
	seen := make(map[string]bool)
	for _, i := range shown {
		seen[i.ID] = true
	}
	if len(shown) != 2*invitation.MaxPage || len(seen) != len(shown) || shown[len(shown)-1].Note != "the first" || shown[0].State != "expired" {
		t.Errorf("%d are listed, %d different ones", len(shown), len(seen))
	}
}

func TestWhatCannotBeInvitedIsAWrongCommandLine(t *testing.T) {
	t.Parallel()
	o := newOffice(t, storetest.SQLite(t))
	code, _ := o.must("create")
	for name, args := range map[string][]string{
		"no uses":                    {"create", "--uses", "0"},
		"uses that are no number":    {"create", "--uses", "many"},
		"a time that is over":        {"create", "--expires", "-1h"},
		"a time without a unit":      {"create", "--expires", "7"},
		"years":                      {"create", "--expires", "100000h"},
		"an address that is not one": {"create", "--email", "ada"},
		"a note of two lines":        {"create", "--note", "one\ntwo"},
		"nothing to revoke":          {"revoke"},
		"a code instead of an id":    {"revoke", strings.TrimSpace(code)},
		"a list in another form":     {"list", "--output", "xml"},
	} {
		out, told, err := o.do(args...)
		if _, ok := errors.AsType[*UsageError](err); !ok {
			t.Errorf("%s: got %v\n%s%s", name, err, out, told)
		} else if strings.Contains(err.Error(), strings.TrimSpace(code)) {
			t.Errorf("%s: the error repeats the code: %v", name, err)
		}
	}
	if shown := o.list(); len(shown) != 1 {
		t.Errorf("there are %+v", shown)
	}
	if _, _, err := o.do("revoke", string(directory.NewUserID())); !errors.Is(err, invitation.ErrNotFound) {
		t.Errorf("an id that nobody has: got %v", err)
	}
}

func TestInvitationsNeedADatabaseWithASchema(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		environ []string
		want    string
	}{
		"no database is set":      {nil, "PORTICO_DATABASE_URL is not set"},
		"the database is empty":   {[]string{"PORTICO_DATABASE_URL=" + storetest.EmptySQLite(t)}, "portico migrate up"},
		"the setting is misspelt": {[]string{"PORTICO_DATABASE_URI=sqlite:x"}, "PORTICO_DATABASE_URI"},
		"the URL is not one":      {[]string{"PORTICO_DATABASE_URL=mysql://canary-password@localhost"}, "PORTICO_DATABASE_URL"},
		"an option is a variable": {[]string{"PORTICO_DATABASE_URL=sqlite:x", "PORTICO_USES=100"}, "PORTICO_USES"},
		"the database is not there": {
			[]string{"PORTICO_DATABASE_URL=postgres://nobody:canary-password@" + freeAddress(t) + "/none?sslmode=disable"}, "",
		},
	} {
		for _, args := range [][]string{{"create"}, {"list"}, {"revoke", string(directory.NewUserID())}} {
			out, told, err := office{t, c.environ}.do(args...)
			if err == nil || !strings.Contains(err.Error(), c.want) || out != "" {
				t.Errorf("%s, %v: got %v\n%s%s", name, args, err, out, told)
			} else if strings.Contains(err.Error()+told, "canary") {
				t.Errorf("%s: it shows the password: %v", name, err)
			}
		}
	}
}

func TestTheDatabasesURLMayComeFromAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "database-url")
	if err := os.WriteFile(path, []byte(storetest.SQLite(t)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := office{t, []string{"PORTICO_DATABASE_URL_FILE=" + path}}
	o.must("create")
	if len(o.list()) != 1 {
		t.Error("it is not there")
	}
}

// full is a disk that takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestACodeThatCouldNotBeShownIsNamedByItsID(t *testing.T) {
	t.Parallel()
	o := newOffice(t, storetest.SQLite(t))
	err := Run(t.Context(), []string{"invitations", "create"}, o.environ, full{}, t.Output())
	if shown := o.list(); err == nil || len(shown) != 1 || !strings.Contains(err.Error(), shown[0].ID) {
		t.Errorf("got %v of %+v", err, shown)
	}
}
