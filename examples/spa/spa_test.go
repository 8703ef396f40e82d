package spa_test

import (
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/portico-id/portico/api/apitest"
	"github.com/portico-id/portico/examples/spa"
)

// codesOf returns the names in a table of problems.js.
func codesOf(t *testing.T, table string) []string {
	t.Helper()
	script, err := fs.ReadFile(spa.Files, "problems.js")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(script), "export const "+table+" = {")
	body, _, closed := strings.Cut(rest, "\n}")
	if !found || !closed {
		t.Fatalf("there is no table %s", table)
	}
	var codes []string
	for _, match := range regexp.MustCompile(`(?m)^ {2}(\w+): '[^']+\.',$`).FindAllStringSubmatch(body, -1) {
		codes = append(codes, match[1])
	}
	return codes
}

func TestEveryProblemThatAnAppCanMeetHasASentence(t *testing.T) {
	t.Parallel()
	contract, err := apitest.Shared()
	if err != nil {
		t.Fatal(err)
	}
	met := []string{"not_found", "method_not_allowed", "access_denied", "login_required"} // see the contract's Problem
	for path, item := range contract.Doc.Paths.Map() {
		if strings.HasPrefix(path, "/admin") {
			continue
		}
		for _, operation := range item.Operations() {
			for _, response := range operation.Responses.Map() {
				if content := response.Value.Content["application/problem+json"]; content != nil {
					met = slices.AppendSeq(met, maps.Keys(content.Examples))
				}
			}
		}
	}
	slices.Sort(met)
	said := codesOf(t, "sentences")
	slices.Sort(said)
	for _, code := range slices.Compact(met) {
		if !slices.Contains(said, code) {
			t.Errorf("nobody is told what %s means", code)
		}
	}
	for _, code := range said {
		if !slices.Contains(met, code) {
			t.Errorf("nobody meets %s", code)
		}
	}
}

func TestEveryFaultOfAFieldHasASentence(t *testing.T) {
	t.Parallel()
	contract, err := apitest.Shared()
	if err != nil {
		t.Fatal(err)
	}
	said := codesOf(t, "fieldSentences")
	for _, value := range contract.Doc.Components.Schemas["FieldErrorCode"].Value.Enum {
		if !slices.Contains(said, fmt.Sprint(value)) {
			t.Errorf("nobody is told what %v means", value)
		}
	}
}

func TestThePolicyLetsNothingRunButTheFiles(t *testing.T) {
	t.Parallel()
	handler, err := spa.Handler(spa.Config{API: "https://api.example"})
	if err != nil {
		t.Fatal(err)
	}
	for path, contentType := range map[string]string{
		"/": "text/html", "/app.js": "text/javascript", "/portico.js": "text/javascript", "/problems.js": "text/javascript",
		"/style.css": "text/css", "/icon.svg": "image/svg+xml", "/config.json": "application/json",
	} {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, http.NoBody))
		policy := recorder.Header().Get("Content-Security-Policy")
		if recorder.Code != http.StatusOK || !strings.HasPrefix(recorder.Header().Get("Content-Type"), contentType) ||
			!strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") ||
			!strings.Contains(policy, "connect-src 'self' https://api.example;") {
			t.Errorf("%s: %d %v", path, recorder.Code, recorder.Header())
		}
	}
	page, err := fs.ReadFile(spa.Files, "index.html")
	if err != nil {
		t.Fatal(err)
	}
	if inline := regexp.MustCompile(`(?i)\son\w+=|style=|<script(?:\s[^>]*)?>[^<]|https?://`).Find(page); inline != nil {
		t.Errorf("the page holds %s", inline)
	}
}

// templates returns the pages of index.html, by their ids.
func templates(t *testing.T) map[string]string {
	t.Helper()
	page, err := fs.ReadFile(spa.Files, "index.html")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for _, match := range regexp.MustCompile(`(?s)<template id="([\w-]+)">(.*?)</template>`).FindAllStringSubmatch(string(page), -1) {
		found[match[1]] = match[2]
	}
	return found
}

func TestASVS_7_4_4_WhoIsSignedInCanSeeHowToSignOut(t *testing.T) {
	t.Parallel()
	folded := regexp.MustCompile(`(?s)<(details|dialog)\b.*?</(details|dialog)>`)
	pages := 0
	for name, content := range templates(t) {
		if !strings.Contains(content, "<h1") || name == "signed-out" || name == "waiting" || name == "away" {
			continue // part of a page, or a page for nobody in particular
		}
		pages++
		if !strings.Contains(folded.ReplaceAllString(content, ""), `data-action="logout"`) {
			t.Errorf("%s has no button for it, or hides it", name)
		}
	}
	if pages == 0 {
		t.Error("there is no page for who is signed in")
	}
}

func TestASVS_14_3_3_OnlyASignUpUnderWayIsKeptInTheTab(t *testing.T) {
	t.Parallel()
	storage := regexp.MustCompile(`localStorage|indexedDB|IndexedDB|\bcaches\b|cookieStore|document\.cookie|serviceWorker|sessionStorage[.\w]*\('?\w*`)
	kept := make(map[string][]string)
	scripts, err := fs.Glob(spa.Files, "*.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range scripts {
		script, err := fs.ReadFile(spa.Files, name)
		if err != nil {
			t.Fatal(err)
		}
		if found := storage.FindAllString(string(script), -1); found != nil {
			kept[name] = found
		}
	}
	want := map[string][]string{"app.js": {"sessionStorage.getItem('signup", "sessionStorage.setItem('signup", "sessionStorage.removeItem('signup"}}
	if !maps.EqualFunc(kept, want, slices.Equal) {
		t.Errorf("the app keeps %q", kept)
	}
}
