package clientkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxText = 64 << 10 // bytes; the largest RSA key that is taken is a tenth of it
	maxID   = 255      // bytes; it is in every assertion

	minRSA    = 2048 // bits, RFC 7518 §3.3
	strongRSA = 3072 // bits, for 128 bits of security
	maxRSA    = 8192 // bits; a longer key signs for seconds
	// minExponent is what FIPS 186-5 §A.1.1 asks for: small exponents have a
	// history of forged signatures.
	minExponent = 1<<16 + 1
)

// ErrKey is returned by Parse, wrapped with the reason.
var ErrKey = errors.New("unusable client key")

func bad(reason string) error { return fmt.Errorf("%w: it %s", ErrKey, reason) }

// Parse reads a private key: PEM (PKCS#8, SEC1 or PKCS#1) or a JWK, on P-256
// or RSA from 2048 bits. It returns ErrKey for every other key, for one that
// is encrypted, public, inconsistent, meant for something else, or published
// as an example. The error contains nothing of the key.
func Parse(text string) (*Key, error) {
	if len(text) > maxText {
		return nil, bad("is far too long")
	}
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return nil, bad("is empty")
	case strings.HasPrefix(text, "{"):
		return parseJWK(text)
	default:
		return parsePEM(text)
	}
}

// parsePEM reads the one private key of a PEM text.
func parsePEM(text string) (*Key, error) {
	var found []*pem.Block
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "EC PARAMETERS" { // what `openssl ecparam` writes in front
			found = append(found, block)
		}
	}
	switch {
	case len(found) == 0:
		return nil, bad("is neither PEM nor a JWK, or not all of it is there")
	case len(found) > 1 || strings.TrimSpace(string(rest)) != "":
		return nil, bad("is not alone: give the private key and nothing else")
	}
	private, err := parseBlock(found[0])
	if err != nil {
		return nil, err
	}
	return accept(private, "", "")
}

// parseBlock reads a PEM block. The parsers' own errors may quote what they
// read, so none is kept.
func parseBlock(block *pem.Block) (private any, err error) {
	switch block.Type {
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY", "RSA PRIVATE KEY":
		if block.Headers["DEK-Info"] != "" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return nil, bad(encrypted)
		}
		if block.Type == "EC PRIVATE KEY" {
			private, err = x509.ParseECPrivateKey(block.Bytes)
		} else {
			private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		}
	case "ENCRYPTED PRIVATE KEY":
		return nil, bad(encrypted)
	case "PUBLIC KEY", "RSA PUBLIC KEY", "EC PUBLIC KEY", "CERTIFICATE":
		return nil, bad(public)
	case "OPENSSH PRIVATE KEY":
		return nil, bad("is in OpenSSH's own form: write it as PKCS#8")
	default:
		return nil, bad("is a PEM block of another kind than a private key")
	}
	if err != nil {
		return nil, bad("is no private key that can be read")
	}
	return private, nil
}

const (
	encrypted = "is encrypted: give it without a passphrase, in a file that only Portico reads"
	public    = "is a public key: the private one is needed"
)

// parseJWK reads a JWK (RFC 7517 §4).
func parseJWK(text string) (*Key, error) {
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON([]byte(text)); err != nil {
		var set struct {
			Keys []json.RawMessage `json:"keys"`
		}
		if json.Unmarshal([]byte(text), &set) == nil && set.Keys != nil {
			return nil, bad("is a JWK set: give the one key")
		}
		return nil, bad("is no JWK that can be read, or not all of it is there")
	}
	var purpose struct {
		Operations []string `json:"key_ops"`
	}
	if err := json.Unmarshal([]byte(text), &purpose); err != nil {
		return nil, bad("is no JWK that can be read, or not all of it is there")
	}
	switch {
	case jwk.IsPublic():
		return nil, bad(public)
	case jwk.Use != "" && jwk.Use != "sig",
		purpose.Operations != nil && !slices.Contains(purpose.Operations, "sign"):
		// One key for two purposes lets an answer for one be used as the other.
		return nil, bad("is not for signing")
	case len(jwk.KeyID) > maxID || strings.ContainsFunc(jwk.KeyID, func(r rune) bool { return r < '!' || r > '~' }):
		return nil, bad("has an id that is too long or not printable ASCII")
	}
	return accept(jwk.Key, jwk.Algorithm, jwk.KeyID)
}

// accept returns the key if it is good enough. algorithm is what the key says
// it is for, or "".
func accept(private any, algorithm, id string) (*Key, error) {
	var signer crypto.Signer
	var signs jose.SignatureAlgorithm
	strength := 128
	switch k := private.(type) {
	case *ecdsa.PrivateKey:
		if k.Curve != elliptic.P256() {
			return nil, bad("is on another curve than P-256")
		}
		signer, signs = k, jose.ES256
	case *rsa.PrivateKey:
		if reason := refuseRSA(k); reason != "" {
			return nil, bad(reason)
		}
		if k.N.BitLen() < strongRSA {
			strength = 112
		}
		signer, signs = k, jose.RS256
	case ed25519.PrivateKey:
		return nil, bad("is an Ed25519 key: only P-256 and RSA are taken")
	case []byte:
		return nil, bad("is a shared secret, not a private key")
	default:
		return nil, bad("is of another kind than P-256 and RSA")
	}
	if algorithm != "" && algorithm != string(signs) {
		return nil, bad("says that it is for another algorithm than " + string(signs))
	}
	return newKey(signer, signs, id, strength)
}

// refuseRSA says what is wrong with an RSA key, or "".
func refuseRSA(k *rsa.PrivateKey) string {
	switch bits := k.N.BitLen(); {
	case bits < minRSA:
		return fmt.Sprintf("is an RSA key of %d bits: at least %d are needed", bits, minRSA)
	case bits > maxRSA:
		return fmt.Sprintf("is an RSA key of %d bits: more than %d make every login slow", bits, maxRSA)
	case k.E < minExponent:
		return "is an RSA key with a small exponent"
	case len(k.Primes) != 2:
		return "is an RSA key of more than two primes"
	default:
		return ""
	}
}
