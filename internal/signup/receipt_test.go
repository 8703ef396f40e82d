package signup_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestAReceiptHasOneSpelling(t *testing.T) {
	t.Parallel()
	// The last of 22 characters carries four bits that decode to nothing.
	const receipt = "Az-_0Az-_0Az-_0Az-_0AQ"
	if _, err := signup.Receipt(receipt).Hash(); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing":                  "",
		"truncated by one":         receipt[:21],
		"truncated to whole bytes": receipt[:20],
		"lengthened by one":        receipt + "A",
		"of another length":        receipt + "AAAAAA",
		"padded":                   receipt + "==",
		"trailing bits set":        receipt[:21] + "R",
		"the standard alphabet":    strings.NewReplacer("-", "+", "_", "/").Replace(receipt),
		"a line break at the end":  receipt + "\n",
		"a line break within":      receipt[:10] + "\r\n" + receipt[10:],
		"a space":                  " " + receipt,
		"a NUL":                    receipt + "\x00",
		"bytes that are no text":   receipt[:21] + "\xff",
		"a user's id":              "01890a5d-ac96-774b-bcce-b302099a8057",
		"a path":                   "../../" + receipt[:16],
		"a megabyte":               strings.Repeat("A", 1<<20),
	} {
		if _, err := signup.Receipt(text).Hash(); !errors.Is(err, signup.ErrNotFound) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzReceipt(f *testing.F) {
	for _, text := range []string{"", "Az-_0Az-_0Az-_0Az-_0AQ", "Az-_0Az-_0Az-_0Az-_0AR", "Az-_0Az-_0\nAz-_0Az-_0AQ"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		hash, err := signup.Receipt(text).Hash()
		if err != nil {
			return
		}
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || hash != sha256.Sum256(raw) || base64.RawURLEncoding.EncodeToString(raw) != text {
			t.Errorf("%q is a receipt with the hash %x", text, hash)
		}
	})
}

func TestAReceiptThatWasNeverGivenIsNotFound(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		accepted := w.accept("anna@example.com")
		for name, receipt := range map[string]signup.Receipt{
			"unknown":         "Az-_0Az-_0Az-_0Az-_0AQ",
			"malformed":       "what?",
			"empty":           "",
			"in another case": signup.Receipt(swapCase(string(accepted.Receipt))),
		} {
			if found, err := w.Status(t.Context(), receipt); !errors.Is(err, signup.ErrNotFound) || found != (signup.Signup{}) {
				t.Errorf("%s: %+v, %v", name, found, err)
			}
		}
	})
}

func swapCase(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, text)
}

func TestASVS_11_4_1_NothingStoredOpensAReceipt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		receipt := w.accept("anna@example.com").Receipt
		raw, err := base64.RawURLEncoding.DecodeString(string(receipt))
		if err != nil {
			t.Fatal(err)
		}
		hash := sha256.Sum256(raw)
		everything := w.dump()
		w.settle(moment)
		everything += w.dump()
		for name, canary := range map[string]string{
			"the receipt":     string(receipt),
			"its bytes":       string(raw),
			"its hexadecimal": hex.EncodeToString(raw),
		} {
			if strings.Contains(everything, canary) {
				t.Errorf("%s is stored", name)
			}
		}
		if !strings.Contains(everything, hex.EncodeToString(hash[:])) {
			t.Error("its hash is not")
		}
	})
}
