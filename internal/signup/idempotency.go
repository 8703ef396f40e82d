package signup

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"
)

// KeyLife is for how long an idempotency key is remembered.
const KeyLife = 24 * time.Hour

var (
	// ErrKeyUnknown says that no sign-up has the idempotency key.
	ErrKeyUnknown = errors.New("no sign-up has this idempotency key")
	// ErrKeyKnown says that a sign-up has the idempotency key already.
	ErrKeyKnown = errors.New("a sign-up has this idempotency key")
	// ErrKeyInUse says that a request with the idempotency key is under way.
	ErrKeyInUse = errors.New("a request with this idempotency key is under way")
	// ErrKeyReused says that the idempotency key came with another body before.
	ErrKeyReused = errors.New("the idempotency key came with another body before")
)

// StoredKey is what is stored of a sign-up's idempotency key
// (draft-ietf-httpapi-idempotency-key-header). Neither the key nor the receipt
// can be read from it: the receipt is sealed under a key that only a request
// with the same idempotency key and body yields.
type StoredKey struct {
	Hash        Hash
	Fingerprint Hash // of the body
	Sealed      []byte
	ExpiresAt   time.Time
}

// digest hashes parts under a name, so that no two uses share a hash.
func digest(name string, parts ...[]byte) [sha256.Size]byte {
	h := sha256.New()
	for _, part := range append([][]byte{[]byte(name)}, parts...) {
		_ = binary.Write(h, binary.BigEndian, uint64(len(part))) // a hash never fails
		_, _ = h.Write(part)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func (r Request) keyHash() Hash     { return digest("idempotency key", []byte(r.IdempotencyKey)) }
func (r Request) fingerprint() Hash { return digest("idempotency body", r.Body) }

func (r Request) sealer() (cipher.AEAD, error) {
	key := digest("idempotency seal", []byte(r.IdempotencyKey), r.Body)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal returns what is stored so that the request can be answered again.
func seal(r Request, receipt Receipt, now, resendAfter time.Time) (*StoredKey, error) {
	raw, err := receipt.bytes()
	if err != nil {
		return nil, err
	}
	sealer, err := r.sealer()
	if err != nil {
		return nil, err
	}
	answer := binary.BigEndian.AppendUint64(raw, uint64(resendAfter.Unix())) //nolint:gosec // a time after 1970
	hash := r.keyHash()
	return &StoredKey{
		Hash:        hash,
		Fingerprint: r.fingerprint(),
		Sealed:      sealer.Seal(nil, nil, answer, hash[:]), //nolint:gosec // the sealer makes the nonce
		ExpiresAt:   now.Add(KeyLife),
	}, nil
}

// replay returns the answer that a request with the same key got. It returns
// ErrKeyUnknown, ErrKeyReused, or directory.ErrUnavailable.
func (s *Service) replay(ctx context.Context, r Request, now time.Time) (Signup, error) {
	hash := r.keyHash()
	stored, err := s.Store.FindKey(ctx, hash, now)
	if err != nil {
		return Signup{}, err
	}
	if stored.Fingerprint != r.fingerprint() {
		return Signup{}, ErrKeyReused
	}
	sealer, err := r.sealer()
	if err != nil {
		return Signup{}, err
	}
	answer, err := sealer.Open(nil, nil, stored.Sealed, hash[:])
	if err != nil || len(answer) != receiptBytes+8 {
		return Signup{}, errors.New("the stored answer does not open")
	}
	seconds := binary.BigEndian.Uint64(answer[receiptBytes:])
	return Signup{
		Receipt:     receiptOf(answer[:receiptBytes]),
		Status:      Received,
		ResendAfter: time.Unix(int64(seconds), 0).UTC(), //nolint:gosec // as it was sealed
		Replayed:    true,
	}, nil
}
