package api_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/api"
	"github.com/portico-id/portico/api/apitest"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
)

// FuzzSignup sends raw bodies, keys and preferences through the whole of
// POST /signup, down to a store. No request may be answered with a 5xx, or
// with what the contract does not have.
func FuzzSignup(f *testing.F) {
	for _, seed := range []struct{ body, key, prefer string }{
		{`{"email":"ada@example.com"}`, "", ""},
		{`{"email":"ada@example.com","display_name":"Ada","locale":"en-GB","terms_version":"1"}`, "8e03978e", "wait=0"},
		{`{"email":"ada@example.com","invite_code":"x","challenge_response":"y"}`, `"k"`, "respond-async"},
		{`{"email":"\u00e4da@xn--bcher-kva.example"}`, "k k", "wait=-1"},
		{`{"email":"ada@example.com","display_name":"\ud83d\ude00\u200d"}`, strings.Repeat("k", 256), "wait=;,"},
		{`{"email":"a@b","email":"c@d"}`, "", ""},
		{`{"email":"\u0000"}`, "", ""},
		{`{"email":"` + "\xff" + `"}`, "\xff", "\xff"},
		{`[`, "", ""},
	} {
		f.Add([]byte(seed.body), seed.key, seed.prefer)
	}
	contract, err := apitest.Shared()
	if err != nil {
		f.Fatal(err)
	}
	served := fuzzed(f)
	f.Fuzz(func(t *testing.T, body []byte, key, prefer string) {
		if strings.Contains(strings.ToLower(prefer), "wait") {
			prefer = "" // the time is not what is looked for
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://api.example/signup", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		if key != "" {
			r.Header["Idempotency-Key"] = []string{key}
		}
		r.Header["Prefer"] = []string{prefer}
		w := httptest.NewRecorder()
		served.ServeHTTP(w, r)
		if w.Code >= http.StatusInternalServerError {
			t.Errorf("%q with the key %q is answered with %d %s", body, key, w.Code, w.Body)
		}
		for _, complaint := range contract.Check(r, w.Result(), w.Body.Bytes()) {
			t.Errorf("%q with the key %q is answered with %d: %s", body, key, w.Code, complaint)
		}
	})
}

// fuzzed is an API with a store of its own.
func fuzzed(f *testing.F) *api.API {
	f.Helper()
	db, err := store.Open(f.Context(), "sqlite:"+filepath.Join(f.TempDir(), "portico.db"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = db.Close() })
	if _, err := db.SQL().ExecContext(f.Context(), "PRAGMA synchronous = OFF"); err != nil {
		f.Fatal(err)
	}
	if err := db.Migrate(f.Context(), queue.Migrate(false)); err != nil {
		f.Fatal(err)
	}
	inserts, err := queue.New(queue.Config{DB: db.SQL(), Workers: 1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	served, err := api.New(api.Config{
		PublicURL: "http://api.example", FrontendOrigins: []string{appOrigin}, DefaultReturnTo: home, InsecureLocalhost: true,
		Signups: &signup.Service{Store: store.New(db, inserts), ResendAfter: time.Minute, Now: time.Now},
		Now:     time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		f.Fatal(err)
	}
	return served
}
