package session_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/portico-id/portico/internal/session"
)

func TestATokenIsReadAsItWasGivenAway(t *testing.T) {
	t.Parallel()
	for _, client := range []session.Client{session.Browser, session.Native} {
		token := session.NewToken(client)
		read, err := session.ParseToken(client, token.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		if read != token || read.Client() != client || read.Hash() != token.Hash() || read.Reveal() != token.Reveal() {
			t.Errorf("%s: not the same token", client)
		}
		if again := session.NewToken(client); again == token || again.Hash() == token.Hash() {
			t.Errorf("%s: two new tokens are one", client)
		}
	}
}

func TestATokenHasOneSpelling(t *testing.T) {
	t.Parallel()
	// The last of 43 characters carries two bits that decode to nothing.
	plain := strings.Repeat("Az-_0", 8) + "AzE"
	for _, client := range []session.Client{session.Browser, session.Native} {
		prefix, other := "", "pts_"
		if client == session.Native {
			prefix, other = "pts_", ""
		}
		if _, err := session.ParseToken(client, prefix+plain); err != nil {
			t.Fatalf("%s: the token itself is refused: %v", client, err)
		}
		for name, text := range map[string]string{
			"nothing":                      "",
			"the prefix alone":             prefix,
			"truncated by one":             prefix + plain[:42],
			"truncated to whole bytes":     prefix + plain[:40],
			"lengthened by one":            prefix + plain + "A",
			"lengthened to whole bytes":    prefix + plain + "AAAAA",
			"twice":                        prefix + plain + plain,
			"padded":                       prefix + plain + "=",
			"padded in its length":         prefix + plain[:42] + "=",
			"trailing bits set":            prefix + plain[:42] + "F",
			"in the standard alphabet":     prefix + strings.NewReplacer("-", "+", "_", "/").Replace(plain),
			"in hexadecimal":               prefix + strings.Repeat("ab", 32),
			"with a line break":            prefix + plain[:20] + "\n" + plain[21:],
			"with a line break at the end": prefix + plain + "\n",
			"with line breaks made up for": prefix + plain[:20] + "\r\n" + plain[20:],
			"with a space before":          " " + prefix + plain,
			"with a space after":           prefix + plain + " ",
			"with a NUL":                   prefix + plain[:42] + "\x00",
			"in quotes":                    `"` + prefix + plain + `"`,
			"with the other's prefix":      other + plain,
			"with the prefix in capitals":  "PTS_" + plain,
			"with a prefix of another":     "ptx_" + plain,
			"with the prefix twice":        "pts_pts_" + plain,
			"with letters beyond ASCII":    prefix + plain[:41] + "é",
			"with bytes that are no text":  prefix + plain[:42] + "\xff",
			"a megabyte":                   prefix + strings.Repeat("A", 1<<20),
		} {
			if _, err := session.ParseToken(client, text); !errors.Is(err, session.ErrToken) {
				t.Errorf("%s, %s: got %v", client, name, err)
			}
		}
	}
}

func TestATokenInAnotherCaseIsAnotherToken(t *testing.T) {
	t.Parallel()
	token := session.NewToken(session.Browser)
	recased := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, token.Reveal())
	read, err := session.ParseToken(session.Browser, recased)
	if err == nil && read.Hash() == token.Hash() {
		t.Error("a token opens in another case")
	}
}

