package beyondidentity

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/directory"
)

// notFoundAnswer is what workforce v2 documents for a user who is not there.
const notFoundAnswer = `{"code":"not_found","message":"user not found","details":[` +
	`{"type":"ResourceInfo","resource_type":"User","id":"a3b1","description":"user not found"}]}`

func TestAUserIsReadByInternalID(t *testing.T) {
	t.Parallel()
	want := User{
		InternalID: theirs, ExternalID: ours, Email: oursMail, UserName: "anna", DisplayName: "Anna",
		Status: "ACTIVE", HasActivePasskey: true, CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC),
	}
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/users" {
			answer(w, http.StatusOK, listAnswer)
			return
		}
		answer(w, http.StatusOK, userAnswer)
	})
	c := newClient(t, s.URL, generous)
	if got, err := c.GetUser(t.Context(), theirs); err != nil || got != want {
		t.Errorf("get: got %+v, %v\nwant %+v", got, err, want)
	}
	if got, err := c.UpdateUser(t.Context(), theirs, annasChange()); err != nil || got != want {
		t.Errorf("update: got %+v, %v\nwant %+v", got, err, want)
	}
	got, err := c.ListUsers(t.Context(), Page{Size: 1})
	if err != nil || got.Total != 1 || len(got.Users) != 1 || got.Users[0] != want {
		t.Errorf("list: got %+v, %v\nwant %+v", got, err, want)
	}
}

func TestAUserOfAnotherIDIsNotBelieved(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"another id":              strings.ReplaceAll(userAnswer, "a3b1", "b4c2"),
		"the id in other letters": strings.ReplaceAll(userAnswer, "a3b1", "A3B1"),
		"an id that is null":      strings.ReplaceAll(userAnswer, `"a3b1"`, "null"),
		"no id":                   strings.ReplaceAll(userAnswer, `"id":"a3b1",`, ""),
		"a user that is wrapped":  `{"user":` + userAnswer + `}`,
		"a list":                  listAnswer,
	} {
		if _, err := decodeWorkforceUser([]byte(body), theirs); err == nil {
			t.Errorf("%s is believed", name)
		}
	}
}

func TestAnUpdateIsBelievedOnlyIfItShows(t *testing.T) {
	t.Parallel()
	replace := func(from, to string) string { return strings.Replace(userAnswer, from, to, 1) }
	tests := []struct {
		name, body string
		change     UserChange
		want       Class
	}{
		{"everything as asked for", userAnswer, annasChange(), ""},
		{"one value as asked for, whatever the others are", userAnswer, UserChange{DisplayName: new("Anna")}, ""},
		{"the old name", replace(`"Anna"`, `"Ann"`), annasChange(), Ambiguous},
		{"the name in other letters", replace(`"Anna"`, `"ANNA"`), annasChange(), Ambiguous},
		{"no name", replace(`"display_name":"Anna",`, ""), annasChange(), Ambiguous},
		{"a name that is no text", replace(`"Anna"`, `["Anna"]`), annasChange(), Ambiguous},
		{"the old address", replace(oursMail, "ann@example.com"), annasChange(), Ambiguous},
		{"the address in lower case", userAnswer, UserChange{Email: new("Anna@Example.COM")}, ""},
		{"the old external_id", replace(string(ours), "u-1"), annasChange(), Ambiguous},
		{"another user's id", replace("a3b1", "b4c2"), annasChange(), Ambiguous},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, tt.body) })
			_, err := newClient(t, s.URL, generous).UpdateUser(t.Context(), theirs, tt.change)
			if ClassOf(err) != tt.want {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestOnlyAnEmptyAnswerIsADelete(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status int
		kind   string
		body   string
		want   Class
	}{
		{"200 without a type", 200, "", "", ""},
		{"200 that calls itself JSON", 200, "application/json", "", ""},
		{"204", 204, "", "", ""},
		{"a promise to do so later", 202, "", "", Ambiguous},
		{"another success", 201, "", "", Ambiguous},
		{"a page of somebody in between", 200, "text/html", "<html>", Ambiguous},
		{"the user", 200, "application/json", userAnswer, Ambiguous},
		{"more than is read", 200, "text/plain", strings.Repeat("x", maxBody+1), Ambiguous},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = []string{tt.kind}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			if err := newClient(t, s.URL, generous).DeleteUser(t.Context(), theirs); ClassOf(err) != tt.want {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestA404IsAboutTheUserOnlyIfTheAPISaysSo(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, kind, body string
		want             Class
	}{
		{"the documented error", "application/json", notFoundAnswer, NotFound},
		{"the documented error without details", "application/json", `{"code":"not_found","message":"user not found"}`, NotFound},
		{"with details that name nobody", "application/json", `{"code":"not_found","message":"x","details":[{"type":"ResourceInfo"}]}`, NotFound},
		{"with details that cannot be read", "application/json", `{"code":"not_found","message":"x","details":"?"}`, NotFound},
		{"about another user", "application/json", strings.ReplaceAll(notFoundAnswer, "a3b1", "b4c2"), Ambiguous},
		{"another error of the API's", "application/json", `{"code":"tenant_not_found","message":"x"}`, Ambiguous},
		{"half of it", "application/json", notFoundAnswer[:len(notFoundAnswer)/2], Ambiguous},
		{"more than is read", "application/json", notFoundAnswer + strings.Repeat(" ", maxBody), Ambiguous},
		{"a gateway that knows no such path", "application/json", `{"code":5,"message":"Not Found","details":[]}`, Misconfigured},
		{"another API", "application/json", `{"error":"not_found"}`, Misconfigured},
		{"a page", "text/html", "<h1>Not found</h1>", Misconfigured},
		{"the documented error under another type", "text/plain", notFoundAnswer, Misconfigured},
		{"nothing", "application/json", "", Misconfigured},
		{"nothing of no type", "", "", Misconfigured},
	}
	for _, tt := range tests {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{tt.kind}
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, tt.body)
		})
		c := newClient(t, s.URL, generous)
		for _, call := range remoteCalls {
			want := tt.want
			switch call.op {
			case opCreate, opFind, opList:
				want = Misconfigured
			case opRecover:
				want = NotFound
			}
			_, err := call.do(t.Context(), c, theirs)
			if e := mustError(t, err); e.Class != want || e.Status != http.StatusNotFound {
				t.Errorf("%s, %s: got %v, want %s", tt.name, call.op, err, want)
			}
		}
	}
}

