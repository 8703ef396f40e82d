package challenge

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testSecret = "0x4AAAcanary/secret+7c1f0e=="
	testToken  = "10000000-canary-token-bbbb-000000000001"

	// generous is a time that a test on a busy machine does not run into.
	generous = 30 * time.Second
)

var testClient = netip.MustParseAddr("203.0.113.7")

// vendor plays the service: it knows one secret, and tokens that are good
// once.
type vendor struct {
	t  *testing.T
	mu sync.Mutex
	// tokens are where the challenge of each was passed.
	tokens map[string]string
	// forms are what it was asked.
	forms []map[string][]string
}

func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost || r.URL.RawQuery != "" ||
		r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		v.t.Errorf("asked with %s %s %v: %v", r.Method, r.URL, r.Header, err)
	}
	v.forms = append(v.forms, r.PostForm)
	says := map[string]any{"success": false}
	token := r.PostForm.Get("response")
	hostname, ok := v.tokens[token]
	switch {
	case r.PostForm.Get("secret") != testSecret:
		says["error-codes"] = []string{"invalid-input-secret"}
	case !ok:
		says["error-codes"] = []string{"invalid-input-response"}
	case hostname == "":
		says["error-codes"] = []string{"timeout-or-duplicate"}
	default:
		v.tokens[token] = ""
		says = map[string]any{
			"success": true, "hostname": hostname, "error-codes": []string{},
			"challenge_ts": "2026-03-01T12:00:00.000Z", "action": "signup", "cdata": "", "metadata": map[string]any{"interactive": false},
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(says); err != nil {
		v.t.Error(err)
	}
}

// serve starts a server that ends with the test, after its clients.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL + "/turnstile/v0/siteverify"
}

// newVerifier returns a verifier, after change has seen to its settings.
func newVerifier(t *testing.T, address string, change ...func(*Config)) *Verifier {
	t.Helper()
	c := Config{
		URL:       address,
		Secret:    func() (string, error) { return testSecret, nil },
		Hostnames: []string{"app.example.com"},
		Timeout:   generous,
	}
	for _, f := range change {
		f(&c)
	}
	v, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.CloseIdle)
	return v
}

// wantKind fails the test unless err is of this kind and no other.
func wantKind(t *testing.T, err, want error) {
	t.Helper()
	for _, kind := range []error{ErrRefused, ErrUnavailable, ErrMisconfigured} {
		if errors.Is(err, kind) != errors.Is(want, kind) {
			t.Errorf("got %v, want %v", err, want)
			return
		}
	}
	if (err == nil) != (want == nil) {
		t.Errorf("got %v, want %v", err, want)
	}
}
