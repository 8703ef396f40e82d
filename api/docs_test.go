package api_test

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/portico-id/portico"
	"github.com/portico-id/portico/api"
	"github.com/portico-id/portico/api/docs"
)

// withDocs gives the API its page.
func withDocs(t *testing.T) func(*api.Config) {
	t.Helper()
	return func(config *api.Config) {
		page, err := docs.New(portico.Contract, config.PublicURL)
		if err != nil {
			t.Fatal(err)
		}
		config.Docs = page
	}
}

// fetched is an answer as it came: nothing is decompressed on the way.
type fetched struct {
	status int
	header http.Header
	body   []byte
}

// fetch sends one request, as no helper of apps would.
func fetch(t *testing.T, method, url string, headers ...header) fetched {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		request.Header.Set(h.name, h.value)
	}
	client := &http.Client{Transport: &http.Transport{
		DisableCompression: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fetched{response.StatusCode, response.Header, body}
}

func TestTheContractAsAPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{serve: withDocs(t)})

	page := fetch(t, http.MethodGet, w.url+"/docs")
	t.Run("the page is there, hardened and not to be kept", func(t *testing.T) {
		t.Parallel()
		for name, want := range map[string]string{
			"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": docs.Policy, "Cache-Control": "no-store",
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := page.header.Get(name); got != want {
				t.Errorf("%s is %q", name, got)
			}
		}
		if page.status != http.StatusOK || len(page.header.Get("X-Request-Id")) != 32 || page.header.Get("Set-Cookie") != "" {
			t.Errorf("the answer is %d with %v", page.status, page.header)
		}
		// Of a sandbox, allow-same-origin would give back what it takes away.
		if strings.Contains(docs.Policy, "allow-same-origin") || strings.Contains(docs.Policy, "connect-src") {
			t.Errorf("the page could ask for something: %s", docs.Policy)
		}
	})

	files := regexp.MustCompile(`(?:src|href)="(/docs/[^"]+)"`).FindAllStringSubmatch(string(page.body), -1)
	if len(files) != 3 {
		t.Fatalf("the page has the files %q", files)
	}
	for _, file := range files {
		t.Run("its files may be kept for good: "+file[1], func(t *testing.T) {
			t.Parallel()
			testDocsFile(t, w.url+file[1])
		})
	}

	t.Run("what it names is all that there is of it", func(t *testing.T) {
		t.Parallel()
		for _, reference := range regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(string(page.body), -1) {
			if !strings.HasPrefix(reference[1], "/docs/") && !slices.Contains([]string{"data:,", "/openapi.yaml"}, reference[1]) {
				t.Errorf("the page refers to %s", reference[1])
			}
		}
		for _, path := range []string{"/docs/", "/docs/nothing.js", "/docs/redoc.js", "/docs/..%2fopenapi.yaml", "/docs/a/b", "/openapi.json", "/openapi.yaml/"} {
			w.browser().in(t).get(path).is(http.StatusNotFound, "not_found")
		}
		for _, path := range []string{"/docs", "/openapi.yaml", files[0][1]} {
			w.browser().in(t).post(path, `{}`).is(http.StatusMethodNotAllowed, "method_not_allowed")
		}
	})

	t.Run("HEAD is GET without the body", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{"/docs", "/openapi.yaml", files[0][1], files[1][1]} {
			get := fetch(t, http.MethodGet, w.url+path, header{"Accept-Encoding", "gzip"})
			head := fetch(t, http.MethodHead, w.url+path, header{"Accept-Encoding", "gzip"})
			if head.status != http.StatusOK || len(head.body) != 0 || head.header.Get("Content-Length") != get.header.Get("Content-Length") ||
				head.header.Get("Content-Type") != get.header.Get("Content-Type") {
				t.Errorf("HEAD %s answers %d with %v", path, head.status, head.header)
			}
		}
	})
}

// testDocsFile looks at one file of the page in all the ways that it is sent.
func testDocsFile(t *testing.T, url string) {
	t.Helper()
	pressed := fetch(t, http.MethodGet, url, header{"Accept-Encoding", "br, gzip;q=0.5"})
	plain := fetch(t, http.MethodGet, url, header{"Accept-Encoding", "gzip;q=0, identity"})
	unzipped, err := gzip.NewReader(bytes.NewReader(pressed.body))
	if err != nil {
		t.Fatal(err)
	}
	if whole, err := io.ReadAll(unzipped); err != nil || !bytes.Equal(whole, plain.body) {
		t.Errorf("it holds something else when it is compressed: %v", err)
	}
	if pressed.header.Get("Content-Encoding") != "gzip" || plain.header.Get("Content-Encoding") != "" || pressed.header.Get("Etag") == plain.header.Get("Etag") {
		t.Errorf("the answers are %v and %v", pressed.header, plain.header)
	}
	for _, answer := range []fetched{pressed, plain} {
		if answer.header.Get("Cache-Control") != "public, max-age=31536000, immutable" || !slices.Contains(answer.header.Values("Vary"), "Accept-Encoding") ||
			answer.header.Get("Cross-Origin-Resource-Policy") != "cross-origin" || !strings.HasPrefix(answer.header.Get("Content-Type"), "text/") {
			t.Errorf("the headers are %v", answer.header)
		}
		encoding := header{"Accept-Encoding", "identity"}
		if answer.header.Get("Content-Encoding") != "" {
			encoding.value = "gzip"
		}
		for _, known := range []string{answer.header.Get("Etag"), `"another", W/` + answer.header.Get("Etag"), "*"} {
			again := fetch(t, http.MethodGet, url, encoding, header{"If-None-Match", known})
			if again.status != http.StatusNotModified || len(again.body) != 0 || again.header.Get("Etag") != answer.header.Get("Etag") {
				t.Errorf("to whoever has %s it answers %d", known, again.status)
			}
		}
		if other := fetch(t, http.MethodGet, url, encoding, header{"If-None-Match", `"another"`}); other.status != http.StatusOK {
			t.Errorf("to whoever has another it answers %d", other.status)
		}
	}
}

func TestTheContractAsItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{serve: withDocs(t)})
	answer := fetch(t, http.MethodGet, w.url+"/openapi.yaml")
	if answer.status != http.StatusOK || answer.header.Get("Content-Type") != "application/yaml" || answer.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("the answer is %d with %v", answer.status, answer.header)
	}
	var served, ours map[string]any
	for raw, into := range map[*[]byte]*map[string]any{&answer.body: &served, &portico.Contract: &ours} {
		if err := yaml.Unmarshal(*raw, into); err != nil {
			t.Fatal(err)
		}
	}
	servers, ok := served["servers"].([]any)
	if !ok || len(servers) != 1 {
		t.Fatalf("the servers are %v", served["servers"])
	}
	if server, ok := servers[0].(map[string]any); !ok || len(server) != 1 || server["url"] != w.url {
		t.Errorf("the server is %v", servers[0])
	}
	delete(served, "servers")
	delete(ours, "servers")
	if len(served) < 5 || !equal(served, ours) {
		t.Error("what is served is not the contract")
	}
}

// equal compares two documents by what they say.
func equal(a, b map[string]any) bool {
	one, err := yaml.Marshal(a)
	if err != nil {
		return false
	}
	other, err := yaml.Marshal(b)
	return err == nil && bytes.Equal(one, other)
}
