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

	flatAnswer = `{"internal_id":"a3b1","external_id":"01890a5d-ac96-774b-bcce-b302099a8057","email":"anna@example.com",` +
		`"user_name":"01890a5d-ac96-774b-bcce-b302099a8057","display_name":"Anna","date_created":"2026-01-02T03:04:05Z",` +
		`"date_modified":"2026-01-02T03:04:05Z","status":"USER_STATUS_ACTIVE"}`
	listAnswer = `{"users":[{"id":"a3b1","external_id":"01890a5d-ac96-774b-bcce-b302099a8057","email_address":"anna@example.com",` +
		`"username":"anna","display_name":"Anna","state":"ACTIVE","source":"scim","has_active_passkey":true}],"total_size":1}`
)

// remoteCalls are the calls that leave the machine, with the answer that makes
// each a success.
var remoteCalls = []struct {
	op      string
	success string
	do      func(context.Context, *Client) (User, error)
}{
	{opCreate, flatAnswer, func(ctx context.Context, c *Client) (User, error) {
		return c.CreateUser(ctx, NewUser{ExternalID: ours, Email: oursMail, DisplayName: "Anna"})
	}},
	{opRecover, flatAnswer, func(ctx context.Context, c *Client) (User, error) { return c.RecoverUser(ctx, ours) }},
	{opFind, listAnswer, func(ctx context.Context, c *Client) (User, error) { return c.FindUser(ctx, ours) }},
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
