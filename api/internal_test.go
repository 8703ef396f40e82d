package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/api/openapi"
)

// bare is an API without a domain behind it.
func bare(t *testing.T, log *bytes.Buffer) *API {
	t.Helper()
	a, err := New(Config{
		PublicURL:       "https://api.example",
		FrontendOrigins: []string{"https://app.example"},
		DefaultReturnTo: "https://app.example/home",
		Now:             time.Now,
		Log:             slog.New(slog.NewJSONHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

const canary = "canary-5b1d6c"

func (a *API) serve(t *testing.T, r route) *httptest.ResponseRecorder {
	t.Helper()
	a.echo.Add(r.method, r.path, a.guarded(r))
	w := httptest.NewRecorder()
	a.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), r.method, r.path, http.NoBody))
	return w
}

func TestASVS_8_2_1_ARouteForWhichNobodyHasDecidedIsClosed(t *testing.T) {
	t.Parallel()
	for _, undecided := range []guard{0, -1, byAdminToken + 1} {
		closed(t, undecided)
	}
}

// closed fails unless a route with the guard lets nobody in.
func closed(t *testing.T, g guard) {
	t.Helper()
	var log bytes.Buffer
	a := bare(t, &log)
	called := false
	w := a.serve(t, route{method: http.MethodGet, path: "/open", guard: g, handle: func(c *call) error {
		called = true
		return c.answer(http.StatusOK, canary)
	}})
	if w.Code != http.StatusInternalServerError || called || strings.Contains(w.Body.String(), canary) {
		t.Errorf("a route without a guard answered %d %s", w.Code, w.Body)
	}
	if !strings.Contains(w.Body.String(), `"internal_error"`) || strings.Contains(w.Body.String(), "guard") {
		t.Errorf("the answer says more than it should: %s", w.Body)
	}
}

func TestASVS_16_5_4_APanicIsA500ThatSaysNothing(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	a := bare(t, &log)
	w := a.serve(t, route{method: http.MethodGet, path: "/panic", guard: anyone, handle: func(*call) error {
		panic(canary)
	}})
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), canary) {
		t.Errorf("a panic answered %d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), canary) {
		t.Error("the log does not have the cause")
	}
	if n := strings.Count(log.String(), canary); n != 1 {
		t.Errorf("the log has the cause %d times", n)
	}
	again := a.serve(t, route{method: http.MethodGet, path: "/fine", guard: anyone, handle: func(c *call) error {
		return c.answer(http.StatusOK, "fine")
	}})
	if again.Code != http.StatusOK {
		t.Errorf("after the panic a request answered %d", again.Code)
	}
}

func TestThePanicThatAbortsAConnectionPasses(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	a := bare(t, &log)
	defer func() {
		if err, ok := recover().(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			t.Errorf("recovered %v", err)
		}
	}()
	a.serve(t, route{method: http.MethodGet, path: "/abort", guard: anyone, handle: func(*call) error {
		panic(http.ErrAbortHandler)
	}})
	t.Error("the panic did not pass")
}

func TestASVS_16_5_1_WhatCannotBeEncodedIsAClean500(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	a := bare(t, &log)
	w := a.serve(t, route{method: http.MethodGet, path: "/bad", guard: anyone, handle: func(c *call) error {
		return c.answer(http.StatusOK, map[string]any{"text": canary, "fn": func() {}})
	}})
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), canary) {
		t.Errorf("it answered %d %s", w.Code, w.Body)
	}
}

func TestASVS_16_5_1_AnUnforeseenErrorSaysNothingAndIsLoggedOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	a := bare(t, &log)
	w := a.serve(t, route{method: http.MethodGet, path: "/fault", guard: anyone, handle: func(*call) error {
		return errors.New(canary)
	}})
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), canary) {
		t.Errorf("it answered %d %s", w.Code, w.Body)
	}
	if n := strings.Count(log.String(), canary); n != 1 {
		t.Errorf("the log has the cause %d times", n)
	}
}

func TestAClientThatHasGoneIsNoFaultOfOurs(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	a := bare(t, &log)
	a.serve(t, route{method: http.MethodGet, path: "/slow", guard: anyone, handle: func(*call) error {
		return fmt.Errorf("query: %w", context.Canceled)
	}})
	if strings.Contains(log.String(), `"ERROR"`) || !strings.Contains(log.String(), `"unavailable"`) {
		t.Errorf("the log says %s", log.String())
	}
}

func TestAConfigurationThatContradictsItselfIsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		config Config
	}{
		{"no origin", Config{PublicURL: "https://api.example", DefaultReturnTo: "https://app.example/"}},
		{"any origin", Config{
			PublicURL: "https://api.example", FrontendOrigins: []string{"*"}, DefaultReturnTo: "https://app.example/",
		}},
		{"an origin with a path", Config{
			PublicURL: "https://api.example", FrontendOrigins: []string{"https://app.example/"}, DefaultReturnTo: "https://app.example/",
		}},
		{"a default return target elsewhere", Config{
			PublicURL: "https://api.example", FrontendOrigins: []string{"https://app.example"}, DefaultReturnTo: "https://other.example/",
		}},
		{"a default return target that is no URL", Config{
			PublicURL: "https://api.example", FrontendOrigins: []string{"https://app.example"}, DefaultReturnTo: "https://[",
		}},
		{"a public URL that is none", Config{
			PublicURL: "https://[", FrontendOrigins: []string{"https://app.example"}, DefaultReturnTo: "https://app.example/",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, err := New(test.config); err == nil {
				t.Error("it was accepted")
			}
		})
	}
}

// TestEveryFieldCodeIsUsed reads the package's source: a code that nothing
// answers with does not belong into the contract.
func TestEveryFieldCodeIsUsed(t *testing.T) {
	t.Parallel()
	used := make(map[string]bool)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if name, ok := n.(*ast.SelectorExpr); ok {
				used[name.Sel.Name] = true
			}
			return true
		})
	}
	generated, err := parser.ParseFile(token.NewFileSet(), filepath.Join("openapi", "models.gen.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := 0
	ast.Inspect(generated, func(n ast.Node) bool {
		constant, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		kind, ok := constant.Type.(*ast.Ident)
		if !ok || kind.Name != "FieldErrorCode" && kind.Name != "ProblemCode" {
			return true
		}
		codes++
		if !used[constant.Names[0].Name] {
			t.Errorf("nothing answers with %s", constant.Names[0].Name)
		}
		return true
	})
	if codes < len(kinds) {
		t.Errorf("only %d codes were found", codes)
	}
}

// TestADeepBodyCostsWhatItsLengthAccountsFor measures what the whole process
// allocates, and so runs beside no other test. A pointer for each of ten
// thousand levels would be as long as they are deep: 64 KiB of body would take
// hundreds of megabytes.
func TestADeepBodyCostsWhatItsLengthAccountsFor(t *testing.T) {
	body := strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9000)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/signup", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := decode[openapi.SignupRequest](httptest.NewRecorder(), r)
	runtime.ReadMemStats(&after)
	if err == nil || asProblem(err).code != openapi.ProblemCodeMalformedBody {
		t.Errorf("it is answered with %v", err)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 8<<20 {
		t.Errorf("reading %d bytes allocates %d", len(body), allocated)
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"email":"ada@example.com"}`, `{"email":"a","email":"b"}`, `{"Email":"a"}`, `{"email":null}`, `{"email":"\u0000"}`,
		`{"email":"` + "\xff" + `"}`, `[]`, `1`, ``, `{"email":"a"} x`, `{"email":{"a":[1]}}`, `{"` + "\xc3" + `":1}`,
		`{"a~b/c":1}`, `{"email":"\ud800"}`, strings.Repeat(`{"a":`, 200), `{"email":"` + strings.Repeat("a", 300) + `"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/signup", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		decoded, err := decode[openapi.SignupRequest](httptest.NewRecorder(), r)
		if err == nil {
			if decoded.Email == "" || strings.ContainsRune(decoded.Email, 0) || len(body) > maxBody {
				t.Errorf("%q was accepted as %+v", body, decoded)
			}
			return
		}
		p := asProblem(err)
		if s := p.status(); s != http.StatusBadRequest && s != http.StatusUnprocessableEntity && s != http.StatusRequestEntityTooLarge {
			t.Errorf("%q is answered with %d: %v", body, s, err)
		}
		for _, field := range p.fields {
			if len(field.Pointer) > maxPointer || !field.Code.Valid() || field.Pointer != strings.ToValidUTF8(field.Pointer, "?") {
				t.Errorf("%q is answered with the field %+v", body, field)
			}
		}
	})
}
