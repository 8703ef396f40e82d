package api_test

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// each runs a check over all answers as one subtest.
func each(t *testing.T, name string, all []gift, wrong func(a gift) bool) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		if len(all) < 500 {
			t.Fatalf("there are only %d answers", len(all))
		}
		for _, a := range all {
			if wrong(a) {
				t.Errorf("%s has %v %.200s", a.what, a.header, a.body)
			}
		}
	})
}

// only reports whether the answer has the header once, with this value.
func (a answer) only(name, value string) bool {
	values := a.header.Values(name)
	return len(values) == 1 && values[0] == value
}

const jsonType, problemType = "application/json; charset=utf-8", "application/problem+json; charset=utf-8"

func headersOf(t *testing.T, all []gift) {
	t.Helper()
	directives := func(a gift) map[string]string {
		policy := make(map[string]string)
		for directive := range strings.SplitSeq(a.header.Get("Content-Security-Policy"), ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), " ")
			policy[name] = value
		}
		return policy
	}
	each(t, "ASVS-3.2.1 ASVS-3.4.4 ASVS-3.5.7 none can be taken for a page, an image or a script", all, func(a gift) bool {
		_, sandbox := directives(a)["sandbox"]
		object := a.body == "" || strings.HasPrefix(a.body, "{") // which is no statement of JavaScript with names in it
		return !a.only("X-Content-Type-Options", "nosniff") || !sandbox || !object || strings.Contains(a.header.Get("Content-Type"), "html")
	})
	each(t, "ASVS-3.4.1 each tells browsers to stay with https for a year", all, func(a gift) bool {
		age, rest, _ := strings.Cut(a.header.Get("Strict-Transport-Security"), ";")
		seconds, err := strconv.Atoi(strings.TrimPrefix(age, "max-age="))
		return err != nil || seconds < 31536000 || strings.TrimSpace(rest) != "includeSubDomains"
	})
	each(t, "ASVS-3.4.3 ASVS-14.2.3 each forbids whatever could be fetched", all, func(a gift) bool {
		policy := directives(a)
		reports := a.header.Get("Report-To") + a.header.Get("Reporting-Endpoints") + a.header.Get("Nel") + a.header.Get("Link") + a.header.Get("Refresh")
		return len(a.header.Values("Content-Security-Policy")) != 1 || policy["default-src"] != "'none'" || policy["base-uri"] != "'none'" ||
			policy["form-action"] != "'none'" || reports != ""
	})
	each(t, "ASVS-3.4.5 ASVS-14.2.3 none lets its address go on to others", all, func(a gift) bool {
		return !a.only("Referrer-Policy", "no-referrer")
	})
	each(t, "ASVS-3.4.6 none can be framed", all, func(a gift) bool { return directives(a)["frame-ancestors"] != "'none'" })
	each(t, "ASVS-3.4.8 none shares a browsing context", all, func(a gift) bool { return !a.only("Cross-Origin-Opener-Policy", "same-origin") })
	each(t, "ASVS-3.5.8 none can be embedded", all, func(a gift) bool { return !a.only("Cross-Origin-Resource-Policy", "same-origin") })
	each(t, "ASVS-13.4.6 none tells what runs here", all, func(a gift) bool {
		for _, name := range []string{"Server", "X-Powered-By", "Via", "X-Runtime", "X-Version", "X-Generator"} {
			if a.header.Values(name) != nil {
				return true
			}
		}
		return false
	})
	each(t, "ASVS-14.2.2 ASVS-14.3.2 none is kept by a cache", all, func(a gift) bool {
		return !a.only("Cache-Control", "no-store") || a.header.Get("Expires") != "" || a.header.Get("Age") != ""
	})
	each(t, "S-21 a redirect is a 303, and S-10 has no body", all, func(a gift) bool {
		redirects := a.header.Get("Location") != "" && a.status != http.StatusAccepted
		return redirects != (a.status == http.StatusSeeOther) || redirects && a.body != "" ||
			a.status >= 300 && a.status < 400 && a.status != http.StatusSeeOther && a.status != http.StatusNotModified
	})
	t.Run("each has a request's id of its own", func(t *testing.T) {
		t.Parallel()
		wellFormed := regexp.MustCompile(`^[0-9a-f]{32}$`)
		seen := make(map[string]bool)
		for _, a := range all {
			ids := a.header.Values("X-Request-Id")
			if len(ids) != 1 || !wellFormed.MatchString(ids[0]) || seen[ids[0]] {
				t.Errorf("%s has the ids %q", a.what, ids)
				continue
			}
			seen[ids[0]] = true
		}
	})
}

func bodiesOf(t *testing.T, w *world, all []gift) {
	t.Helper()
	each(t, "ASVS-4.1.1 each with a body names its media type and charset", all, func(a gift) bool {
		types := a.header.Values("Content-Type")
		want := jsonType
		if a.status >= http.StatusBadRequest {
			want = problemType
		}
		if a.body == "" {
			return len(types) != 0
		}
		return len(types) != 1 || types[0] != want
	})
	each(t, "ASVS-4.2.2 each is as long as it says", all, func(a gift) bool {
		if a.method == http.MethodHead || a.status == http.StatusNotModified || a.status == http.StatusNoContent {
			return a.body != ""
		}
		streamed := a.length == -1 && len(a.body) > 2048 // in chunks, each of which says its length
		return a.length != int64(len(a.body)) && !streamed
	})
	inside := regexp.MustCompile(`(?i)panic|goroutine|\.go\b|runtime|nil pointer|sql|postgres|pgx|gorm|river|echo|SELECT |` +
		`stack|/internal|0x[0-9a-f]{6}|beyond|dial tcp|127\.0\.0\.1:`)
	each(t, "ASVS-16.5.1 an error says nothing of the inside", all, func(a gift) bool {
		return a.status >= http.StatusBadRequest && inside.MatchString(a.body)
	})
	t.Run("BBA-18 ASVS-10.1.1 none holds a token of the provider's, a verifier or a credential of ours", func(t *testing.T) {
		t.Parallel()
		if len(w.secrets.tokens) < 12 { // four logins, each with two tokens and a verifier
			t.Errorf("they are searched for %d tokens only", len(w.secrets.tokens))
		}
		w.secrets.check(t, "")
		for _, a := range all {
			for _, token := range w.secrets.tokens {
				if strings.Contains(a.body, token) {
					t.Errorf("%s holds %.12s…", a.what, token)
				}
			}
		}
	})
	t.Run("ASVS-16.2.5 nor does the log, nor anybody's address, receipt or code", func(t *testing.T) {
		t.Parallel()
		text := w.log.text()
		if len(w.secrets.personal) < 20 || len(text) < 10_000 {
			t.Errorf("%d bytes are searched for %d secrets", len(text), len(w.secrets.personal))
		}
		w.secrets.check(t, text)
	})
}
