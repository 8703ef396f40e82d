package api

import (
	"net/url"
	"strings"
	"testing"
)

const (
	appOrigin   = "https://app.example"
	otherOrigin = "https://other.example:8443"
)

func targets(t testing.TB) returnTargets {
	t.Helper()
	fallback, err := url.Parse(appOrigin + "/home")
	if err != nil {
		t.Fatal(err)
	}
	return returnTargets{fallback: fallback, origins: map[string]bool{appOrigin: true, otherOrigin: true}}
}

// browserOrigin reads a URL as a browser does where that is more lenient than
// net/url (WHATWG URL §4.4): controls and spaces at the ends and all tabs and
// newlines vanish, "\" is "/", any number of slashes may follow the scheme,
// and whatever comes before the last "@" is not the host.
func browserOrigin(raw string) string {
	raw = strings.TrimFunc(raw, func(r rune) bool { return r <= ' ' })
	raw = strings.NewReplacer("\t", "", "\n", "", "\r", "", "\\", "/").Replace(raw)
	scheme, rest, ok := strings.Cut(raw, ":")
	if !ok {
		return "relative"
	}
	rest = strings.TrimLeft(rest, "/")
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		authority = authority[at+1:]
	}
	if decoded, err := url.PathUnescape(authority); err == nil {
		authority = decoded
	}
	return strings.ToLower(scheme) + "://" + strings.ToLower(authority)
}

// stays fails unless the target's origin is a configured one, for us and for a
// browser, and the target fits into a header and a flow.
func stays(t *testing.T, wish, resolved string) {
	t.Helper()
	u, err := url.Parse(resolved)
	if err != nil {
		t.Fatalf("%q resolves to %q: %v", wish, resolved, err)
	}
	ours, theirs := u.Scheme+"://"+u.Host, browserOrigin(resolved)
	for _, origin := range []string{ours, theirs} {
		if origin != appOrigin && origin != otherOrigin {
			t.Errorf("%q resolves to %q, which leads to %q", wish, resolved, origin)
		}
	}
	if ours != theirs {
		t.Errorf("%q resolves to %q: net/url reads %q, browsers read %q", wish, resolved, ours, theirs)
	}
	for i := range len(resolved) {
		if resolved[i] <= ' ' || resolved[i] >= 0x7f {
			t.Errorf("%q resolves to %q, which is no header's value", wish, resolved)
			break
		}
	}
	if len(resolved) > maxReturnTo {
		t.Errorf("%q resolves to %d bytes", wish, len(resolved))
	}
	if failed := withError(resolved, "flow_used"); browserOrigin(failed) != theirs || !strings.Contains(failed, "error=flow_used") {
		t.Errorf("%q leads to %q when the login fails", wish, failed)
	}
}

// accepted are wishes and what they stand for.
var accepted = map[string]string{
	"":                                   appOrigin + "/home",
	"/":                                  appOrigin + "/",
	"/profile":                           appOrigin + "/profile",
	"/profile?tab=2&x=%2F%2Fevil":        appOrigin + "/profile?tab=2&x=%2F%2Fevil",
	"/profile?next=//evil.example":       appOrigin + "/profile?next=//evil.example",
	"/profile#//evil.example":            appOrigin + "/profile#//evil.example",
	"/a//b":                              appOrigin + "/a//b",
	"/%09/evil.example":                  appOrigin + "/%09/evil.example",
	"/..//evil.example":                  appOrigin + "/..//evil.example",
	"/@evil.example":                     appOrigin + "/@evil.example",
	"/:80":                               appOrigin + "/:80",
	"/javascript:alert(1)":               appOrigin + "/javascript:alert(1)",
	"/é":                                 appOrigin + "/%C3%A9",
	"/?q=é":                              appOrigin + "/?q=%C3%A9",
	"/?q=a;b":                            appOrigin + "/?q=a;b",
	"/#é":                                appOrigin + "/#%C3%A9",
	"/%0d%0aSet-Cookie:x=y":              appOrigin + "/%0d%0aSet-Cookie:x=y",
	appOrigin:                            appOrigin,
	appOrigin + "/x":                     appOrigin + "/x",
	appOrigin + "?x":                     appOrigin + "?x",
	appOrigin + "#x":                     appOrigin + "#x",
	"HTTPS://app.example/x":              appOrigin + "/x",
	otherOrigin + "/deep/link":           otherOrigin + "/deep/link",
	appOrigin + "/@evil.example":         appOrigin + "/@evil.example",
	appOrigin + "/x?y=https://evil.test": appOrigin + "/x?y=https://evil.test",
}

