// Package clientkey is the private key that Portico proves itself with at the
// provider's token endpoint, in place of a client secret: private_key_jwt of
// OpenID Connect Core §9, over RFC 7523.
//
// It owns which keys are good enough, and the assertion:
//
//	PEM: PKCS#8, SEC1, PKCS#1     Parse
//	a JWK (RFC 7517)              Parse
//	P-256                         signs ES256
//	RSA from 2048 bits            signs RS256
//	everything else               ErrKey, with the reason
//
// A stolen token request gives nothing away that could be used again for
// longer than a minute, and what the provider keeps is public.
//
// It refuses to own where the key is kept, when it is read again, who the
// assertion is for, and how it is sent. It never shows the private key but
// where it makes one. Its neighbour is [login], which sends assertions.
//
// [login]: https://pkg.go.dev/github.com/portico-id/portico/internal/login
package clientkey
