package invitation

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestACodeIsReadAsItWasGivenOut(t *testing.T) {
	t.Parallel()
	shape := regexp.MustCompile(`^([0-9A-HJKMNP-TV-Z]{5}-){4}[0-9A-HJKMNP-TV-Z]{6}$`)
	seen := make(map[Hash]bool)
	for range 1000 {
		code := newCode()
		text := code.Reveal()
		if !shape.MatchString(text) {
			t.Fatalf("%q is no code that a person can read out", text)
		}
		read, err := ParseCode(text)
		if err != nil || read != code || read.Hash() != code.Hash() || read.Reveal() != text {
			t.Fatalf("%q is read as another code: %v", text, err)
		}
		if seen[code.Hash()] {
			t.Fatal("two new codes are one")
		}
		seen[code.Hash()] = true
	}
}

// fixed is a code whose text has every pitfall.
var fixed = Code{bytes: [codeBytes]byte{0x00, 0x04, 0x21, 0x08, 0xff, 0x00, 0x01, 0x5a, 0xa5, 0x80, 0x7f, 0x00, 0x00, 0x00, 0x00, 0x08}}

func TestHowACodeIsTypedDoesNotMatter(t *testing.T) {
	t.Parallel()
	text := fixed.Reveal()
	if !strings.Contains(text, "0") || !strings.Contains(text, "1") {
		t.Fatalf("%q has no pitfalls", text)
	}
	for name, typed := range map[string]string{
		"as it is":                  text,
		"in small letters":          strings.ToLower(text),
		"without dashes":            strings.ReplaceAll(text, "-", ""),
		"with spaces for dashes":    strings.ReplaceAll(text, "-", " "),
		"with spaces around":        "  " + text + " \t",
		"with the mail's line end":  text + "\r\n",
		"broken into two lines":     text[:12] + "\n" + text[12:],
		"with dashes elsewhere":     "-" + strings.ReplaceAll(text, "-", "")[:3] + "--" + strings.ReplaceAll(text, "-", "")[3:],
		"with the letter O for 0":   strings.ReplaceAll(text, "0", "O"),
		"with a small o for 0":      strings.ReplaceAll(text, "0", "o"),
		"with the letter I for 1":   strings.ReplaceAll(text, "1", "I"),
		"with a small i for 1":      strings.ReplaceAll(text, "1", "i"),
		"with the letter L for 1":   strings.ReplaceAll(text, "1", "L"),
		"with a small l for 1":      strings.ReplaceAll(text, "1", "l"),
		"with everything at a time": " " + strings.ToLower(strings.NewReplacer("-", " - ", "0", "O", "1", "l").Replace(text)) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if read, err := ParseCode(typed); err != nil || read != fixed {
				t.Errorf("%q is not the code: %v", typed, err)
			}
		})
	}
}

func TestWhatIsNoCodeIsRefused(t *testing.T) {
	t.Parallel()
	text := fixed.Reveal()
	plain := strings.ReplaceAll(text, "-", "")
	for name, typed := range map[string]string{
		"nothing":                  "",
		"dashes":                   "-----",
		"one character short":      text[:len(text)-1],
		"one character long":       text + "0",
		"twice":                    plain + plain,
		"padded":                   plain + "======",
		"padded in its length":     plain[:25] + "=",
		"trailing bits set":        plain[:25] + "1",
		"a letter U":               plain[:5] + "U" + plain[6:],
		"a NUL":                    plain[:5] + "\x00" + plain[6:],
		"a letter beyond ASCII":    plain[:5] + "\u00c9" + plain[6:],
		"a wide digit":             plain[:5] + "\uff10" + plain[6:],
		"a Kelvin sign for a K":    plain[:5] + "\u212a" + plain[6:],
		"a long dash":              strings.ReplaceAll(text, "-", "—"),
		"a zero-width space":       text + "\u200b",
		"bytes that are no text":   plain[:25] + "\xff",
		"quotes":                   `"` + text + `"`,
		"in hexadecimal":           hex.EncodeToString(fixed.bytes[:]),
		"more spaces than is fair": strings.Repeat(" ", maxCodeText) + text,
		"a megabyte":               strings.Repeat("0", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := ParseCode(typed); !errors.Is(err, ErrCode) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestWhateverReadsAsACodeIsOne(t *testing.T) {
	t.Parallel()
	text := rapid.OneOf(
		rapid.String(),
		rapid.StringMatching(`[0-9A-Za-z]{25,27}`),
		rapid.StringMatching(`([0-9a-zA-Z]{5}[- ]?){4}[0-9a-zA-Z]{6}`),
	)
	rapid.Check(t, func(t *rapid.T) { checkParse(t, text.Draw(t, "text")) })
}

func FuzzParseCode(f *testing.F) {
	f.Add(fixed.Reveal())
	f.Add(strings.ToLower(fixed.Reveal()) + "\n")
	f.Add("")
	f.Add(strings.Repeat("Z", codeChars))
	f.Fuzz(func(t *testing.T, text string) { checkParse(t, text) })
}

// checkParse holds that what is read has one form, which is read as the same.
func checkParse(t interface{ Fatalf(string, ...any) }, text string) {
	code, err := ParseCode(text)
	if err != nil {
		if !errors.Is(err, ErrCode) || code != (Code{}) {
			t.Fatalf("%q: got a code and %v", text, err)
		}
		return
	}
	if again, err := ParseCode(code.Reveal()); err != nil || again != code {
		t.Fatalf("%q is %q, which is another code: %v", text, code.Reveal(), err)
	}
}

func TestACodeNeverShows(t *testing.T) {
	t.Parallel()
	code := newCode()
	created := Created{Invitation: Invitation{Note: "for Ada"}, Code: code}
	var shown bytes.Buffer
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&shown, format+"\n", code)
		fmt.Fprintf(&shown, format+"\n", &code)
		fmt.Fprintf(&shown, format+"\n", created)
		fmt.Fprintf(&shown, format+"\n", []Code{code})
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&shown, nil), slog.NewJSONHandler(&shown, nil)} {
		slog.New(handler).InfoContext(t.Context(), "code",
			slog.Any("code", code), slog.Any("pointer", &code), slog.Any("created", created))
	}
	encoded, err := json.Marshal(map[string]any{"code": code, "created": created})
	if err != nil {
		t.Fatal(err)
	}
	shown.Write(encoded)
	for name, canary := range map[string]string{
		"the text":              code.Reveal(),
		"the text undashed":     strings.ReplaceAll(code.Reveal(), "-", ""),
		"its bytes":             string(code.bytes[:]),
		"its bytes in hex":      hex.EncodeToString(code.bytes[:]),
		"its bytes in capitals": fmt.Sprintf("%X", code.bytes),
		"its bytes in decimal":  strings.Trim(fmt.Sprintf("%d", code.bytes), "[]"),
	} {
		if strings.Contains(shown.String(), canary) {
			t.Errorf("%s shows in\n%s", name, shown.String())
		}
	}
}