// refused are wishes that lead elsewhere, or might for some reader.
var refused = []string{
	"//evil.example", "///evil.example", "////evil.example", "/\\evil.example", "\\\\evil.example", "\\/evil.example",
	"/\t/evil.example", "\t//evil.example", "/\n/evil.example", "/\r/evil.example", " //evil.example", "//evil.example ",
	"/ /evil.example", "\x00//evil.example", "/x\x00", "/x\x7f", "/x\r\nSet-Cookie: portico=x", "/%2F/evil.example",
	"/%2f%2fevil.example", "/%5Cevil.example", "/%5c%5cevil.example", "/x%5C..%5C", "/\u2028\xff",
	"//evil.example/%2F..", "//app.example", "//app.example@evil.example", "//evil.example\\@app.example",
	"https:evil.example", "https:/evil.example", "https:///evil.example", "https:\\\\evil.example", "https:\\/evil.example",
	"https:/app.example", "https:app.example", "https:///app.example", "http://app.example/x", "ftp://app.example/x",
	"wss://app.example/x", "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", "javascript://app.example/%0aalert(1)",
	"data:text/html,x", "vbscript:x", "blob:https://app.example/x", "file:///etc/passwd", "about:blank", "view-source:https://app.example",
	"https://evil.example", "https://evil.example/https://app.example", "https://app.example.evil.example/", "https://evilapp.example/",
	"https://app.example@evil.example/", "https://user@app.example/", "https://user:pass@app.example/", "https://@app.example/",
	"https://:@app.example/", "https://evil.example#@app.example/", "https://evil.example?@app.example/", "https://evil.example\\@app.example/",
	"https://app.example:80/", "https://app.example:443/", "https://app.example:/", "https://app.example:8443/", "https://other.example/",
	"https://app.example./", "https://.app.example/", "https://APP.example/", "https://App.Example:443/", "https://app%2eexample/",
	"https://app.example%2f.evil.example/", "https://app.example%00.evil.example/", "https://app.example%5c.evil.example/",
	"https://app．example/", "https://аpp.example/", "https://ａpp.example/", "https://app.example\u3002evil/", "https://app.examp\u00ade/",
	"https://[::1]/", "https://127.0.0.1/", "https://0x7f.1/", "https://[app.example]/", "https://app.example\tevil/",
	"profile", "./profile", "../profile", "?x=1", "#x", ":", "://app.example", "https://", "https:", "%", "/%", "/%zz", "/\ufffd",
	"*", "@app.example", "app.example", "app.example/x", "/x\\y", "https://app.example\\evil",
}

func TestReturnTargets(t *testing.T) {
	t.Parallel()
	where := targets(t)
	t.Run("S-01 ASVS-3.7.2 wishes that are fulfilled", func(t *testing.T) {
		t.Parallel()
		for wish, want := range accepted {
			got, ok := where.resolve(wish)
			if !ok || got != want {
				t.Errorf("%q resolves to %q, %t, not to %q", wish, got, ok, want)
				continue
			}
			stays(t, wish, got)
		}
	})
	t.Run("S-01 ASVS-3.7.2 wishes that lead elsewhere", func(t *testing.T) {
		t.Parallel()
		for _, wish := range refused {
			if got, ok := where.resolve(wish); ok {
				t.Errorf("%q resolves to %q", wish, got)
			}
		}
	})
	t.Run("an error joins the app's own parameters", func(t *testing.T) {
		t.Parallel()
		for target, want := range map[string]string{
			"https://app.example":                            "https://app.example?error=flow_used",
			"https://app.example/x?b=2&a=%20;1#part":         "https://app.example/x?b=2&a=%20;1&error=flow_used#part",
			"https://app.example/?error=planted&%65rror=2":   "https://app.example/?error=flow_used",
			"https://app.example/?error_description=planted": "https://app.example/?error_description=planted&error=flow_used",
		} {
			if got := withError(target, "flow_used"); got != want {
				t.Errorf("%q becomes %q, not %q", target, got, want)
			}
		}
	})
	t.Run("a target that fits only until it is written out", func(t *testing.T) {
		t.Parallel()
		fits := "/" + strings.Repeat("a", maxReturnTo-len(appOrigin)-1)
		if _, ok := where.resolve(fits); !ok {
			t.Error("the longest target is refused")
		}
		for _, wish := range []string{fits + "a", "/" + strings.Repeat("é", 600), appOrigin + "/?" + strings.Repeat("é", 600), "/" + strings.Repeat("a", 1<<16)} {
			if got, ok := where.resolve(wish); ok {
				t.Errorf("%d bytes resolve to %d", len(wish), len(got))
			}
		}
	})
}

func FuzzS01ReturnTo(f *testing.F) {
	for wish := range accepted {
		f.Add(wish)
	}
	for _, wish := range refused {
		f.Add(wish)
	}
	where := targets(f)
	f.Fuzz(func(t *testing.T, wish string) {
		if resolved, ok := where.resolve(wish); ok {
			stays(t, wish, resolved)
		}
	})
}
