package login_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/portico-id/portico/internal/login"
)

// resign returns an ID token replacement: claims given as text, so that a case
// can hold what json.Marshal would not write.
func (w *world) resign(change func(claims string) string) func(string) any {
	return func(signed string) any {
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(signed, ".")[1])
		if err != nil {
			w.Error(err)
		}
		return w.provider.sign([]byte(change(string(payload))))
	}
}

// set returns a change of one claim; nil deletes it.
func set(name string, value any) func(*world) {
	return func(w *world) {
		w.provider.claims = func(c object) {
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
		w.provider.header = func(h map[jose.HeaderKey]any) { h[jose.HeaderKey(name)] = value }
	}
}

func text(change func(string) string) func(*world) {
	return func(w *world) { w.provider.idToken = w.resign(change) }
}

// add puts more claims, as JSON text, at the end of the payload.
func add(more string) func(*world) {
	return text(func(claims string) string { return strings.TrimSuffix(claims, "}") + "," + more + "}" })
}

func TestIDToken(t *testing.T) {
	const ok, refused = true, false
	long := strings.Repeat("a", 256)
	for _, c := range []struct {
		name   string
		change func(*world)
		passes bool
	}{
		{"oidcc-client-test-idtoken-sig-rs256", func(*world) {}, ok},
		{"an ES256 signature", func(w *world) { w.signES256() }, ok},

		{"oidcc-client-test-invalid-iss", set("iss", "https://evil.example"), refused},
		{"iss missing", set("iss", nil), refused},
		{"iss with a slash more", func(w *world) { set("iss", w.provider.issuer+"/")(w) }, refused},
		{"iss as a list", func(w *world) { set("iss", []string{w.provider.issuer})(w) }, refused},
		{"iss in the wrong case of the name", func(w *world) {
			w.provider.claims = func(c object) { c["ISS"] = c["iss"]; delete(c, "iss") }
		}, refused},

		{"oidcc-client-test-missing-sub", set("sub", nil), refused},
		{"sub empty", set("sub", ""), refused},
		{"sub null", text(func(c string) string { return strings.Replace(c, `"user-1"`, `null`, 1) }), refused},
		{"sub a number", set("sub", 1), refused},
		{"sub longer than 255", set("sub", long), refused},
		{"sub with a NUL", set("sub", "user\x00-1"), refused},
		{"sub twice", add(`"sub":"user-2"`), refused},
		{"SUB beside sub", add(`"SUB":"user-2"`), ok},
		{"sub in invalid UTF-8", text(func(c string) string { return strings.Replace(c, "user-1", "user\xff", 1) }), refused},

		{"oidcc-client-test-invalid-aud", set("aud", "somebody else"), refused},
		{"oidcc-client-test-missing-aud", set("aud", nil), refused},
		{"aud as a list of one", set("aud", []string{clientID}), ok},
		{"aud an empty list", set("aud", []string{}), refused},
		{"aud with a second party", set("aud", []string{clientID, "somebody else"}), refused},
		{"aud with a second party and azp ours", func(w *world) {
			w.provider.claims = func(c object) { c["aud"] = []string{clientID, "x"}; c["azp"] = clientID }
		}, refused},
		{"aud in another case", set("aud", strings.ToUpper(clientID)), refused},
		{"aud a number", set("aud", 7), refused},
		{"AUD instead of aud", text(func(c string) string { return strings.Replace(c, `"aud":`, `"AUD":`, 1) }), refused},
		{"aud twice", add(`"aud":"portico"`), refused},

		{"azp ours", set("azp", clientID), ok},
		{"azp somebody else's", set("azp", "somebody else"), refused},
		{"azp empty", set("azp", ""), refused},

		{"exp missing", set("exp", nil), refused},
		{"exp null", text(func(c string) string { return strings.Replace(c, `"exp":`, `"exp":null,"x":`, 1) }), refused},
		{"exp passed by a minute", at("exp", -60*time.Second), refused},
		{"exp passed by 59 seconds, within the leeway", at("exp", -59*time.Second), ok},
		{"exp passed by six minutes", at("exp", -6*time.Minute), refused},
		{"exp a text", set("exp", "1999999999"), refused},
		{"exp negative", set("exp", -1), refused},
		{"exp beyond all years", set("exp", 1e300), refused},
		{"exp with a fraction", func(w *world) { set("exp", float64(w.clock.now().Unix())+90.5)(w) }, ok},

		{"oidcc-client-test-missing-iat", set("iat", nil), refused},
		{"iat in an hour", at("iat", time.Hour), refused},
		{"iat in 61 seconds", at("iat", 61*time.Second), refused},
		{"iat in 60 seconds, within the leeway", at("iat", 60*time.Second), ok},
		{"iat ten minutes ago", at("iat", -10*time.Minute), ok},
		{"iat twelve minutes ago", at("iat", -12*time.Minute), refused},
		{"iat a week ago", at("iat", -7*24*time.Hour), refused},
		{"nbf in two minutes", at("nbf", 2*time.Minute), refused},
		{"nbf now", at("nbf", 0), ok},
		{"nbf before 1970", set("nbf", -1), refused},
		{"nbf beyond all years", set("nbf", 1e300), refused},
		{"nbf a text", set("nbf", "0"), refused},
		{"auth_time in an hour", at("auth_time", time.Hour), refused},
		{"auth_time missing", set("auth_time", nil), ok},

		{"oidcc-client-test-nonce-invalid", set("nonce", "another"), refused},
		{"nonce missing", set("nonce", nil), refused},
		{"nonce empty", set("nonce", ""), refused},
		{"nonce a list", set("nonce", []string{"a"}), refused},
		{"nonce twice", text(func(c string) string { return strings.Replace(c, `"nonce":`, `"nonce":"x","nonce":`, 1) }), refused},
		{"NONCE instead of nonce", text(func(c string) string { return strings.Replace(c, `"nonce":`, `"NONCE":`, 1) }), refused},

		{"at_hash missing", set("at_hash", nil), ok},
		{"oidcc-client-test-invalid-athash", set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), refused},
		{"at_hash empty", set("at_hash", ""), refused},
		{"AT_HASH instead of a wrong at_hash", text(func(c string) string {
			return strings.Replace(c, `"at_hash":`, `"at_hash":"AAAAAAAAAAAAAAAAAAAAAA","AT_HASH":`, 1)
		}), refused},

		{"acr longer than 255", set("acr", long), refused},
		{"sid longer than 255", set("sid", long), refused},
		{"sid missing", set("sid", nil), ok},
		{"amr with an empty entry", set("amr", []string{""}), refused},
		{"amr of seventeen entries", set("amr", strings.Split(strings.Repeat("a ", 16)+"a", " ")), refused},
		{"amr a text", set("amr", "hwk"), refused},
		{"events, as in a logout token", set("events", object{"http://schemas.openid.net/event/backchannel-logout": object{}}), refused},
		{"a claim nobody knows", set("cnf", object{"jkt": "x"}), ok},

		{"typ missing", head("typ", nil), ok},
		{"typ jwt in small letters", head("typ", "jwt"), ok},
		{"typ of a logout token", head("typ", "logout+jwt"), refused},
		{"typ of an access token", head("typ", "at+jwt"), refused},
		{"typ of a security event", head("typ", "secevent+jwt"), refused},
		{"typ a number", head("typ", 1), refused},
		{"crit that nobody understands", head("crit", []string{"exp"}), refused},
		{"crit for an unencoded payload", func(w *world) {
			w.provider.header = func(h map[jose.HeaderKey]any) { h["crit"], h["b64"] = []string{"b64"}, true }
		}, refused},
		{"jku that points elsewhere is ignored", head("jku", "https://evil.example/jwks"), ok},

		{"oidcc-client-test-kid-absent-single-jwks", head("kid", nil), ok},
		{"oidcc-client-test-kid-absent-multiple-jwks", func(w *world) {
			w.provider.kid = ""
			w.provider.jwks = func() []jose.JSONWebKey {
				return []jose.JSONWebKey{published("two", testKeys().otherRSA.Public()), published("one", testKeys().rsa.Public())}
			}
		}, ok},
		{"a kid that is not in the key set", head("kid", "three"), refused},
		{"oidcc-client-test-invalid-sig-rs256", func(w *world) { w.provider.signing.Key = testKeys().otherRSA }, refused},
		{"oidcc-client-test-invalid-sig-es256", func(w *world) {
			w.signES256()
			w.provider.idToken = func(signed string) any { return tamper(signed) }
		}, refused},
		{"oidcc-client-test-invalid-sig-hs256", func(w *world) {
			w.provider.signing = jose.SigningKey{Algorithm: jose.HS256, Key: []byte(clientSecret + strings.Repeat(" ", 32))}
		}, refused},
		{"HS256 with the public key as the secret", func(w *world) {
			public, err := json.Marshal(published("one", testKeys().rsa.Public()))
			if err != nil {
				w.Fatal(err)
			}
			w.provider.signing = jose.SigningKey{Algorithm: jose.HS256, Key: public}
		}, refused},
		{"RS512, which is not on the list", func(w *world) { w.provider.signing.Algorithm = jose.RS512 }, refused},
		{"PS256, which is not on the list", func(w *world) { w.provider.signing.Algorithm = jose.PS256 }, refused},
		{"oidcc-client-test-idtoken-sig-none", func(w *world) {
			w.provider.idToken = func(signed string) any {
				return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + strings.Split(signed, ".")[1] + "."
			}
		}, refused},
		{"a changed payload", func(w *world) { w.provider.idToken = func(signed string) any { return tamper(signed) } }, refused},
		{"a signature in its JSON form", func(w *world) {
			w.provider.idToken = func(signed string) any {
				part := strings.Split(signed, ".")
				return `{"protected":"` + part[0] + `","payload":"` + part[1] + `","signature":"` + part[2] + `"}`
			}
		}, refused},
		{"four parts", func(w *world) { w.provider.idToken = func(signed string) any { return signed + ".x" } }, refused},
		{"text around the token", func(w *world) { w.provider.idToken = func(signed string) any { return " " + signed } }, refused},
		{"an empty ID token", func(w *world) { w.provider.idToken = func(string) any { return "" } }, refused},
		{"no ID token", func(w *world) { w.provider.idToken = func(string) any { return nil } }, refused},
		{"an ID token that is an object", func(w *world) { w.provider.idToken = func(string) any { return object{} } }, refused},
		{"a payload that is a list", text(func(string) string { return "[]" }), refused},
		{"a payload that is no JSON", text(func(string) string { return "hello" }), refused},
		{"a payload with more after it", text(func(c string) string { return c + c }), refused},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.discover()
			c.change(w)
			_, err := w.logIn()
			switch {
			case c.passes && err != nil:
				t.Errorf("refused: %v", err)
			case !c.passes && !errors.Is(err, login.ErrIdentityRejected):
				t.Errorf("Finish = %v, want ErrIdentityRejected", err)
			case !c.passes && w.provider.count("/userinfo") != 0:
				t.Error("S-07 the access token was used all the same")
			}
		})
	}
}

