package hostile

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"sync"
)

// Keys are keys to sign with, generated once per test binary.
type Keys struct {
	RSA, OtherRSA, SmallRSA *rsa.PrivateKey // 2048, 2048 and 1024 bits
	P256, OtherP256, P384   *ecdsa.PrivateKey
	Ed25519                 ed25519.PrivateKey
}

// TestKeys returns the same keys each time.
var TestKeys = sync.OnceValue(func() Keys { //nolint:gochecknoglobals // generating them takes a second
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return Keys{
		RSA: rsaKey(2048), OtherRSA: rsaKey(2048), SmallRSA: rsaKey(1024),
		P256: ecKey(elliptic.P256()), OtherP256: ecKey(elliptic.P256()), P384: ecKey(elliptic.P384()),
		Ed25519: edwards,
	}
})

func rsaKey(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

func ecKey(curve elliptic.Curve) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

// JWK returns a key as RFC 7517 writes it. A private key or a secret is written
// out in full, as nobody should publish it. It panics for other types.
func JWK(kid string, key any) Object {
	jwk := Object{"kid": kid, "use": "sig"}
	switch key := key.(type) {
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", number(key.N), number(big.NewInt(int64(key.E)))
	case *rsa.PrivateKey:
		jwk = JWK(kid, key.Public())
		jwk["d"], jwk["p"], jwk["q"] = number(key.D), number(key.Primes[0]), number(key.Primes[1])
	case *ecdsa.PublicKey:
		point, err := key.Bytes() // 4, then both coordinates
		if err != nil {
			panic(err)
		}
		half := len(point) / 2
		jwk["kty"], jwk["crv"] = "EC", key.Curve.Params().Name
		jwk["x"], jwk["y"] = octets(point[1:1+half]), octets(point[1+half:])
	case *ecdsa.PrivateKey:
		jwk = JWK(kid, key.Public())
		d, err := key.Bytes()
		if err != nil {
			panic(err)
		}
		jwk["d"] = octets(d)
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", octets(key)
	case []byte:
		jwk["kty"], jwk["k"] = "oct", octets(key)
	default:
		panic("hostile: no such key")
	}
	return jwk
}

func number(n *big.Int) string { return octets(n.Bytes()) }

func octets(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }
