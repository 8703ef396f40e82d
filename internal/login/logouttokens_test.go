package login_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math"
	"strings"

	"github.com/portico-id/portico/internal/login/hostile"
)

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// strictness says in which strictness a logout token is taken.
type strictness int

const (
	nowhere strictness = iota
	inCompat
	anywhere
)

// logoutCase is a logout token. Change edits a good one, or make writes it.
type logoutCase struct {
	name   string
	want   strictness
	change func(w *world, header, claims object)
	make   func(w *world) string
}

// with sets a claim; nil sets null.
func with(name string, value any) func(*world, object, object) {
	return func(_ *world, _, claims object) { claims[name] = value }
}

func without(names ...string) func(*world, object, object) {
	return func(_ *world, _, claims object) {
		for _, name := range names {
			delete(claims, name)
		}
	}
}

// inHeader sets a header's member; nil takes it out.
func inHeader(name string, value any) func(*world, object, object) {
	return func(_ *world, header, _ object) {
		header[name] = value
		if value == nil {
			delete(header, name)
		}
	}
}

// times sets iat and exp, in seconds from now; an exp of NaN takes it out.
func times(issued, expires float64) func(*world, object, object) {
	return func(w *world, _, claims object) {
		now := float64(w.clock.now().Unix())
		claims["iat"], claims["exp"] = now+issued, now+expires
		if math.IsNaN(expires) {
			delete(claims, "exp")
		}
	}
}

func event(value any) func(*world, object, object) {
	return with("events", object{logoutEvent: value})
}

// signed signs a good token in another way, which the header says.
func signed(signing func() hostile.Signing) func(*world) string {
	return func(w *world) string {
		w.provider.Signing = signing()
		return w.provider.LogoutToken("user-1", "session-1", nil)
	}
}

// logoutPayload signs these bytes, under the header of a good token.
func logoutPayload(raw func(w *world) string) func(*world) string {
	return func(w *world) string {
		header, err := json.Marshal(object{"typ": "logout+jwt", "alg": "RS256", "kid": "one"})
		if err != nil {
			w.Fatal(err)
		}
		return hostile.Compact(w, header, []byte(raw(w)), w.provider.Signing)
	}
}

// claimsOf returns the payload of a good token as text.
func claimsOf(w *world) string {
	_, rest, _ := strings.Cut(w.provider.LogoutToken("user-1", "session-1", nil), ".")
	middle, _, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(middle)
	if err != nil {
		w.Fatal(err)
	}
	return string(raw)
}

// twice puts a second value of a claim behind all others.
func twice(member string) func(*world) string {
	return logoutPayload(func(w *world) string { return strings.TrimSuffix(claimsOf(w), "}") + "," + member + "}" })
}

// idToken is a good ID token of the provider's.
func idToken(w *world, change func(object)) string {
	claims := w.provider.StandardClaims("a nonce", "an access token")
	if change != nil {
		change(claims)
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		w.Fatal(err)
	}
	return w.provider.Sign(raw)
}

func good(w *world) string { return w.provider.LogoutToken("user-1", "session-1", nil) }

func logoutCases() []logoutCase {
	var cases []logoutCase
	for _, more := range [][]logoutCase{
		logoutSignatures(), logoutTypes(), logoutParties(), logoutTimes(), logoutEvents(), logoutSpellings(),
	} {
		cases = append(cases, more...)
	}
	return cases
}

