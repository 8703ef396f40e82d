package simulator

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"strconv"
	"sync"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Algorithm signs ID tokens.
type Algorithm string

// The two algorithms of the older platform.
const (
	RS256 Algorithm = "RS256"
	ES256 Algorithm = "ES256"
)

// maxKeys bounds how many keys are published; the oldest goes first.
const maxKeys = 8

// keyRing holds the signing keys, newest first. The first key is made when it
// is first needed: most tests never sign, and RSA keys are slow to make. It has
// a lock of its own so that making one holds up nobody else.
type keyRing struct {
	mu   sync.Mutex
	alg  Algorithm
	next int
	keys []signingKey
}

func (k *keyRing) rotate(alg Algorithm) error {
	if alg != RS256 && alg != ES256 {
		return fmt.Errorf("alg: %q is neither RS256 nor ES256", alg)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.alg = alg
	return k.generate()
}

func (k *keyRing) algorithm() Algorithm {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.alg
}

func (k *keyRing) all() ([]signingKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.keys) == 0 {
		if err := k.generate(); err != nil {
			return nil, err
		}
	}
	return append([]signingKey{}, k.keys...), nil
}

// generate is called with the lock held.
func (k *keyRing) generate() error {
	var signer crypto.Signer
	var err error
	if k.alg == ES256 {
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		signer, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		return fmt.Errorf("generate %s key: %w", k.alg, err)
	}
	k.next++
	key := signingKey{id: "key-" + strconv.Itoa(k.next) + "-" + newSecret()[:8], alg: jose.SignatureAlgorithm(k.alg), signer: signer}
	k.keys = append([]signingKey{key}, k.keys...)
	k.keys = k.keys[:min(len(k.keys), maxKeys)]
	return nil
}

// signingKey is an op.SigningKey; publicKey is its published half, an op.Key.
type signingKey struct {
	id     string
	alg    jose.SignatureAlgorithm
	signer crypto.Signer
}

func (k signingKey) ID() string                                  { return k.id }
func (k signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return k.alg }
func (k signingKey) Key() any                                    { return k.signer }

type publicKey struct{ signingKey }

func (k publicKey) Algorithm() jose.SignatureAlgorithm { return k.alg }
func (k publicKey) Use() string                        { return "sig" }
func (k publicKey) Key() any                           { return k.signer.Public() }

var (
	_ op.SigningKey = signingKey{}
	_ op.Key        = publicKey{}
)
