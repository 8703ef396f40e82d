package keyring_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/keyring"
)

func randomKey(tb testing.TB) string {
	tb.Helper()
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		tb.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func parse(tb testing.TB, text string) *keyring.Ring {
	tb.Helper()
	ring, err := keyring.Parse(text)
	if err != nil {
		tb.Fatalf("Parse: %v", err)
	}
	return ring
}

func TestASVS_11_3_3_ASealedTextOpensForItsPurposeOnly(t *testing.T) {
	ring := parse(t, randomKey(t))
	for _, size := range []int{0, 1, 100, keyring.MaxPlaintext} {
		plaintext := bytes.Repeat([]byte("x"), size)
		sealed := ring.Seal("browser", plaintext)
		opened, err := ring.Open("browser", sealed)
		if err != nil || !bytes.Equal(opened, plaintext) {
			t.Fatalf("Open of %d bytes = %d bytes, %v", size, len(opened), err)
		}
		for _, other := range []string{"", "native", "browse", "browserx", "Browser"} {
			if _, err := ring.Open(other, sealed); !errors.Is(err, keyring.ErrSealed) {
				t.Errorf("Open for %q = %v, want ErrSealed", other, err)
			}
		}
	}
}

func TestASVS_11_3_4_EqualTextsSealDifferently(t *testing.T) {
	ring := parse(t, randomKey(t))
	seen := map[string]bool{}
	for range 1000 {
		seen[ring.Seal("p", []byte("x"))] = true
	}
	if len(seen) != 1000 {
		t.Error("a nonce was used twice")
	}
}

func TestSealRefusesWhatNobodyCouldOpen(t *testing.T) {
	ring := parse(t, randomKey(t))
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	ring.Seal("p", make([]byte, keyring.MaxPlaintext+1))
}

func TestASVS_11_2_2_AKeyIsRotatedAndRetired(t *testing.T) {
	older, newer := randomKey(t), randomKey(t)
	before := parse(t, older)
	during := parse(t, newer+","+older)
	after := parse(t, newer)

	sealed := before.Seal("p", []byte("old"))
	if opened, err := during.Open("p", sealed); err != nil || string(opened) != "old" {
		t.Errorf("a text under the older key opens while the key is in the ring: %q, %v", opened, err)
	}
	if _, err := after.Open("p", sealed); !errors.Is(err, keyring.ErrSealed) {
		t.Errorf("a text under a retired key: %v, want ErrSealed", err)
	}
	if opened, err := after.Open("p", during.Seal("p", []byte("new"))); err != nil || string(opened) != "new" {
		t.Errorf("new texts are sealed under the newest key: %q, %v", opened, err)
	}
}

func TestASVS_11_3_3_ASVS_11_2_5_EveryChangedByteIsNoticed(t *testing.T) {
	ring := parse(t, randomKey(t)+","+randomKey(t))
	sealed := ring.Seal("p", []byte("state, nonce and verifier"))
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		for bit := range 8 {
			raw[i] ^= 1 << bit
			if _, err := ring.Open("p", base64.RawURLEncoding.EncodeToString(raw)); !errors.Is(err, keyring.ErrSealed) {
				t.Errorf("byte %d, bit %d flipped: %v, want ErrSealed", i, bit, err)
			}
			raw[i] ^= 1 << bit
		}
	}
	for n := range raw {
		if _, err := ring.Open("p", base64.RawURLEncoding.EncodeToString(raw[:n])); !errors.Is(err, keyring.ErrSealed) {
			t.Errorf("cut to %d bytes: %v, want ErrSealed", n, err)
		}
	}
}

func TestASealedTextHasOneSpelling(t *testing.T) {
	ring := parse(t, randomKey(t))
	sealed := ring.Seal("p", []byte("four")) // 37 bytes: the last character carries spare bits
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		t.Fatal(err)
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, sealed[len(sealed)-1])
	for name, spelling := range map[string]string{
		"padded":                   base64.URLEncoding.EncodeToString(raw),
		"with a line break inside": sealed[:10] + "\n" + sealed[10:],
		"with a line break after":  sealed + "\r\n",
		"with a space before":      " " + sealed,
		"with spare bits set":      sealed[:len(sealed)-1] + alphabet[last+1:last+2],
		"twice":                    sealed + sealed,
		"far too long":             strings.Repeat("A", 1<<20),
		"empty":                    "",
		"not base64":               "%%%",
	} {
		if _, err := ring.Open("p", spelling); !errors.Is(err, keyring.ErrSealed) {
			t.Errorf("%s: %v, want ErrSealed", name, err)
		}
	}
}