// ASVS 7.2.3 asks for 128 bits of entropy. Random bytes show no bit that leans
// to one side, and none that repeats the one before: with 4096 of each, being
// off by 320 is ten standard deviations.
func TestASVS_7_2_3_ASVS_11_5_1_ATokenAndACodeAre256RandomBits(t *testing.T) {
	t.Parallel()
	const drawn, bound = 4096, 320
	for name, draw := range map[string]func() string{
		"a browser's token": func() string { return session.NewToken(session.Browser).Reveal() },
		"an app's token":    func() string { return strings.TrimPrefix(session.NewToken(session.Native).Reveal(), "pts_") },
		"an app's code":     func() string { return strings.TrimPrefix(session.NewCode().Reveal(), "ptc_") },
	} {
		var set, same [256]int
		before := make([]byte, 32)
		seen := make(map[string]bool)
		for range drawn {
			text := draw()
			raw, err := base64.RawURLEncoding.DecodeString(text)
			if err != nil || len(raw) != 32 {
				t.Fatalf("%s: %d bytes, %v", name, len(raw), err)
			}
			for i := range 256 {
				bit := raw[i/8] >> (i % 8) & 1
				set[i] += int(bit)
				if bit == before[i/8]>>(i%8)&1 {
					same[i]++
				}
			}
			before = raw
			seen[text] = true
		}
		if len(seen) != drawn {
			t.Errorf("%s: %d of %d are different", name, len(seen), drawn)
		}
		for i := range 256 {
			if off := set[i] - drawn/2; off < -bound || off > bound {
				t.Errorf("%s: bit %d is set %d times of %d", name, i, set[i], drawn)
			}
			if off := same[i] - drawn/2; off < -bound || off > bound {
				t.Errorf("%s: bit %d repeats itself %d times of %d", name, i, same[i], drawn)
			}
		}
	}
}

func TestNoTextButItsOwnReadsAsAToken(t *testing.T) {
	t.Parallel()
	text := rapid.OneOf(
		rapid.String(),
		rapid.StringMatching(`(pts_)?[A-Za-z0-9_-]{42,44}`),
		rapid.StringMatching(`(pts_)?[A-Za-z0-9_+/=\n-]{43}`),
	)
	rapid.Check(t, func(t *rapid.T) {
		typed := text.Draw(t, "text")
		for _, client := range []session.Client{session.Browser, session.Native} {
			if token, err := session.ParseToken(client, typed); err == nil && token.Reveal() != typed {
				t.Fatalf("%q reads as the %s token %q", typed, client, token.Reveal())
			}
		}
	})
}

func FuzzParseToken(f *testing.F) {
	plain := strings.Repeat("Az-_0", 8) + "AzE"
	for _, text := range []string{"", plain, "pts_" + plain, plain[:42] + "F", plain + "=", plain[:20] + "\n" + plain[21:]} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, browser := session.ParseToken(session.Browser, text)
		_, native := session.ParseToken(session.Native, text)
		if browser == nil && native == nil {
			t.Errorf("%q is a token of both kinds", text)
		}
	})
}

func TestATokenNeverShows(t *testing.T) {
	t.Parallel()
	for _, client := range []session.Client{session.Browser, session.Native} {
		token := session.NewToken(client)
		hash := token.Hash()
		secret := strings.TrimPrefix(token.Reveal(), "pts_")
		raw, err := base64.RawURLEncoding.DecodeString(secret)
		if err != nil {
			t.Fatal(err)
		}
		var shown bytes.Buffer
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&shown, format+"\n", token)
			fmt.Fprintf(&shown, format+"\n", &token)
			fmt.Fprintf(&shown, format+"\n", struct{ Token session.Token }{token})
			fmt.Fprintf(&shown, format+"\n", []session.Token{token})
			fmt.Fprintf(&shown, format+"\n", session.Opened{Token: token})
		}
		for _, handler := range []slog.Handler{slog.NewTextHandler(&shown, nil), slog.NewJSONHandler(&shown, nil)} {
			slog.New(handler).InfoContext(t.Context(), "token",
				slog.Any("token", token), slog.Any("pointer", &token), slog.Any("opened", session.Opened{Token: token}))
		}
		encoded, err := json.Marshal(map[string]any{"token": token, "opened": session.Opened{Token: token}})
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(encoded)
		for name, canary := range map[string]string{
			"the text":              secret,
			"its bytes":             string(raw),
			"its bytes in hex":      hex.EncodeToString(raw),
			"its bytes in capitals": fmt.Sprintf("%X", raw),
			"its bytes in decimal":  strings.Trim(fmt.Sprintf("%d", raw), "[]"),
			"its bytes in Go":       strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", raw), "[]byte{"), "}"),
			"its hash":              hex.EncodeToString(hash[:]),
		} {
			if strings.Contains(shown.String(), canary) {
				t.Errorf("%s: %s shows in\n%s", client, name, shown.String())
			}
		}
	}
}
