package login

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	keysFresh = 10 * time.Minute // a key set is looked at again after this
	keysStale = time.Hour        // and no longer used after this, when it cannot be
	maxKeys   = 100              // in a key set; providers have fewer than ten
	minRSA    = 2048             // bits (RFC 7518 §3.3)
	maxRSA    = 8192             // bits: verifying with a longer key takes seconds
)

// signatureAlgorithms are the ones we take, whatever the provider announces:
// neither `none` nor anything symmetric, so that a public key never becomes an
// HMAC secret (RFC 8725 §2.1).
func signatureAlgorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.ES256}
}

// keySet is the provider's published keys. Unlike the library's it bounds how
// often it asks, forgets a key that the provider has withdrawn, and takes only
// keys that are fit to verify what we accept.
type keySet struct {
	uri    string
	client *http.Client // meters
	now    func() time.Time
	log    *slog.Logger

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time // zero before the first
	flight  *flight   // a fetch under way
}

// flight is a fetch that several callers wait for.
type flight struct {
	done chan struct{}
	keys []jose.JSONWebKey
	err  error
}

type fetchKey struct{}

// VerifySignature returns the payload of a token that one of the provider's
// keys has signed. A key set that could not be fetched goes to the error that
// the context has for it: the verifier flattens what is returned to text.
func (k *keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(token, signatureAlgorithms())
	if err != nil {
		return nil, errors.New("not a signature that we take")
	}
	keys, fetched := k.known()
	age := k.now().Sub(fetched)
	if age < keysFresh {
		if payload, ok := verifyWith(keys, jws); ok {
			return payload, nil
		}
	}
	// A new key, or no key: the provider may have rotated just before it signed
	// (OpenID Connect Core §10.1.1). A fetch that was under way already may be
	// from before that; the one after it is not.
	for range 2 {
		fresh, began, err := k.refresh(ctx)
		switch {
		case err == nil:
			keys = fresh
		case age < keysFresh || age >= keysStale:
			if out, ok := ctx.Value(fetchKey{}).(*error); ok {
				*out = err
			}
			return nil, err
		}
		if payload, ok := verifyWith(keys, jws); ok {
			return payload, nil
		}
		if began {
			break
		}
	}
	return nil, errors.New("no key of the provider's has made this signature")
}

