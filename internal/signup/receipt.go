package signup

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

// receiptBytes is 128 bits: enough that receipts cannot be guessed (ASVS 11.5.1).
const receiptBytes = 16

var receiptText = base64.RawURLEncoding.Strict()

// Receipt names a sign-up to the app that made it, and to nobody else.
type Receipt string

// Hash is what is stored of a receipt, or of an idempotency key.
type Hash [sha256.Size]byte

// Hash returns what is stored of the receipt. It returns ErrNotFound for text
// that cannot be a receipt.
func (r Receipt) Hash() (Hash, error) {
	raw, err := r.bytes()
	if err != nil {
		return Hash{}, err
	}
	return sha256.Sum256(raw), nil
}

func (r Receipt) bytes() ([]byte, error) {
	// The length is checked in its text as well: the decoder passes over line
	// breaks, and one receipt has one spelling.
	raw, err := receiptText.DecodeString(string(r))
	if err != nil || len(raw) != receiptBytes || len(r) != receiptText.EncodedLen(receiptBytes) {
		return nil, ErrNotFound
	}
	return raw, nil
}

func newReceipt() Receipt {
	var raw [receiptBytes]byte
	_, _ = rand.Read(raw[:]) // never fails: crypto/rand ends the program instead
	return receiptOf(raw[:])
}

func receiptOf(raw []byte) Receipt { return Receipt(receiptText.EncodeToString(raw)) }