// TestA404ThatBreaksOffProvesNothing: the page and the API's own word begin in
// the same way.
func TestA404ThatBreaksOffProvesNothing(t *testing.T) {
	t.Parallel()
	s := serveRaw(t, saying("HTTP/1.1 404 No\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"+notFoundAnswer))
	if err := newClient(t, s.url, generous).DeleteUser(t.Context(), theirs); ClassOf(err) != Ambiguous {
		t.Errorf("got %v, want ambiguous", err)
	}
}

func TestAListBelievesOnlyAPageThatAgreesWithItself(t *testing.T) {
	t.Parallel()
	user := func(id string) string { return `{"id":"` + id + `","external_id":"e-` + id + `"}` }
	tests := []struct {
		name, body string
		page       Page
		users      int
		want       Class
	}{
		{"a full page", `{"users":[` + user("a") + `,` + user("b") + `],"total_size":9}`, Page{Size: 2}, 2, ""},
		{"the last page", `{"users":[` + user("a") + `],"total_size":9}`, Page{Skip: 8, Size: 2}, 1, ""},
		{"a page that is shorter than it could be", `{"users":[` + user("a") + `],"total_size":9}`, Page{Size: 5}, 1, ""},
		{"a page behind the end", `{"users":[],"total_size":9}`, Page{Skip: 9, Size: 2}, 0, ""},
		{"a page far behind the end", `{"users":[],"total_size":9}`, Page{Skip: 12, Size: 2}, 0, ""},
		{"nobody at all", `{"users":[],"total_size":0}`, Page{Size: 2}, 0, ""},
		{"nobody as null", `{"users":null,"total_size":0}`, Page{Size: 2}, 0, ""},
		{"a user without an external_id", `{"users":[{"id":"a"}],"total_size":1}`, Page{Size: 2}, 1, ""},
		{"more users than were asked for", `{"users":[` + user("a") + `,` + user("b") + `],"total_size":9}`, Page{Size: 1}, 0, Ambiguous},
		{"more users than there are", `{"users":[` + user("a") + `,` + user("b") + `],"total_size":1}`, Page{Size: 2}, 0, Ambiguous},
		{"users behind the last one", `{"users":[` + user("a") + `],"total_size":4}`, Page{Skip: 4, Size: 2}, 0, Ambiguous},
		{"no users although there are more", `{"users":[],"total_size":9}`, Page{Skip: 4, Size: 2}, 0, Ambiguous},
		{"no list although there are more", `{"total_size":9}`, Page{Size: 2}, 0, Ambiguous},
		{"no total", `{"users":[` + user("a") + `]}`, Page{Size: 2}, 0, Ambiguous},
		{"a total that is no number", `{"users":[],"total_size":"0"}`, Page{Size: 2}, 0, Ambiguous},
		{"a total below zero", `{"users":[],"total_size":-1}`, Page{Size: 2}, 0, Ambiguous},
		{"a user without an id", `{"users":[{"external_id":"e"}],"total_size":1}`, Page{Size: 2}, 0, Ambiguous},
		{"a user whose id is no text", `{"users":[{"id":7}],"total_size":1}`, Page{Size: 2}, 0, Ambiguous},
		{"a user whose id no call could name", `{"users":[{"id":"a b"}],"total_size":1}`, Page{Size: 2}, 0, Ambiguous},
		{"a user twice", `{"users":[` + user("a") + `,` + user("a") + `],"total_size":2}`, Page{Size: 2}, 0, Ambiguous},
		{"users that are no list", `{"users":{},"total_size":0}`, Page{Size: 2}, 0, Ambiguous},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, tt.body) })
			got, err := newClient(t, s.URL, generous).ListUsers(t.Context(), tt.page)
			if ClassOf(err) != tt.want || len(got.Users) != tt.users {
				t.Errorf("got %+v, %v, want %d users, %q", got, err, tt.users, tt.want)
			}
		})
	}
}