// verifyWith tries the keys that may have signed: of the token's key id where
// it names one, for its algorithm, for signing. Providers do publish two keys
// of one id in the middle of a rotation.
func verifyWith(keys []jose.JSONWebKey, jws *jose.JSONWebSignature) ([]byte, bool) {
	if len(jws.Signatures) != 1 {
		return nil, false
	}
	header := jws.Signatures[0].Header
	for i := range keys {
		if header.KeyID != "" && header.KeyID != keys[i].KeyID || keys[i].Algorithm != header.Algorithm {
			continue
		}
		if payload, err := jws.Verify(keys[i].Key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

func (k *keySet) known() ([]jose.JSONWebKey, time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys, k.fetched
}

// refresh fetches the key set and returns it, and whether this call began the
// fetch: whoever asks while one is under way waits for that one. It returns an
// [*UnavailableError], after which the last good set is still the one in use.
func (k *keySet) refresh(ctx context.Context) (keys []jose.JSONWebKey, began bool, err error) {
	k.mu.Lock()
	f := k.flight
	if began = f == nil; began {
		f = &flight{done: make(chan struct{})}
		k.flight = f
		// One caller's cancellation must not fail the others; the client's
		// timeout ends it.
		go k.fly(context.WithoutCancel(ctx), f)
	}
	k.mu.Unlock()
	select {
	case <-f.done:
		return f.keys, began, f.err
	case <-ctx.Done():
		return nil, true, &UnavailableError{Doing: doingKeys, Cause: ctx.Err()}
	}
}

const doingKeys = "fetching the key set"

func (k *keySet) fly(ctx context.Context, f *flight) {
	f.keys, f.err = k.fetch(ctx)
	k.mu.Lock()
	if f.err == nil {
		k.keys, k.fetched = f.keys, k.now()
	}
	k.flight = nil
	k.mu.Unlock()
	close(f.done)
}

func (k *keySet) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.uri, http.NoBody)
	if err != nil {
		return nil, &UnavailableError{Doing: doingKeys, Cause: errors.New("unusable endpoint")}
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	req.Header.Set("Cache-Control", "no-cache")
	resp, err := k.client.Do(req)
	if err != nil {
		unavailable := &UnavailableError{Doing: doingKeys, Cause: bare(err)}
		if soon, ok := errors.AsType[tooSoonError](err); ok {
			unavailable.RetryAfter = soon.wait
		}
		return nil, unavailable
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &UnavailableError{Doing: doingKeys, RetryAfter: retryAfter(resp), Cause: statusError(resp.StatusCode)}
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, &UnavailableError{Doing: doingKeys, Cause: bare(err)}
	}
	keys, ignored, err := parseKeys(body)
	if err != nil {
		return nil, &UnavailableError{Doing: doingKeys, Cause: err}
	}
	for _, reason := range ignored {
		k.log.WarnContext(ctx, "key of the provider's is not used", "reason", reason)
	}
	return keys, nil
}

// parseKeys reads a key set (RFC 7517 §5). A key that is of no use to us is
// left out, as that section asks; those that an operator should hear of are
// returned as reasons.
func parseKeys(body []byte) (keys []jose.JSONWebKey, ignored []string, err error) {
	var set struct {
		Keys *[]jsontext.Value `json:"keys"`
	}
	if json.Unmarshal(body, &set) != nil || set.Keys == nil {
		return nil, nil, errors.New("not a key set")
	}
	// Each is tried against a token without key id.
	if len(*set.Keys) > maxKeys {
		return nil, nil, fmt.Errorf("more than %d keys", maxKeys)
	}
	for _, raw := range *set.Keys {
		key, err := parseKey(raw)
		switch {
		case err == nil:
			keys = append(keys, key)
		case !errors.Is(err, errForeignKey):
			ignored = append(ignored, err.Error())
		}
	}
	return keys, ignored, nil
}

// errForeignKey is a sound key for something that we do not do.
var errForeignKey = errors.New("a key for another purpose")

// parseKey reads a key that can verify one of our algorithms, and writes down
// which: a key that could be used with either of two is how one of them is
// attacked through the other (RFC 8725 §3.1).
func parseKey(raw jsontext.Value) (jose.JSONWebKey, error) {
	var outline struct {
		Type       string         `json:"kty"`
		Curve      string         `json:"crv"`
		Use        string         `json:"use"`
		Algorithm  string         `json:"alg"`
		Operations []string       `json:"key_ops"`
		Private    jsontext.Value `json:"d"`
		Secret     jsontext.Value `json:"k"`
	}
	var none jose.JSONWebKey
	if json.Unmarshal(raw, &outline) != nil {
		return none, errors.New("malformed")
	}
	algorithm := map[string]string{"RSA": string(jose.RS256), "EC P-256": string(jose.ES256)}[outline.Type+onCurve(outline.Curve)]
	switch {
	case outline.Private != nil, outline.Secret != nil:
		// Whoever reads the key set can sign with it.
		return none, errors.New("its private part is published")
	case algorithm == "",
		outline.Algorithm != "" && outline.Algorithm != algorithm,
		outline.Use != "" && outline.Use != "sig",
		outline.Operations != nil && !slices.Contains(outline.Operations, "verify"):
		return none, errForeignKey
	}
	var key jose.JSONWebKey
	if json.Unmarshal(raw, &key) != nil {
		return none, errors.New("malformed")
	}
	key.Algorithm = algorithm
	return key, checkStrength(key.Key)
}

// checkStrength refuses keys that are too weak to be believed, or so long that
// every signature is a burden.
func checkStrength(key any) error {
	switch public := key.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < minRSA || bits > maxRSA {
			return fmt.Errorf("%d bits long", bits)
		}
		if public.E < 3 || public.E%2 == 0 {
			return errors.New("an exponent that is none")
		}
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return errForeignKey
		}
	default:
		return errForeignKey
	}
	return nil
}

func onCurve(name string) string {
	if name == "" {
		return ""
	}
	return " " + name
}
