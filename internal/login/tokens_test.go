package login_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/login/hostile"
)

// set returns a change of one claim; nil deletes it.
func set(name string, value any) func(*world) {
	return func(w *world) {
		w.provider.Claims = func(c object) {
			if value == nil {
				delete(c, name)
				return
			}
			c[name] = value
		}
	}
}

// at returns a change of one claim to a time relative to now.
func at(name string, offset time.Duration) func(*world) {
	return func(w *world) { set(name, w.clock.now().Add(offset).Unix())(w) }
}

// head returns a change of one header parameter; nil deletes it.
func head(name string, value any) func(*world) {
	return func(w *world) {
		w.provider.Header = func(h object) { h[name] = value }
	}
}

func unpadded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// forgery is an ID token in the making, as text: so that it can hold what no
// encoder would write.
type forgery struct {
	header, payload string
	signing         hostile.Signing
	after           func(token string) string
}

type outcome int

const (
	passes outcome = iota
	refused
	another // a sound token about somebody else than UserInfo is
)

type tokenCase struct {
	name string
	make func(*forgery)
	want outcome
}

// TestTokens holds every forgery against its verdict. No token is used before
// the ID token has passed (RFC 9700 §4.5.3.2).
func TestTokens(t *testing.T) {
	cases := slices.Concat(claimCases(), extraClaimCases(), headerCases(), algorithmCases(), formCases())
	if len(cases) < 120 {
		t.Fatalf("%d tokens, want at least 120", len(cases))
	}
	names, tokens := map[string]bool{}, map[string]string{}
	for _, c := range cases {
		if names[c.name] {
			t.Fatalf("%s is there twice", c.name)
		}
		names[c.name] = true
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.discover()
			outline := w.forge(c.make)
			if c.want == another {
				if _, err := w.logIn(); !errors.Is(err, login.ErrIdentityRejected) {
					t.Errorf("Finish = %v, want ErrIdentityRejected", err)
				}
			} else {
				w.wants(c.want == passes)
			}
			if first, ok := tokens[*outline]; ok {
				t.Errorf("it is the same token as in %q", first)
			}
			tokens[*outline] = c.name
			for path, reason := range map[string]string{
				"/evil": "an address in the token was fetched", // ASVS 9.1.3
			} {
				if w.provider.Count(path) != 0 {
					t.Error(reason)
				}
			}
		})
	}
	t.Logf("%d different tokens", len(tokens))
}

// forge has the provider answer with a forgery. What it returns is set when the
// token has been asked for: its text, without what differs from run to run.
func (w *world) forge(change func(*forgery)) (outline *string) {
	w.Helper()
	outline = new(string)
	w.provider.JWKS = jwks(
		hostile.JWK("one", hostile.TestKeys().RSA.Public()),
		hostile.JWK("curve", hostile.TestKeys().P256.Public()),
	)
	w.provider.Handlers["/evil"] = func(rw http.ResponseWriter, _ *http.Request) {
		hostile.Write(rw, http.StatusOK, object{"keys": []object{hostile.JWK("evil", hostile.TestKeys().OtherRSA.Public())}})
	}
	w.provider.IDToken = func(signed string) any {
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(signed, ".")[1])
		if err != nil {
			w.Error(err)
		}
		var standard map[string]json.RawMessage
		if err := json.Unmarshal(payload, &standard); err != nil {
			w.Error(err)
		}
		f := &forgery{
			header:  `{"alg":"RS256","kid":"one","typ":"JWT"}`,
			payload: string(payload),
			signing: w.provider.Signing,
		}
		change(f)
		f.header = strings.ReplaceAll(f.header, "ISSUER", w.provider.Issuer)
		token := hostile.Compact(w, []byte(f.header), []byte(f.payload), f.signing)
		same := strings.NewReplacer(w.provider.Issuer, "ISSUER", string(standard["nonce"]), "NONCE", string(standard["at_hash"]), "HASH")
		*outline = same.Replace(f.header + "." + f.payload + "." + fmt.Sprint(f.signing))
		if f.after != nil {
			before := token
			token = f.after(token)
			*outline += strconv.Quote(strings.ReplaceAll(token, before, "TOKEN"))
		}
		return token
	}
	return outline
}

// mutation writes a claim in another way. It returns the members of the payload
// that take its place, "" for none.
type mutation func(name, value string) string

func as(value string) mutation {
	return func(name, _ string) string { return strconv.Quote(name) + ":" + value }
}

// inside replaces the content of a text.
func inside(change func(string) string) mutation {
	return func(name, value string) string {
		return strconv.Quote(name) + `:"` + change(strings.Trim(value, `"`)) + `"`
	}
}

// anyClaim are the mutations that every claim is put through.
func anyClaim() map[string]mutation {
	return map[string]mutation{
		"absent":          func(string, string) string { return "" },
		"null":            as("null"),
		"an empty text":   as(`""`),
		"true":            as("true"),
		"an object":       as("{}"),
		"an empty list":   as("[]"),
		"a list of zero":  as("[0]"),
		"in a list":       func(name, value string) string { return as("["+value+"]")(name, value) },
		"in a list twice": func(name, value string) string { return as("["+value+","+value+"]")(name, value) },
		"twice":           func(name, value string) string { return as(value)(name, "") + "," + as(value)(name, "") },
		"twice, the first one null": func(name, value string) string {
			return as("null")(name, "") + "," + as(value)(name, "")
		},
		"under its name in capitals": func(name, value string) string { return as(value)(strings.ToUpper(name), "") },
		"under its name and in capitals": func(name, value string) string {
			return as(value)(name, "") + "," + as(`"x"`)(strings.ToUpper(name), "")
		},
		"under its name with a space": func(name, value string) string { return as(value)(name+" ", "") },
		"under its name, escaped": func(name, value string) string {
			return `"\u00` + strconv.FormatInt(int64(name[0]), 16) + name[1:] + `":` + value
		},
	}
}

