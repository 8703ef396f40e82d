package directory_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/portico-id/portico/internal/directory"
)

// checkEmail holds what is true of every text that ParseEmail may be given.
func checkEmail(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, typed string,
) {
	t.Helper()
	email, err := directory.ParseEmail(typed)
	if err != nil {
		if email != (directory.Email{}) {
			t.Fatalf("%q is refused and yet an address", typed)
		}
		return
	}
	canonical := email.Canonical()
	local, domain, _ := strings.Cut(canonical, "@")
	switch {
	case email.String() != typed:
		t.Fatalf("%q was not kept as typed: %q", typed, email)
	case !utf8.ValidString(canonical) || len(canonical) > 254 || len(local) == 0 || len(local) > 64:
		t.Fatalf("%q has the canonical form %q", typed, canonical)
	case strings.ContainsFunc(domain, func(r rune) bool { return r >= utf8.RuneSelf || unicode.IsUpper(r) }):
		t.Fatalf("%q has the domain %q", typed, domain)
	case strings.Count(canonical, "@") != 1 || !strings.Contains(domain, "."):
		t.Fatalf("%q has the canonical form %q", typed, canonical)
	}
	again, err := directory.ParseEmail(canonical)
	if err != nil {
		t.Fatalf("%q has the canonical form %q, which is refused", typed, canonical)
	}
	if again.Canonical() != canonical {
		t.Fatalf("%q has the canonical form %q, whose own is %q", typed, canonical, again.Canonical())
	}
}

func TestTheCanonicalFormIsItsOwnCanonicalForm(t *testing.T) {
	t.Parallel()
	t.Run("of any text", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) { checkEmail(t, rapid.String().Draw(t, "typed")) })
	})
	t.Run("of any bytes around an at sign", func(t *testing.T) {
		t.Parallel()
		part := rapid.SliceOfN(rapid.Byte(), 1, 20)
		rapid.Check(t, func(t *rapid.T) {
			checkEmail(t, string(part.Draw(t, "local"))+"@"+string(part.Draw(t, "domain"))+".example")
		})
	})
	t.Run("of letters of every script", func(t *testing.T) {
		t.Parallel()
		text := rapid.StringOfN(rapid.RuneFrom(nil, unicode.L, unicode.M, unicode.Nd), 1, 8, -1)
		rapid.Check(t, func(t *rapid.T) {
			checkEmail(t, text.Draw(t, "local")+"@example.com")
			checkEmail(t, "anna@"+text.Draw(t, "label")+".example")
		})
	})
}

// Letters whose two cases fold to each other and to nothing else.
var casedLetters = []rune("abcdefghijklmnopqrstuvwxyzàéîöüñçßαβγдежяšž")

func TestSpellingsThatDifferInCaseOrWidthAreOneAddress(t *testing.T) {
	t.Parallel()
	word := rapid.StringOfN(rapid.RuneFrom(casedLetters), 1, 10, -1)
	rapid.Check(t, func(t *rapid.T) {
		local, label := word.Draw(t, "local"), rapid.StringMatching(`[a-z]{1,10}`).Draw(t, "label")
		plain := local + "@" + label + ".example"
		want, err := directory.ParseEmail(plain)
		if err != nil {
			t.Fatal(err)
		}
		varied := vary(t, local) + "@" + vary(t, label) + ".example"
		got, err := directory.ParseEmail(varied)
		if err != nil {
			t.Fatalf("%q is refused: %v", varied, err)
		}
		if got.Canonical() != want.Canonical() {
			t.Fatalf("%q is %q, but %q is %q", varied, got.Canonical(), plain, want.Canonical())
		}
	})
}

// vary changes the case, and in ASCII the width, of some letters.
func vary(t *rapid.T, text string) string {
	return strings.Map(func(r rune) rune {
		if rapid.Bool().Draw(t, "upper") {
			r = unicode.ToUpper(r)
		}
		if r < utf8.RuneSelf && rapid.Bool().Draw(t, "wide") {
			r += '！' - '!'
		}
		return r
	}, text)
}

func FuzzParseEmail(f *testing.F) {
	for _, typed := range []string{
		"anna@example.com", "Anna.B+x@EXAMPLE.com", "björn@bücher.example", "ａｎｎａ@ｅｘａｍｐｌｅ．ｃｏｍ",
		"straße@straße.example", "ΌΣΟΣ@example.com", "İ@example.com", "דנה@example.com", "用户@例え.テスト",
		"a@[192.0.2.1]", `"a"@b.example`, "a@b@c.example", "an\u200bna@example.com", "a@b.1", "ann\xff@example.com",
	} {
		f.Add(typed)
	}
	f.Fuzz(func(t *testing.T, typed string) { checkEmail(t, typed) })
}
