package docs

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/portico-id/portico"
)

//go:embed redoc.standalone.js.sha256
var bundleSum string

func unzipped(t *testing.T, pressed []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(pressed))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestTheBundleIsTheOneThatWasFetched(t *testing.T) {
	t.Parallel()
	raw := unzipped(t, bundle)
	sum := sha256.Sum256(raw)
	if got := hex.EncodeToString(sum[:]); got != strings.TrimSpace(bundleSum) {
		t.Errorf("its hash is %s", got)
	}
	license, err := os.ReadFile("redoc.LICENSE.txt")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("fetch.sh")
	if err != nil {
		t.Fatal(err)
	}
	version, _, _ := strings.Cut(strings.TrimPrefix(string(license), "Redoc "), ",")
	if !bytes.Contains(script, []byte("version="+version+"\n")) || !strings.Contains(string(license), "The MIT License") {
		t.Errorf("the licence is of version %q", version)
	}
	for _, host := range []string{"cdn.redoc.ly", "fonts.googleapis", "fonts.gstatic", "google-analytics"} {
		if bytes.Contains(raw, []byte(host)) {
			t.Errorf("it names %s", host)
		}
	}
}

func TestTheContractAsJSONKeepsItsOrder(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ yaml, json string }{
		"fields as they stand":    {"b: 1\na: 2", `{"b":1,"a":2}`},
		"a list":                  {"[c, a, b]", `["c","a","b"]`},
		"a status as a name":      {"200: { x: true }", `{"200":{"x":true}}`},
		"a time stays as written": {"at: 2026-11-22T14:12:05.124824Z", `{"at":"2026-11-22T14:12:05.124824Z"}`},
		"a block":                 {"d: |\n  one\n  two\n", `{"d":"one\ntwo\n"}`},
		"nothing":                 {"n:", `{"n":null}`},
		"numbers":                 {"[1.5, 9007199254740993, '1']", `[1.5,9007199254740993,"1"]`},
		"empty ones":              {"{ a: {}, b: [] }", `{"a":{},"b":[]}`},
		"what stands elsewhere":   {"a: &x { c: 1 }\nb: *x", `{"a":{"c":1},"b":{"c":1}}`},
		"what HTML would take":    {"h: </script>", `{"h":"\u003c/script\u003e"}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := asJSON([]byte(test.yaml)); err != nil || string(got) != test.json {
				t.Errorf("got %s (%v)", got, err)
			}
		})
	}
	for name, broken := range map[string]string{"nothing at all": "", "no YAML": "a: [", "a number that JSON lacks": "a: .inf"} {
		t.Run(name+" is refused", func(t *testing.T) {
			t.Parallel()
			if got, err := asJSON([]byte(broken)); err == nil {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestThePageHasTheWholeContract(t *testing.T) {
	t.Parallel()
	site, err := New(portico.Contract, "https://api.example.com")
	if err != nil {
		t.Fatal(err)
	}
	var started []byte
	for name, f := range site.files {
		if strings.HasPrefix(name, "start-") {
			started = unzipped(t, f.gzipped)
		}
	}
	_, rest, _ := bytes.Cut(started, []byte("Redoc.init(\n  "))
	data, _, ends := bytes.Cut(rest, []byte(",\n  {\n    downloadUrls"))
	var contract struct {
		Servers []struct{ URL string }
		Paths   map[string]any
	}
	if err := json.Unmarshal(data, &contract); err != nil || !ends {
		t.Fatalf("the page's data is no JSON: %v", err)
	}
	if len(contract.Servers) != 1 || contract.Servers[0].URL != "https://api.example.com" || contract.Paths["/signup"] == nil {
		t.Errorf("the servers are %v, of %d paths", contract.Servers, len(contract.Paths))
	}
}

func TestAContractWithoutItsServerIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := New([]byte("openapi: 3.1.0\n"), "https://api.example.com"); err == nil {
		t.Error("a server was replaced that is not there")
	}
}