func (w *world) signES256() {
	w.provider.signing = jose.SigningKey{Algorithm: jose.ES256, Key: testKeys().ecdsa}
	w.provider.kid = "curve"
	w.provider.jwks = func() []jose.JSONWebKey {
		return []jose.JSONWebKey{published("one", testKeys().rsa.Public()), published("curve", testKeys().ecdsa.Public())}
	}
}

// tamper changes the subject and leaves the signature.
func tamper(signed string) string {
	part := strings.Split(signed, ".")
	payload, err := base64.RawURLEncoding.DecodeString(part[1])
	if err != nil {
		return ""
	}
	part[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(payload), "user-1", "user-2", 1)))
	return strings.Join(part, ".")
}

func TestARelaxedNonceStillMatchesWhenItIsThere(t *testing.T) {
	for name, c := range map[string]struct {
		nonce any
		want  error
	}{
		"missing": {nonce: nil},
		"another": {nonce: "another", want: login.ErrIdentityRejected},
		"empty":   {nonce: "", want: login.ErrIdentityRejected},
	} {
		w := newWorld(t, func(cfg *login.Config) { cfg.RequireNonce = false })
		w.discover()
		set("nonce", c.nonce)(w)
		if _, err := w.logIn(); !errors.Is(err, c.want) {
			t.Errorf("%s: Finish = %v, want %v", name, err, c.want)
		}
	}
}