func logoutSignatures() []logoutCase {
	keys := hostile.TestKeys()
	return []logoutCase{
		{name: "a good one", want: anywhere},
		{name: "one without a kid", want: anywhere, change: inHeader("kid", nil)},
		{name: "BCL-02 ES256", want: anywhere, make: func(w *world) string {
			w.provider.JWKS = func() []hostile.Object { return []hostile.Object{hostile.JWK("two", keys.P256.Public())} }
			return signed(func() hostile.Signing { return hostile.Signing{Algorithm: "ES256", Key: keys.P256, ID: "two"} })(w)
		}},
		{name: "BCL-02 alg none, unsigned", make: func(w *world) string {
			header, rest, _ := strings.Cut(w.provider.LogoutToken("user-1", "session-1", func(h, _ object) { h["alg"] = "none" }), ".")
			middle, _, _ := strings.Cut(rest, ".")
			return header + "." + middle + "."
		}},
		{name: "BCL-02 alg none, with a good signature", change: inHeader("alg", "none")},
		{name: "BCL-02 another key", make: signed(func() hostile.Signing {
			return hostile.Signing{Algorithm: "RS256", Key: keys.OtherRSA, ID: "one"}
		})},
		{name: "BCL-02 a kid that is not published", make: signed(func() hostile.Signing {
			return hostile.Signing{Algorithm: "RS256", Key: keys.RSA, ID: "another"}
		})},
		{name: "BCL-02 HS256 with the public key as the secret", make: signed(func() hostile.Signing {
			return hostile.Signing{Algorithm: "HS256", Key: x509.MarshalPKCS1PublicKey(&keys.RSA.PublicKey), ID: "one"}
		})},
		{name: "BCL-02 HS256 with the client's secret", make: signed(func() hostile.Signing {
			return hostile.Signing{Algorithm: "HS256", Key: []byte(clientSecret), ID: "one"}
		})},
		{name: "BCL-02 RS512 of the published key", make: signed(func() hostile.Signing {
			return hostile.Signing{Algorithm: "RS512", Key: keys.RSA, ID: "one"}
		})},
		{name: "BCL-02 PS256 of the published key", make: signed(func() hostile.Signing {
			return hostile.Signing{Algorithm: "PS256", Key: keys.RSA, ID: "one"}
		})},
		{name: "BCL-02 RS256 in the header, made with ES256", make: func(w *world) string {
			w.provider.Signing = hostile.Signing{Algorithm: "ES256", Key: keys.P256, ID: "one"}
			return w.provider.LogoutToken("user-1", "session-1", func(h, _ object) { h["alg"] = "RS256" })
		}},
		{name: "BCL-02 a key of its own in the header", make: func(w *world) string {
			w.provider.Signing = hostile.Signing{Algorithm: "RS256", Key: keys.OtherRSA, ID: "evil"}
			return w.provider.LogoutToken("user-1", "session-1", func(h, _ object) { h["jwk"] = hostile.JWK("evil", keys.OtherRSA.Public()) })
		}},
		{name: "BCL-02 a changed payload", make: func(w *world) string {
			parts := strings.Split(good(w), ".")
			other := strings.Split(w.provider.LogoutToken("user-2", "session-2", nil), ".")
			return parts[0] + "." + other[1] + "." + parts[2]
		}},
		{name: "a critical extension", change: inHeader("crit", []string{"exp"})},
		{name: "a payload that is not encoded", change: inHeader("b64", false)},
		{name: "a kid that is a book", change: inHeader("kid", strings.Repeat("k", 1024))},
		{name: "a kid that is a number", change: inHeader("kid", 1)},
	}
}

func logoutTypes() []logoutCase {
	return []logoutCase{
		{name: "BCL-08 typ in capitals", want: anywhere, change: inHeader("typ", "Logout+JWT")},
		{name: "BCL-08 typ as a whole media type", want: anywhere, change: inHeader("typ", "application/logout+jwt")},
		{name: "GOIDC-16 BCL-08 no typ", want: inCompat, change: inHeader("typ", nil)},
		{name: "GOIDC-17 BCL-08 typ JWT", want: inCompat, change: inHeader("typ", "JWT")},
		{name: "BCL-08 typ jwt", want: inCompat, change: inHeader("typ", "jwt")},
		{name: "GOIDC-18 BCL-08 ASVS-10.5.5 typ of an access token", change: inHeader("typ", "at+jwt")},
		{name: "BCL-08 typ of another security event", change: inHeader("typ", "secevent+jwt")},
		{name: "BCL-08 typ of a client's assertion", change: inHeader("typ", "client-authentication+jwt")},
		{name: "BCL-08 an empty typ", change: inHeader("typ", "")},
		{name: "BCL-08 typ with something behind it", change: inHeader("typ", "logout+jwt; v=1")},
		{name: "BCL-08 a number for typ", change: inHeader("typ", 1)},
		{name: "BCL-08 null for typ", make: func(w *world) string {
			claims := claimsOf(w)
			return hostile.Compact(w, []byte(`{"typ":null,"alg":"RS256","kid":"one"}`), []byte(claims), w.provider.Signing)
		}},
		{name: "ASVS-9.2.2 ASVS-10.5.5 an ID token", make: func(w *world) string { return idToken(w, nil) }},
		{name: "ASVS-9.2.2 an ID token without a nonce", make: func(w *world) string {
			return idToken(w, func(c object) { delete(c, "nonce"); c["jti"] = "1" })
		}},
		{name: "ASVS-9.2.2 ASVS-10.5.5 an ID token with a logout in it", make: func(w *world) string {
			return idToken(w, func(c object) { c["jti"], c["events"] = "1", object{logoutEvent: object{}} })
		}},
		{name: "ASVS-9.2.2 an access token for us", make: func(w *world) string {
			return w.provider.LogoutToken("user-1", "session-1", func(h, c object) {
				h["typ"] = "at+jwt"
				delete(c, "events")
				c["client_id"], c["scope"] = clientID, "openid"
			})
		}},
	}
}

