package clientkey

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// Generate returns a new private key for the algorithm, ES256 or RS256, as
// PKCS#8 in PEM. It has 128 bits of security. It is the one place that shows a
// private key.
func Generate(algorithm string) (string, error) {
	var private any
	var err error
	switch algorithm {
	case ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RS256:
		private, err = rsa.GenerateKey(rand.Reader, strongRSA)
	default:
		return "", fmt.Errorf("clientkey: the algorithm must be %s or %s", ES256, RS256)
	}
	if err != nil {
		return "", fmt.Errorf("clientkey: generate: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", fmt.Errorf("clientkey: generate: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), nil
}
