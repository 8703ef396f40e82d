package keyring

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

const (
	keySize = 32 // AES-256
	maxKeys = 16 // every key is another one that can leak: retire them

	// What thirty-two random bytes never look like. Each bound refuses a random
	// key with a probability below 10⁻¹².
	minDistinct = 16
	maxRun      = 8
)

// ErrKeys is returned by Parse, wrapped with the position of the key at fault
// and the reason.
var ErrKeys = errors.New("unusable keys")

// Parse reads a ring from comma-separated keys, newest first: each the base64
// text (standard or URL alphabet, padded or not) of exactly 32 bytes, with
// spaces around it ignored. It returns ErrKeys for an empty ring, an empty
// entry, a wrong length, a key given twice, and keys that were typed rather
// than drawn: readable text, few distinct bytes, a repeated part, a counting
// run. The error never contains a key.
func Parse(text string) (*Ring, error) {
	if strings.TrimSpace(text) == "" {
		return nil, fmt.Errorf("%w: none given", ErrKeys)
	}
	entries := strings.Split(text, ",")
	if len(entries) > maxKeys {
		return nil, fmt.Errorf("%w: more than %d", ErrKeys, maxKeys)
	}
	keys := make([]key, 0, len(entries))
	seen := make(map[[keySize]byte]int, len(entries))
	for i, entry := range entries {
		raw, fault := decode(strings.TrimSpace(entry))
		if fault == "" {
			fault = weakness(raw)
		}
		if fault != "" {
			return nil, fmt.Errorf("%w: key %d of %d %s", ErrKeys, i+1, len(entries), fault)
		}
		if first, ok := seen[[keySize]byte(raw)]; ok {
			return nil, fmt.Errorf("%w: key %d of %d is key %d again", ErrKeys, i+1, len(entries), first)
		}
		seen[[keySize]byte(raw)] = i + 1
		k, err := newKey(raw)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return newRing(keys), nil
}

// decode returns the bytes of one entry, or what is wrong with it.
func decode(entry string) (raw []byte, fault string) {
	if entry == "" {
		return nil, "is empty"
	}
	if strings.ContainsAny(entry, "\r\n") {
		return nil, "has a line break in it" // which the decoders would skip
	}
	for _, alphabet := range []*base64.Encoding{
		base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding,
	} {
		raw, err := alphabet.Strict().DecodeString(entry)
		if err != nil {
			continue
		}
		if len(raw) != keySize {
			return nil, fmt.Sprintf("is %d bytes, not %d", len(raw), keySize)
		}
		return raw, ""
	}
	return nil, "is not base64"
}

// weakness says why 32 bytes cannot have come from a random source, or "".
// It catches placeholders and passphrases, not bad generators.
func weakness(raw []byte) string {
	switch {
	case readable(raw):
		return "is readable text, not random bytes"
	case distinct(raw) < minDistinct:
		return "has too few distinct bytes"
	case repeats(raw):
		return "repeats itself"
	case longestRun(raw) >= maxRun:
		return "counts in steps"
	default:
		return ""
	}
}

// readable reports whether every byte is printable ASCII or white space, as
// in "changeme" and in hexadecimal text that was taken for the key itself.
func readable(raw []byte) bool {
	return !bytes.ContainsFunc(raw, func(r rune) bool {
		return (r < ' ' || r > '~') && r != '\t' && r != '\n' && r != '\r'
	})
}

func distinct(raw []byte) int {
	var seen [256]bool
	n := 0
	for _, b := range raw {
		if !seen[b] {
			seen[b] = true
			n++
		}
	}
	return n
}

// repeats reports whether raw is a shorter text over and over.
func repeats(raw []byte) bool {
	for period := 1; period <= len(raw)/2; period++ {
		if bytes.Equal(raw[period:], raw[:len(raw)-period]) {
			return true
		}
	}
	return false
}

// longestRun returns the length of the longest stretch of bytes that are the
// same step apart: 1 2 3 4, 9 7 5 3, or 0 0 0 0.
func longestRun(raw []byte) int {
	longest, run := 0, 1
	for i := 1; i < len(raw); i++ {
		if i > 1 && raw[i]-raw[i-1] == raw[i-1]-raw[i-2] {
			run++
		} else {
			run = 2
		}
		longest = max(longest, run)
	}
	return longest
}