func logoutParties() []logoutCase {
	return []logoutCase{
		{name: "GOIDC-29 BCL-03 another issuer", change: with("iss", "https://evil.example")},
		{name: "BCL-03 an issuer with a slash more", change: func(w *world, _, c object) { c["iss"] = w.provider.Issuer + "/" }},
		{name: "BCL-03 no issuer", change: without("iss")},
		{name: "BCL-03 null for the issuer", change: with("iss", nil)},
		{name: "BCL-03 a list of issuers", change: func(w *world, _, c object) { c["iss"] = []string{w.provider.Issuer} }},
		{name: "BCL-03 a list of one audience", want: anywhere, change: with("aud", []string{clientID})},
		{name: "GOIDC-28 BCL-03 another audience", change: with("aud", "another")},
		{name: "BCL-03 a second audience", change: with("aud", []string{clientID, "another"})},
		{name: "BCL-03 no audience", change: without("aud")},
		{name: "BCL-03 an empty list of audiences", change: with("aud", []string{})},
		{name: "BCL-03 our audience in capitals", change: with("aud", strings.ToUpper(clientID))},
		{name: "BCL-04 sub alone", want: anywhere, change: without("sid")},
		{name: "BCL-04 sid alone", want: anywhere, change: without("sub")},
		{name: "GOIDC-27 BCL-04 neither sub nor sid", change: without("sub", "sid")},
		{name: "BCL-04 both empty", change: func(_ *world, _, c object) { c["sub"], c["sid"] = "", "" }},
		{name: "BCL-04 an empty sub beside a sid", change: with("sub", "")},
		{name: "BCL-04 null for sub beside a sid", change: with("sub", nil)},
		{name: "BCL-04 null for sid beside a sub", change: with("sid", nil)},
		{name: "BCL-04 a number for sub", change: with("sub", 1)},
		{name: "BCL-04 a list for sid", change: with("sid", []string{"session-1"})},
		{name: "BCL-04 a sub that is a book", change: with("sub", strings.Repeat("s", 256))},
		{name: "BCL-04 a sid with a line break", change: with("sid", "session\n1")},
		{name: "GOIDC-26 no jti", change: without("jti")},
		{name: "an empty jti", change: with("jti", "")},
		{name: "null for jti", change: with("jti", nil)},
		{name: "a number for jti", change: with("jti", 1)},
		{name: "a jti that is a book", change: with("jti", strings.Repeat("j", 256))},
	}
}

func logoutTimes() []logoutCase {
	none := math.NaN()
	return []logoutCase{
		{name: "GOIDC-20 BCL-03 no iat", change: without("iat")},
		{name: "BCL-03 null for iat", change: with("iat", nil)},
		{name: "BCL-03 a text for iat", change: with("iat", "now")},
		{name: "BCL-03 iat within the leeway of now", want: anywhere, change: times(60, 180)},
		{name: "BCL-03 iat in the future", change: times(61, 180)},
		{name: "BCL-03 iat in milliseconds", change: func(w *world, _, c object) { c["iat"] = w.clock.now().UnixMilli() }},
		{name: "BCL-03 iat of eleven minutes ago, almost", want: anywhere, change: times(-659, 60)},
		{name: "BCL-03 iat of eleven minutes ago", change: times(-660, 60)},
		{name: "GOIDC-21 BCL-03 iat of a week ago", change: times(-7*86400, 60)},
		{name: "BCL-03 no exp", want: inCompat, change: times(0, none)},
		{name: "BCL-03 null for exp", change: with("exp", nil)},
		{name: "BCL-03 a text for exp", change: with("exp", "never")},
		{name: "BCL-03 exp within the leeway of now", want: anywhere, change: times(-300, -59)},
		{name: "BCL-03 exp before that", change: times(-300, -60)},
		{name: "BCL-03 exp an hour after iat", want: anywhere, change: times(0, 3600)},
		{name: "BCL-03 exp more than an hour after iat", want: inCompat, change: times(0, 3601)},
		{name: "BCL-03 exp a day after iat", want: inCompat, change: times(0, 86400)},
		{name: "BCL-03 exp more than a day after iat", change: times(0, 86401)},
		{name: "GOIDC-22 BCL-03 exp in a year", change: times(0, 365*86400)},
		{name: "fractions of a second", want: anywhere, change: times(-0.5, 60.25)},
		{name: "nbf in the past", want: anywhere, change: func(w *world, _, c object) { c["nbf"] = w.clock.now().Unix() - 10 }},
		{name: "nbf in the future", change: func(w *world, _, c object) { c["nbf"] = w.clock.now().Unix() + 61 }},
	}
}

