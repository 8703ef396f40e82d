package beyondidentity

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portico-id/portico/internal/directory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testToken = "canary-7c1f0e-token/+="
	ours      = directory.ExternalID("01890a5d-ac96-774b-bcce-b302099a8057")
	oursMail  = "anna@example.com"
	theirs    = directory.InternalID("a3b1")

	flatAnswer = `{"internal_id":"a3b1","external_id":"01890a5d-ac96-774b-bcce-b302099a8057","email":"anna@example.com",` +
		`"user_name":"01890a5d-ac96-774b-bcce-b302099a8057","display_name":"Anna","date_created":"2026-01-02T03:04:05Z",` +
		`"date_modified":"2026-01-02T03:04:05Z","status":"USER_STATUS_ACTIVE"}`
	userAnswer = `{"id":"a3b1","external_id":"01890a5d-ac96-774b-bcce-b302099a8057","email_address":"anna@example.com",` +
		`"username":"anna","display_name":"Anna","state":"ACTIVE","source":"scim","has_active_passkey":true,` +
		`"create_time":"2026-01-02T03:04:05.678Z"}`
	listAnswer = `{"users":[` + userAnswer + `],"total_size":1}`
)

// remoteCalls are the calls that leave the machine, with the answer that makes
// each a success. What is about one user is about ours, whom they know by id.
//
//nolint:gochecknoglobals // a table
var remoteCalls = []struct {
	op      string
	success string
	do      func(ctx context.Context, c *Client, id directory.InternalID) (User, error)
}{
	{opCreate, flatAnswer, func(ctx context.Context, c *Client, _ directory.InternalID) (User, error) {
		return c.CreateUser(ctx, NewUser{ExternalID: ours, Email: oursMail, DisplayName: "Anna"})
	}},
	{opRecover, flatAnswer, func(ctx context.Context, c *Client, _ directory.InternalID) (User, error) {
		return c.RecoverUser(ctx, ours)
	}},
	{opFind, listAnswer, func(ctx context.Context, c *Client, _ directory.InternalID) (User, error) {
		return c.FindUser(ctx, ours)
	}},
	{opGet, userAnswer, func(ctx context.Context, c *Client, id directory.InternalID) (User, error) {
		return c.GetUser(ctx, id)
	}},
	{opList, listAnswer, func(ctx context.Context, c *Client, _ directory.InternalID) (User, error) {
		listed, err := c.ListUsers(ctx, Page{Size: 10})
		for _, user := range listed.Users {
			if user.ExternalID == ours {
				return user, err
			}
		}
		return User{}, err
	}},
	{opUpdate, userAnswer, func(ctx context.Context, c *Client, id directory.InternalID) (User, error) {
		return c.UpdateUser(ctx, id, annasChange())
	}},
	{opDelete, "", func(ctx context.Context, c *Client, id directory.InternalID) (User, error) {
		if err := c.DeleteUser(ctx, id); err != nil {
			return User{}, err
		}
		return User{InternalID: id, ExternalID: ours}, nil
	}},
}

// annasChange is one of everything that can be changed.
func annasChange() UserChange {
	return UserChange{ExternalID: new(ours), Email: new(oursMail), DisplayName: new("Anna")}
}

// newClient returns a client of the server at base that gives up after
// timeout, and closes its connections when the test ends.
func newClient(t *testing.T, base string, timeout time.Duration) *Client {
	t.Helper()
	c, err := New(Config{BaseURL: base, Token: StaticToken(NewToken(testToken)), Timeout: timeout, MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return c
}

// serve starts a server that ends with the test, after its clients.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// answer writes a JSON answer.
func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// generous is a time that a test on a busy machine does not run into.
const generous = 30 * time.Second

func mustError(t *testing.T, err error) *Error {
	t.Helper()
	e, ok := err.(*Error) //nolint:errorlint // The calls promise this very type, unwrapped.
	if !ok {
		t.Fatalf("got %T %v, want an *Error", err, err)
	}
	return e
}