func TestParseTakesEveryUsualSpelling(t *testing.T) {
	raw := bytes.Repeat([]byte{0xfb, 0xff}, 16) // both alphabets differ here
	if _, err := rand.Read(raw[4:]); err != nil {
		t.Fatal(err)
	}
	want := parse(t, base64.StdEncoding.EncodeToString(raw))
	sealed := want.Seal("p", []byte("x"))
	for name, text := range map[string]string{
		"standard, unpadded":       base64.RawStdEncoding.EncodeToString(raw),
		"URL alphabet, padded":     base64.URLEncoding.EncodeToString(raw),
		"URL alphabet, unpadded":   base64.RawURLEncoding.EncodeToString(raw),
		"from a file, with a line": base64.StdEncoding.EncodeToString(raw) + "\n",
		"second of two":            randomKey(t) + " , " + base64.StdEncoding.EncodeToString(raw),
	} {
		ring, err := keyring.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := ring.Open("p", sealed); err != nil {
			t.Errorf("%s: another key was read", name)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good := randomKey(t)
	encode := func(raw []byte) string { return base64.StdEncoding.EncodeToString(raw) }
	counting := func(step byte) []byte {
		raw := make([]byte, 32)
		for i := range raw {
			raw[i] = byte(i) * step
		}
		return raw
	}
	half := make([]byte, 16)
	for i := range half {
		half[i] = byte(0x80 + i*i*7)
	}
	for name, text := range map[string]string{
		"nothing":                        "",
		"white space":                    " \n",
		"a trailing comma":               good + ",",
		"a leading comma":                "," + good,
		"text that is not base64":        "not a key!",
		"ASVS-11.2.3 sixteen bytes":      encode(make([]byte, 16)),
		"ASVS-11.2.3 thirty-one bytes":   encode(counting(7)[:31]),
		"ASVS-11.2.3 thirty-three bytes": encode(append(counting(7), 9)),
		"the same key twice":             good + "," + good,
		"one key in two spellings":       good + "," + strings.TrimRight(good, "="),
		"ASVS-13.2.3 zeroes":             encode(make([]byte, 32)),
		"ASVS-13.2.3 one byte repeated":  encode(bytes.Repeat([]byte{0xa7}, 32)),
		"a counting key":                 encode(counting(1)),
		"counting in steps":              encode(counting(37)),
		"counting down":                  encode(counting(255)),
		"two halves that are equal":      encode(append(bytes.Clone(half), half...)),
		"few distinct bytes":             encode(bytes.Repeat([]byte{1, 200, 3, 90}, 8)),
		"ASVS-13.2.3 a placeholder":      encode([]byte("changeme-changeme-changeme-chang")),
		"ASVS-13.2.3 a passphrase":       encode([]byte("correct horse battery staple 42!")),
		"hexadecimal text":               encode([]byte("0f1e2d3c4b5a69788796a5b4c3d2e1f0")),
		"a second key that is weak":      good + "," + encode(make([]byte, 32)),
		"a line break inside a key":      good[:20] + "\n" + good[20:],
		"more keys than anyone uses":     strings.Repeat(good+",", 20) + good,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := keyring.Parse(text)
			if !errors.Is(err, keyring.ErrKeys) {
				t.Fatalf("Parse = %v, want ErrKeys", err)
			}
			for part := range strings.SplitSeq(text, ",") {
				part = strings.TrimSpace(part)
				if len(part) > 8 && strings.Contains(err.Error(), part[:8]) {
					t.Errorf("the error shows the key: %v", err)
				}
			}
		})
	}
}

func TestRandomKeysAreNeverCalledWeak(t *testing.T) {
	for range 20_000 {
		if _, err := keyring.Parse(randomKey(t)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestASVS_13_3_1_ARingNeverShowsItsKeys(t *testing.T) {
	ring := parse(t, randomKey(t))
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("ring", "ring", ring)
	if !strings.Contains(log.String(), `"ring":"[redacted]"`) {
		t.Errorf("log: %s", log.String())
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, ring); got != "[redacted]" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
	if ring.String() != "[redacted]" {
		t.Error("String shows the ring")
	}
}

func FuzzOpen(f *testing.F) {
	fixed := sha256.Sum256([]byte("the fuzzer's workers must share a key"))
	ring := parse(f, base64.StdEncoding.EncodeToString(fixed[:])+","+randomKey(f))
	sealed := ring.Seal("p", []byte("a flow"))
	f.Add("p", sealed)
	f.Add("q", sealed)
	f.Add("p", sealed[:len(sealed)-1])
	f.Add("p", "")
	f.Add("p", "AQAAAAA")
	f.Fuzz(func(t *testing.T, purpose, text string) {
		plaintext, err := ring.Open(purpose, text)
		switch {
		case err == nil && (purpose != "p" || string(plaintext) != "a flow"):
			t.Errorf("a forged text opens to %q", plaintext)
		case err != nil && !errors.Is(err, keyring.ErrSealed):
			t.Errorf("Open = %v, want ErrSealed", err)
		case err != nil && plaintext != nil:
			t.Error("a text that does not open was returned")
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(randomKey(f))
	f.Add(randomKey(f) + "," + randomKey(f))
	f.Add("AAAA,,====")
	f.Fuzz(func(t *testing.T, text string) {
		ring, err := keyring.Parse(text)
		if (ring == nil) == (err == nil) || err != nil && !errors.Is(err, keyring.ErrKeys) {
			t.Errorf("Parse = %v, %v", ring, err)
		}
	})
}