// textClaim are those for a claim that is a text.
func textMutations() map[string]mutation {
	return map[string]mutation{
		"a number":                as("17"),
		"another":                 as(`"another"`),
		"a space more":            inside(func(s string) string { return s + " " }),
		"a space before":          inside(func(s string) string { return " " + s }),
		"a line break more":       inside(func(s string) string { return s + `\n` }),
		"a NUL more":              inside(func(s string) string { return s + `\u0000` }),
		"a zero-width space more": inside(func(s string) string { return s + "\u200b" }),
		"a look-alike":            inside(func(s string) string { return "\u0430" + s[1:] }), // Cyrillic a
		"in capitals":             inside(func(s string) string { return strings.ToUpper(s) + "X" }),
		"cut short":               inside(func(s string) string { return s[:len(s)-1] }),
		"256 characters long":     as(`"` + strings.Repeat("a", 256) + `"`),
		"in invalid UTF-8":        inside(func(s string) string { return s + "\xff" }),
		"with half a surrogate":   inside(func(s string) string { return s + `\ud800` }),
		"escaped":                 inside(func(s string) string { return `\u00` + strconv.FormatInt(int64(s[0]), 16) + s[1:] }),
	}
}

// dateMutations are those for a claim that is a date.
func dateMutations() map[string]mutation {
	shifted := func(by time.Duration) mutation {
		return func(name, value string) string {
			seconds, _ := strconv.ParseInt(value, 10, 64)
			return as(strconv.FormatInt(seconds+int64(by/time.Second), 10))(name, "")
		}
	}
	return map[string]mutation{
		"a text":           func(name, value string) string { return as(strconv.Quote(value))(name, "") },
		"zero":             as("0"),
		"negative":         as("-1"),
		"beyond all years": as("1e300"),
		"a billion digits": as("1e1000000000"),
		"a hex number":     as("0x70000000"),
		"in milliseconds":  func(name, value string) string { return as(value+"000")(name, "") },
		"with a fraction":  func(name, value string) string { return as(value+".25")(name, "") },
		"in an hour":       shifted(time.Hour),
		"a week ago":       shifted(-7 * 24 * time.Hour),
	}
}

// accepted are the mutations after which a token is still one for us. What is
// not listed is refused.
func accepted() map[string][]string {
	same := []string{"under its name, escaped", "escaped"}
	exact := plus(same, "under its name and in capitals") // the library folds the names of the others
	unknown := plus(exact, "absent", "null", "under its name in capitals", "under its name with a space")
	kept := plus(unknown, "another", "a space more", "a space before", "a zero-width space more", "a look-alike", "in capitals", "cut short", "an empty text")
	past := []string{"with a fraction", "zero", "a week ago"}
	return map[string][]string{
		"iss": same, "sub": exact, "nonce": exact,
		"aud":       plus(same, "in a list", "in a list twice"),
		"azp":       unknown,
		"at_hash":   plus(same, "absent", "null", "under its name with a space"),
		"acr":       kept,
		"sid":       kept,
		"amr":       plus(unknown, "an empty list"),
		"exp":       plus(same, "with a fraction", "in an hour"),
		"iat":       plus(same, "with a fraction"),
		"nbf":       slices.Concat(same, past, []string{"absent", "null", "under its name in capitals", "under its name with a space"}),
		"auth_time": plus(unknown, past...),
	}
}

// plus returns a list of its own, because append may write into the first one's.
func plus(names []string, more ...string) []string { return slices.Concat(names, more) }

func claimCases() (cases []tokenCase) {
	texts, dates := []string{"iss", "sub", "aud", "azp", "nonce", "at_hash", "acr", "sid"}, []string{"exp", "iat", "nbf", "auth_time"}
	others := map[string][]string{"sub": {
		"another", "a space more", "a space before", "a zero-width space more", "a look-alike", "in capitals", "cut short",
	}}
	for _, claim := range slices.Concat(texts, dates, []string{"amr"}) {
		mutations := anyClaim()
		switch {
		case slices.Contains(texts, claim):
			maps.Copy(mutations, textMutations())
		case slices.Contains(dates, claim):
			maps.Copy(mutations, dateMutations())
		}
		for _, name := range slices.Sorted(maps.Keys(mutations)) {
			want := refused
			switch {
			case slices.Contains(accepted()[claim], name):
				want = passes
			case slices.Contains(others[claim], name):
				want = another
			}
			cases = append(cases, tokenCase{
				name: claim + " " + name,
				make: func(f *forgery) { f.payload = rewrite(f.payload, claim, mutations[name]) },
				want: want,
			})
		}
	}
	return cases
}

// rewrite puts a payload through a mutation of one claim.
func rewrite(payload, claim string, change mutation) string {
	var standard map[string]json.RawMessage
	if json.Unmarshal([]byte(payload), &standard) != nil {
		return payload
	}
	standard["azp"] = json.RawMessage(strconv.Quote(clientID))
	standard["nbf"] = standard["iat"]
	var members []string
	for _, name := range slices.Sorted(maps.Keys(standard)) {
		member := as(string(standard[name]))(name, "")
		if name == claim {
			member = change(name, string(standard[name]))
		}
		if member != "" {
			members = append(members, member)
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}
