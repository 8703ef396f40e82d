package clientkey_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/portico-id/portico/internal/clientkey"
)

func ecKey(tb testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func rsaKey(tb testing.TB, bits int) *rsa.PrivateKey {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// cubic returns an RSA key with exponent 3, which Go would not make.
func cubic(tb testing.TB) *rsa.PrivateKey {
	tb.Helper()
	three, one := big.NewInt(3), big.NewInt(1)
	for {
		p, err := rand.Prime(rand.Reader, 1024)
		if err != nil {
			tb.Fatal(err)
		}
		q, err := rand.Prime(rand.Reader, 1024)
		if err != nil {
			tb.Fatal(err)
		}
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d := new(big.Int).ModInverse(three, phi)
		if n := new(big.Int).Mul(p, q); d != nil && n.BitLen() == 2048 {
			return &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: 3}, D: d, Primes: []*big.Int{p, q}}
		}
	}
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(tb testing.TB, key any) string {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return block("PRIVATE KEY", der)
}

func sec1(tb testing.TB, key *ecdsa.PrivateKey) string {
	tb.Helper()
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return block("EC PRIVATE KEY", der)
}

func spki(tb testing.TB, key any) string {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return block("PUBLIC KEY", der)
}

// asJWK writes a JWK with members beside those of the key.
func asJWK(tb testing.TB, key any, more map[string]any) string {
	tb.Helper()
	text, err := json.Marshal(jose.JSONWebKey{Key: key})
	if err != nil {
		tb.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		tb.Fatal(err)
	}
	maps.Copy(members, more)
	if text, err = json.Marshal(members); err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

func TestParseTakesEveryUsualForm(t *testing.T) {
	t.Parallel()
	ec, rsa2048 := ecKey(t, elliptic.P256()), rsaKey(t, 2048)
	thumbprint := parse(t, pkcs8(t, ec)).ID()
	ofRSA := parse(t, pkcs8(t, rsa2048)).ID()
	for name, c := range map[string]struct{ text, algorithm, id string }{
		"SEC1":                              {sec1(t, ec), "ES256", thumbprint},
		"SEC1 behind its curve, by openssl": {block("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}) + sec1(t, ec), "ES256", thumbprint},
		"PKCS#8 with white space around":    {"\n  " + pkcs8(t, ec) + "\r\n\n", "ES256", thumbprint},
		"a JWK":                             {asJWK(t, ec, nil), "ES256", thumbprint},
		"a JWK with a name of its own":      {asJWK(t, ec, map[string]any{"kid": "portico-2026"}), "ES256", "portico-2026"},
		"a JWK that says what it is for": {
			asJWK(t, ec, map[string]any{"use": "sig", "alg": "ES256", "key_ops": []string{"sign", "verify"}}), "ES256", thumbprint,
		},
		"RSA, PKCS#1": {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsa2048)), "RS256", ofRSA},
		"RSA, JWK":    {asJWK(t, rsa2048, nil), "RS256", ofRSA},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := clientkey.Parse(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if key.Algorithm() != c.algorithm || key.ID() != c.id {
				t.Errorf("it is %s, %s", key.Algorithm(), key.ID())
			}
		})
	}
	if weak := parse(t, pkcs8(t, rsa2048)).Strength(); weak != 112 {
		t.Errorf("RSA of 2048 bits is said to have %d bits of security", weak)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	ec, other, rsa2048 := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P256()), rsaKey(t, 2048)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	mixed := *ec
	mixed.PublicKey = other.PublicKey
	good := pkcs8(t, ec)
	example, err := os.ReadFile("testdata/rfc7515-a2.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ text, because string }{
		"nothing":                        {"", "is empty"},
		"white space":                    {" \n", "is empty"},
		"a word":                         {"changeme", "neither PEM nor a JWK"},
		"a file that is far too long":    {strings.Repeat("A", 1<<20), "far too long"},
		"PEM that is half written":       {good[:len(good)/2], "not all of it is there"},
		"a JWK that is half written":     {asJWK(t, ec, nil)[:100], "not all of it is there"},
		"PEM of nonsense":                {block("PRIVATE KEY", []byte("nonsense")), "no private key"},
		"PKCS#1 of nonsense":             {block("RSA PRIVATE KEY", []byte("nonsense")), "no private key"},
		"SEC1 of nonsense":               {block("EC PRIVATE KEY", []byte("nonsense")), "no private key"},
		"two keys":                       {good + pkcs8(t, other), "is not alone"},
		"a key with its certificate":     {good + block("CERTIFICATE", []byte("x")), "is not alone"},
		"a key with text behind it":      {good + "and so on", "is not alone"},
		"a public key":                   {spki(t, ec.Public()), "is a public key"},
		"a certificate":                  {block("CERTIFICATE", []byte("x")), "is a public key"},
		"a public JWK":                   {asJWK(t, ec.Public(), nil), "is a public key"},
		"an encrypted PKCS#8 key":        {block("ENCRYPTED PRIVATE KEY", []byte("x")), "is encrypted"},
		"a key of OpenSSH":               {block("OPENSSH PRIVATE KEY", []byte("x")), "OpenSSH"},
		"a block of another kind":        {block("DH PARAMETERS", []byte("x")), "another kind"},
		"parameters without a key":       {block("EC PARAMETERS", []byte("x")), "neither PEM nor a JWK"},
		"a JWK set":                      {`{"keys":[` + asJWK(t, ec, nil) + `]}`, "is a JWK set"},
		"JSON that is no JWK":            {`{"type":"service_account"}`, "is no JWK"},
		"a JWK with a name twice":        {strings.Replace(asJWK(t, ec, nil), "{", `{"d":"AAAA",`, 1), "is no JWK"},
		"a JWK with operations as text":  {asJWK(t, ec, map[string]any{"key_ops": "sign"}), "is no JWK"},
		"a shared secret as a JWK":       {`{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}`, "is a shared secret"},
		"a JWK for encryption":           {asJWK(t, rsa2048, map[string]any{"use": "enc"}), "not for signing"},
		"a JWK that may only decrypt":    {asJWK(t, rsa2048, map[string]any{"key_ops": []string{"decrypt"}}), "not for signing"},
		"a JWK for no operation":         {asJWK(t, rsa2048, map[string]any{"key_ops": []string{}}), "not for signing"},
		"a JWK for another algorithm":    {asJWK(t, rsa2048, map[string]any{"alg": "PS256"}), "another algorithm than RS256"},
		"a JWK for no algorithm":         {asJWK(t, ec, map[string]any{"alg": "none"}), "another algorithm than ES256"},
		"a JWK with a line in its name":  {asJWK(t, ec, map[string]any{"kid": "a\nb"}), "has an id"},
		"a JWK with a very long name":    {asJWK(t, ec, map[string]any{"kid": strings.Repeat("a", 256)}), "has an id"},
		"a JWK of two halves of two":     {asJWK(t, &mixed, nil), "public half"},
		"an Ed25519 key":                 {pkcs8(t, ed), "is an Ed25519 key"},
		"P-384":                          {pkcs8(t, ecKey(t, elliptic.P384())), "another curve"},
		"P-521 as a JWK":                 {asJWK(t, ecKey(t, elliptic.P521()), nil), "another curve"},
		"ASVS-11.2.3 P-224":              {pkcs8(t, ecKey(t, elliptic.P224())), "another curve"},
		"ASVS-11.2.3 RSA of 1024 bits":   {pkcs8(t, rsaKey(t, 1024)), "RSA key of 1024 bits"},
		"RSA of 2047 bits":               {pkcs8(t, rsaKey(t, 2047)), "RSA key of 2047 bits"},
		"RSA with a small exponent":      {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(cubic(t))), "small exponent"},
		"ASVS-13.2.3 RFC 7515's RSA key": {string(example), "was published"},
		"ASVS-13.2.3 RFC 7515's EC key, renamed": {`{"kty":"EC","crv":"P-256","kid":"production",
			"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
			"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
			"d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}`, "was published"},
		"ASVS-13.2.3 RFC 7517's EC key": {`{"kty":"EC","crv":"P-256","use":"sig",
			"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
			"y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
			"d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}`, "was published"},
		"an encrypted PKCS#1 key": {
			"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n", "is encrypted",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := clientkey.Parse(c.text)
			if key != nil || !errors.Is(err, clientkey.ErrKey) || !strings.Contains(err.Error(), c.because) {
				t.Fatalf("Parse = %v, %v, want ErrKey because it %s", key, err, c.because)
			}
			quotesNothing(t, err, c.text)
		})
	}
}

// quotesNothing makes sure that the error holds no part of the text that could
// be a part of a key.
func quotesNothing(t *testing.T, err error, text string) {
	t.Helper()
	const part = 12
	for i := 0; i+part <= len(text); i++ {
		if strings.Contains(err.Error(), text[i:i+part]) {
			t.Fatalf("the error %q quotes %q", err, text[i:i+part])
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("the error has several lines: %q", err)
	}
}

func FuzzParse(f *testing.F) {
	ec := ecKey(f, elliptic.P256())
	f.Add(pkcs8(f, ec))
	f.Add(sec1(f, ec))
	f.Add(asJWK(f, ec, nil))
	f.Add(`{"keys":[]}`)
	f.Add("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := clientkey.Parse(text)
		if (key == nil) == (err == nil) || err != nil && !errors.Is(err, clientkey.ErrKey) {
			t.Errorf("Parse = %v, %v", key, err)
		}
	})
}