func logoutEvents() []logoutCase {
	return []logoutCase{
		{name: "GOIDC-24 BCL-05 no events", change: without("events")},
		{name: "BCL-05 null for events", change: with("events", nil)},
		{name: "BCL-05 empty events", change: with("events", object{})},
		{name: "GOIDC-25 BCL-05 another event", change: with("events", object{"https://schemas.openid.net/secevent/caep/event-type/session-revoked": object{}})},
		{name: "BCL-05 the event over https", change: with("events", object{strings.Replace(logoutEvent, "http:", "https:", 1): object{}})},
		{name: "BCL-05 the event in capitals", change: with("events", object{strings.ToUpper(logoutEvent): object{}})},
		{name: "BCL-05 a list of events", change: with("events", []string{logoutEvent})},
		{name: "BCL-05 the event as a text", change: with("events", logoutEvent)},
		{name: "GOIDC-19 BCL-05 the number 1 for the event", change: event(1)},
		{name: "BCL-05 null for the event", change: event(nil)},
		{name: "BCL-05 true for the event", change: event(true)},
		{name: "BCL-05 a text for the event", change: event("{}")},
		{name: "BCL-05 a list for the event", change: event([]any{})},
		{name: "BCL-05 an event with members", want: anywhere, change: event(object{"reason": "password changed"})},
		{name: "BCL-05 another event beside it", want: anywhere, change: with("events", object{logoutEvent: object{}, "https://op.example/more": 1})},
		{name: "GOIDC-23 BCL-06 a nonce", change: with("nonce", "n")},
		{name: "BCL-06 an empty nonce", change: with("nonce", "")},
		{name: "BCL-06 null for the nonce", change: with("nonce", nil)},
		{name: "BCL-06 a number for the nonce", change: with("nonce", 0)},
		{name: "a claim that nobody knows", want: anywhere, change: with("https://op.example/tenant", object{"a": []int{1}})},
	}
}

func logoutSpellings() []logoutCase {
	return []logoutCase{
		{name: "nothing", make: func(*world) string { return "" }},
		{name: "two dots", make: func(*world) string { return ".." }},
		{name: "a text", make: func(*world) string { return "logout" }},
		{name: "two parts", make: func(w *world) string { return strings.Join(strings.Split(good(w), ".")[:2], ".") }},
		{name: "five parts", make: func(w *world) string { return good(w) + ".AA.AA" }},
		{name: "one with a space behind it", make: func(w *world) string { return good(w) + " " }},
		{name: "one with a line break in it", make: func(w *world) string { return strings.Replace(good(w), ".", ".\n", 1) }},
		{name: "one with padding", make: func(w *world) string { return good(w) + "=" }},
		{name: "the JSON form of a signature", make: func(w *world) string {
			parts := strings.Split(good(w), ".")
			return `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`
		}},
		{name: "one of more than 8 KiB", change: with("more", strings.Repeat("m", 8<<10))},
		{name: "one of 6 KiB", want: anywhere, change: with("more", strings.Repeat("m", 4<<10))},
		{name: "BCL-04 sub there twice", make: twice(`"sub":"user-2"`)},
		{name: "BCL-03 iss there twice", make: logoutPayload(func(w *world) string {
			return `{"iss":"https://evil.example",` + strings.TrimPrefix(claimsOf(w), "{")
		})},
		{name: "BCL-05 the event there twice", make: logoutPayload(func(w *world) string {
			return strings.Replace(claimsOf(w), `":{}`, `":1,"`+logoutEvent+`":{}`, 1)
		})},
		{name: "a claim that nobody knows there twice", make: twice(`"x":1,"x":1`)},
		{name: "BCL-06 Nonce with a capital, which is no claim of ours", want: anywhere, change: with("Nonce", "n")},
		{name: "BCL-04 Sub with a capital alone", change: func(_ *world, _, c object) {
			delete(c, "sub")
			delete(c, "sid")
			c["Sub"] = "user-1"
		}},
		{name: "a payload that is a list", make: logoutPayload(func(*world) string { return `[]` })},
		{name: "a payload that is not JSON", make: logoutPayload(func(*world) string { return `logout` })},
		{name: "a payload with something behind it", make: logoutPayload(func(w *world) string { return claimsOf(w) + "{}" })},
		{name: "a payload that is not UTF-8", make: logoutPayload(func(w *world) string {
			return strings.Replace(claimsOf(w), "user-1", "user-\xff", 1)
		})},
		{name: "a header with typ there twice", make: func(w *world) string {
			claims := claimsOf(w)
			return hostile.Compact(w, []byte(`{"typ":"at+jwt","typ":"logout+jwt","alg":"RS256","kid":"one"}`), []byte(claims), w.provider.Signing)
		}},
	}
}