func TestSigningKeyRotation(t *testing.T) {
	w := newWorld(t, nil)
	w.discover()
	if _, err := w.logIn(); err != nil {
		t.Fatal(err)
	}
	t.Run("oidcc-client-test-signing-key-rotation-just-before-signing", func(t *testing.T) {
		w.provider.signing.Key, w.provider.kid = testKeys().otherRSA, "two"
		w.provider.jwks = func() []jose.JSONWebKey {
			return []jose.JSONWebKey{published("two", testKeys().otherRSA.Public())}
		}
		if _, err := w.logIn(); err != nil {
			t.Errorf("Finish = %v", err)
		}
	})
	t.Run("a withdrawn key is not trusted after the next discovery", func(t *testing.T) {
		w.discover()
		w.provider.jwks = func() []jose.JSONWebKey { return nil }
		if _, err := w.logIn(); !errors.Is(err, login.ErrIdentityRejected) {
			t.Errorf("Finish = %v, want ErrIdentityRejected", err)
		}
	})
	t.Run("unknown keys do not have us flood the provider", func(t *testing.T) {
		before := w.provider.count("/jwks")
		for range 20 {
			if _, err := w.logIn(); err == nil {
				t.Fatal("a token without a key passed")
			}
		}
		if fetched := w.provider.count("/jwks") - before; fetched > 5 {
			t.Errorf("the key set was fetched %d times at one moment", fetched)
		}
		w.clock.advance(time.Minute)
		w.provider.jwks = func() []jose.JSONWebKey {
			return []jose.JSONWebKey{published("two", testKeys().otherRSA.Public())}
		}
		if _, err := w.logIn(); err != nil {
			t.Errorf("a minute later: %v", err)
		}
	})
}