// TestAPageOfLongUsersIsRead fills a page with users whose every text is as long
// as the vendor allows, and then with longer ones.
func TestAPageOfLongUsersIsRead(t *testing.T) {
	t.Parallel()
	page := func(text int) string {
		long := strings.Repeat("ü", text/2)
		users := make([]string, MaxPage)
		for i := range users {
			users[i] = fmt.Sprintf(`{"id":"u-%d","external_id":"%[2]s","email_address":"%[2]s","username":"%[2]s","display_name":"%[2]s"}`, i, long)
		}
		return `{"users":[` + strings.Join(users, ",") + `],"total_size":1000}`
	}
	for text, want := range map[int]Class{512: "", 2048: Ambiguous} {
		body := page(text)
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, body) })
		got, err := newClient(t, s.URL, generous).ListUsers(t.Context(), Page{Size: MaxPage})
		if ClassOf(err) != want || want == "" && len(got.Users) != MaxPage {
			t.Errorf("texts of %d bytes, %d in all: %d users, %v, want %q", text, len(body), len(got.Users), err, want)
		}
	}
}

func TestTheNameOfAChangeIsHidden(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusUnprocessableEntity, `{"code":"x","message":"Anna Lovelace <ada@example.com> is too long"}`)
	})
	_, err := newClient(t, s.URL, generous).UpdateUser(t.Context(), theirs, UserChange{DisplayName: new("Anna Lovelace")})
	if e := mustError(t, err); e.Class != Rejected || e.Message != "[name] <[address]> is too long" {
		t.Errorf("got %v, message %q", err, e.Message)
	}
}

func TestAnAddressStandsInForANameThatIsNotThere(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, want string }{{"Anna", "Anna"}, {"", oursMail}, {" \t", oursMail}} {
		if got := ShownName(tt.name, oursMail); got != tt.want {
			t.Errorf("%q: got %q", tt.name, got)
		}
	}
}

// TestWhoAsksAfterAnAmbiguousChangeSeesWhatHappened is what a caller does after a change
// whose outcome is ambiguous.
func TestWhoAsksAfterAnAmbiguousChangeSeesWhatHappened(t *testing.T) {
	t.Parallel()
	for name, happened := range map[string]bool{"it did nothing": false, "it happened anyway": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, op := range []string{opUpdate, opDelete} {
				checkAfterAmbiguous(t, op, happened)
			}
		})
	}
}

func checkAfterAmbiguous(t *testing.T, op string, happened bool) {
	t.Helper()
	sim, base, id := hostileTenant(t, op)
	arm(t, sim, dropped(happened))
	c := newClient(t, base, generous)
	call := callOf(t, op)
	if _, err := call(t.Context(), c, id); ClassOf(err) != Ambiguous {
		t.Fatalf("%s: got %v, want ambiguous", op, err)
	}
	sim.ClearFaults()
	got, err := c.GetUser(t.Context(), id)
	want := Class("")
	if happened && op == opDelete {
		want = NotFound
	}
	if ClassOf(err) != want || op == opUpdate && (got.DisplayName == "Anna") != happened {
		t.Errorf("%s: got %+v, %v", op, got, err)
	}
	if _, err := call(t.Context(), c, id); ClassOf(err) != want {
		t.Errorf("%s again: got %v, want %q", op, err, want)
	}
}

// callOf is the call of remoteCalls with that name.
func callOf(t *testing.T, op string) func(context.Context, *Client, directory.InternalID) (User, error) {
	t.Helper()
	for _, call := range remoteCalls {
		if call.op == op {
			return call.do
		}
	}
	t.Fatalf("no call %q", op)
	return nil
}
