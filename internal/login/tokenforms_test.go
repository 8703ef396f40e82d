package login_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"

	"github.com/portico-id/portico/internal/login/hostile"
)

// header returns a case with a header of its own. "ISSUER" in it becomes the
// provider's address.
func header(name, text string, want outcome) tokenCase {
	return tokenCase{name, func(f *forgery) { f.header = text }, want}
}

// claim returns a case with more members at the end of the payload.
func claim(name, more string, want outcome) tokenCase {
	return tokenCase{name, func(f *forgery) { f.payload = strings.TrimSuffix(f.payload, "}") + "," + more + "}" }, want}
}

// after returns a case in which a good token is changed as text.
func after(name string, change func(string) string, want outcome) tokenCase {
	return tokenCase{name, func(f *forgery) { f.after = change }, want}
}

// part returns a case in which one of the three parts is changed as text.
func part(name string, i int, change func(string) string, want outcome) tokenCase {
	return after(name, func(token string) string {
		parts := strings.Split(token, ".")
		parts[i] = change(parts[i])
		return strings.Join(parts, ".")
	}, want)
}

func extraClaimCases() []tokenCase {
	const event = `"http://schemas.openid.net/event/backchannel-logout"`
	return []tokenCase{
		claim("events as in a logout token", `"events":{`+event+`:{}}`, refused),
		claim("events null", `"events":null`, refused),
		claim("events empty", `"events":{}`, refused),
		claim("SUB of somebody else beside sub", `"SUB":"user-2"`, passes),
		claim("sub of somebody else after sub", `"sub":"user-2"`, refused),
		claim("a claim that nobody knows", `"cnf":{"jkt":"x"}`, passes),
		claim("a claim that nobody knows twice", `"x":1,"x":2`, refused),
		claim("a claim that nobody knows with a name twice in it", `"x":{"y":1,"y":2}`, refused),
		claim("a claim a thousand levels deep", `"x":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000), passes),
		claim("a claim twelve thousand levels deep", `"x":`+strings.Repeat("[", 12000)+strings.Repeat("]", 12000), refused),
		claim("a claim of forty KiB", `"x":"`+strings.Repeat("a", 40<<10)+`"`, refused),
		claim("aggregated and distributed claims", `"_claim_names":{"external_id":"a"},"_claim_sources":{"a":{"endpoint":"ISSUER/evil"}}`, passes),
		{"aud with a second party", func(f *forgery) {
			f.payload = strings.Replace(f.payload, `"aud":"portico"`, `"aud":["portico","x"]`, 1)
		}, refused},
		{"aud with a second party and azp ours", func(f *forgery) {
			f.payload = strings.Replace(f.payload, `"aud":"portico"`, `"aud":["portico","x"],"azp":"portico"`, 1)
		}, refused},
		{"amr of sixteen entries", amr(strings.Repeat(`"a",`, 15) + `"a"`), passes},
		{"amr of seventeen entries", amr(strings.Repeat(`"a",`, 16) + `"a"`), refused},
		{"amr with an empty entry", amr(`"hwk",""`), refused},
		{"amr with a long entry", amr(`"` + strings.Repeat("a", 256) + `"`), refused},
		{"a payload that is a list", func(f *forgery) { f.payload = "[" + f.payload + "]" }, refused},
		{"a payload that is a text", func(f *forgery) { f.payload = `"` + unpadded(f.payload) + `"` }, refused},
		{"a payload that is null", func(f *forgery) { f.payload = "null" }, refused},
		{"a payload that is empty", func(f *forgery) { f.payload = "" }, refused},
		{"a payload that is no JSON", func(f *forgery) { f.payload = "hello" }, refused},
		{"a payload with a byte order mark", func(f *forgery) { f.payload = "\ufeff" + f.payload }, refused},
		{"a payload with another after it", func(f *forgery) { f.payload += f.payload }, refused},
		{"a payload with a comma too many", func(f *forgery) { f.payload = strings.TrimSuffix(f.payload, "}") + ",}" }, refused},
		{"a payload with a comment", func(f *forgery) { f.payload = "/**/" + f.payload }, refused},
		{"a payload with space around it", func(f *forgery) { f.payload = " \n" + f.payload + "\t " }, passes},
		{"a payload in UTF-16", func(f *forgery) { f.payload = "\xfe\xff\x00{\x00}" }, refused},
		{"a payload that is a token itself", func(f *forgery) { f.payload = unpadded(f.header) + "." + unpadded(f.payload) + ".x" }, refused},
	}
}

func amr(entries string) func(*forgery) {
	return func(f *forgery) { f.payload = rewrite(f.payload, "amr", as("["+entries+"]")) }
}

func headerCases() []tokenCase {
	evil, err := json.Marshal(hostile.JWK("one", hostile.TestKeys().OtherRSA.Public()))
	if err != nil {
		panic(err)
	}
	withEvilKey := func(name, more string) tokenCase {
		return tokenCase{"ASVS-9.1.3 " + name, func(f *forgery) {
			f.header = `{"alg":"RS256","kid":"one","typ":"JWT",` + more + `}`
			f.signing.Key = hostile.TestKeys().OtherRSA
		}, refused}
	}
	with := func(name, more string, want outcome) tokenCase {
		return header(name, `{"alg":"RS256","kid":"one","typ":"JWT",`+more+`}`, want)
	}
	typ := func(name, value string, want outcome) tokenCase {
		return header("typ "+name, `{"alg":"RS256","kid":"one","typ":`+value+`}`, want)
	}
	kid := func(name, value string, want outcome) tokenCase {
		return header("kid "+name, `{"alg":"RS256","typ":"JWT","kid":`+value+`}`, want)
	}
	return []tokenCase{
		withEvilKey("a key in the header", `"jwk":`+string(evil)),
		withEvilKey("a key set's address in the header", `"jku":"ISSUER/evil"`),
		withEvilKey("a certificate's address in the header", `"x5u":"ISSUER/evil"`),
		withEvilKey("a certificate in the header", `"x5c":["AAAA"]`),
		with("ASVS-9.1.3 a key set's address beside a good signature", `"jku":"ISSUER/evil"`, passes),
		with("ASVS-9.1.3 another key beside a good signature", `"jwk":`+string(evil), passes),
		with("crit of a claim", `"crit":["exp"]`, refused),
		with("crit empty", `"crit":[]`, refused),
		with("crit null", `"crit":null`, refused),
		with("crit a text", `"crit":"b64"`, refused),
		with("crit for an encoded payload", `"crit":["b64"],"b64":true`, refused),
		with("crit for an unencoded payload", `"crit":["b64"],"b64":false`, refused),
		with("b64 without crit", `"b64":false`, refused),
		with("a nonce in the header", `"nonce":"x"`, passes),
		with("a header parameter that nobody knows", `"x":{"y":1}`, passes),
		with("a header parameter twice", `"kid":"one"`, refused),
		with("alg twice", `"alg":"none"`, refused),
		with("ALG beside alg", `"ALG":"none"`, passes),
		header("typ absent", `{"alg":"RS256","kid":"one"}`, passes),
		typ("null", `null`, passes),
		typ("in small letters", `"jwt"`, passes),
		typ("empty", `""`, refused),
		typ("ASVS-9.2.2 of a logout token", `"logout+jwt"`, refused),
		typ("ASVS-9.2.2 of an access token", `"at+jwt"`, refused),
		typ("ASVS-9.2.2 of an access token, in full", `"application/at+jwt"`, refused),
		typ("of a security event", `"secevent+jwt"`, refused),
		typ("of a client's assertion", `"client-authentication+jwt"`, refused),
		typ("of a UserInfo answer", `"userinfo+jwt"`, refused),
		typ("with a space", `"JWT "`, refused),
		typ("a number", `1`, refused),
		typ("a list", `["JWT"]`, refused),
		header("kid absent", `{"alg":"RS256","typ":"JWT"}`, passes),
		kid("null", `null`, passes),
		kid("empty", `""`, passes),
		kid("unknown", `"three"`, refused),
		kid("in capitals", `"ONE"`, refused),
		kid("with a space", `"one "`, refused),
		kid("of a key for another algorithm", `"curve"`, refused),
		kid("a list", `["one"]`, refused),
		kid("a number", `1`, refused),
		kid("256 characters long", `"`+strings.Repeat("k", 256)+`"`, refused),
		kid("a path", `"../../../../dev/null"`, refused),
		kid("a query", `"' OR 1=1 --"`, refused),
		kid("with a NUL", `"one\u0000"`, refused),
		header("a header that is a list", `[]`, refused),
		header("a header that is empty", ``, refused),
		header("a header with another after it", `{"alg":"RS256","kid":"one"}{}`, refused),
		header("a header in invalid UTF-8", "{\"alg\":\"RS256\",\"kid\":\"one\",\"x\":\"\xff\"}", refused),
	}
}

// algorithmCases: RS256 and ES256, by keys of those algorithms, and nothing
// else, whatever the header says (RFC 8725 §3.1, ASVS 9.1.2).
func algorithmCases() []tokenCase {
	keys := hostile.TestKeys()
	der, err := x509.MarshalPKIXPublicKey(keys.RSA.Public())
	if err != nil {
		panic(err)
	}
	public, err := json.Marshal(hostile.JWK("one", keys.RSA.Public()))
	if err != nil {
		panic(err)
	}
	signed := func(name, algorithm string, key any, kid string, want outcome) tokenCase {
		return tokenCase{"ASVS-9.1.2 " + name, func(f *forgery) {
			f.header = `{"alg":"` + algorithm + `","kid":"` + kid + `","typ":"JWT"}`
			f.signing = hostile.Signing{Algorithm: algorithm, Key: key}
		}, want}
	}
	claims := func(name, value string) tokenCase {
		return header("ASVS-9.1.2 alg "+name, `{"alg":`+value+`,"kid":"one","typ":"JWT"}`, refused)
	}
	unsigned := func(value string) tokenCase {
		c := claims(value+" without a signature", `"`+value+`"`)
		c.name = "ASVS-6.8.2 " + c.name
		forge := c.make
		c.make = func(f *forgery) {
			forge(f)
			f.after = func(token string) string { return token[:strings.LastIndex(token, ".")+1] }
		}
		return c
	}
	return []tokenCase{
		unsigned("none"), unsigned("None"), unsigned("nOnE"), unsigned("NONE"), unsigned("none "), unsigned("RS256"),
		claims("none with a signature", `"none"`),
		claims("null", `null`), claims("empty", `""`), claims("a number", `256`), claims("a list", `["RS256"]`),
		claims("in small letters", `"rs256"`), claims("with a space", `"RS256 "`),
		claims("of another key type", `"ES256"`), claims("that is symmetric", `"HS256"`), claims("RS512 and a signature of RS256", `"RS512"`),
		header("ASVS-9.1.2 alg absent", `{"kid":"one","typ":"JWT"}`, refused),
		signed("ES256", "ES256", keys.P256, "curve", passes),
		signed("ES256 with the other key's id", "ES256", keys.P256, "one", refused),
		signed("RS384", "RS384", keys.RSA, "one", refused),
		signed("RS512", "RS512", keys.RSA, "one", refused),
		signed("PS256", "PS256", keys.RSA, "one", refused),
		signed("ES384", "ES384", keys.P384, "curve", refused),
		signed("EdDSA", "EdDSA", keys.Ed25519, "curve", refused),
		signed("HS256 with the public key as the provider writes it", "HS256", public, "one", refused),
		signed("HS256 with the public key in DER", "HS256", der, "one", refused),
		signed("HS256 with the public key in PEM", "HS256", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "one", refused),
		signed("HS256 with the client's secret", "HS256", []byte(clientSecret), "one", refused),
		signed("HS256 with nothing", "HS256", []byte{}, "one", refused),
		signed("RS256 with another key", "RS256", keys.OtherRSA, "one", refused),
		signed("RS256 with a key of 1024 bits", "RS256", keys.SmallRSA, "one", refused),
		signed("ES256 with another key", "ES256", keys.OtherP256, "curve", refused),
	}
}

// formCases: one spelling of a token is a token, and every other is none.
func formCases() []tokenCase {
	spare := func(s string) string { // changes bits that a lax decoder drops
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		return s[:len(s)-1] + string(alphabet[strings.IndexByte(alphabet, s[len(s)-1])^1])
	}
	return []tokenCase{
		after("a token of two parts", func(s string) string { return s[:strings.LastIndex(s, ".")] }, refused),
		after("a token of four parts", func(s string) string { return s + ".x" }, refused),
		after("a token of five parts", func(s string) string { return s + ".x.x" }, refused),
		after("a token with a dot more", func(s string) string { return s + "." }, refused),
		after("a token with a space before", func(s string) string { return " " + s }, refused),
		after("a token with a space after", func(s string) string { return s + " " }, refused),
		after("a token with a line break after", func(s string) string { return s + "\n" }, refused),
		after("a token with a NUL after", func(s string) string { return s + "\x00" }, refused),
		after("a token with Bearer before", func(s string) string { return "Bearer " + s }, refused),
		after("a token in quotes", func(s string) string { return `"` + s + `"` }, refused),
		after("a token that is empty", func(string) string { return "" }, refused),
		after("a token of dots", func(string) string { return ".." }, refused),
		after("a token in capitals", strings.ToUpper, refused),
		after("a token in its JSON form", func(s string) string {
			part := strings.Split(s, ".")
			return `{"protected":"` + part[0] + `","payload":"` + part[1] + `","signature":"` + part[2] + `"}`
		}, refused),
		after("a token in its general JSON form", func(s string) string {
			part := strings.Split(s, ".")
			return `{"payload":"` + part[1] + `","signatures":[{"protected":"` + part[0] + `","signature":"` + part[2] + `"}]}`
		}, refused),
		after("a token of 33 KiB", func(s string) string { return s + strings.Repeat("A", 33<<10) }, refused),
		part("a header with padding", 0, func(s string) string { return s + "=" }, refused),
		part("a payload with padding", 1, func(s string) string { return s + "==" }, refused),
		part("a signature with padding", 2, func(s string) string { return s + "==" }, refused),
		part("a header with a line break in it", 0, func(s string) string { return s[:8] + "\n" + s[8:] }, refused),
		part("a payload with a line break in it", 1, func(s string) string { return s[:8] + "\r\n" + s[8:] }, refused),
		part("a signature with a line break in it", 2, func(s string) string { return s[:8] + "\n" + s[8:] }, refused),
		part("a signature with its spare bits set", 2, spare, refused),
		part("a signature that is empty", 2, func(string) string { return "" }, refused),
		part("a signature that is cut short", 2, func(s string) string { return s[:len(s)-4] }, refused),
		part("a signature that is longer", 2, func(s string) string { return s + "AAAA" }, refused),
		part("a signature of zeros", 2, func(s string) string { return strings.Repeat("A", len(s)) }, refused),
		part("a signature with a byte changed", 2, func(s string) string {
			if s[0] == 'A' {
				return "B" + s[1:]
			}
			return "A" + s[1:]
		}, refused),
		part("ASVS-9.1.1 a payload about somebody else under the old signature", 1, func(s string) string {
			raw, _ := base64.RawURLEncoding.DecodeString(s)
			return unpadded(strings.Replace(string(raw), "user-1", "user-2", 1))
		}, refused),
		part("ASVS-9.1.1 a payload with space more under the old signature", 1, func(s string) string {
			raw, _ := base64.RawURLEncoding.DecodeString(s)
			return unpadded(string(raw) + " ")
		}, refused),
		part("a header in the other alphabet of base64", 0, func(string) string {
			return base64.RawStdEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"one","x":"???>>>"}`))
		}, refused),
	}
}
