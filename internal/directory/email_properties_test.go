package directory_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/mutate"
)

// testingT is what the tests, rapid's and the fuzz targets' have in common.
type testingT interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkEmail holds what is true of every text that ParseEmail may be given.
func checkEmail(t testingT, typed string) {
	t.Helper()
	checkShortCut(t, typed)
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
	if shown, err := idna.ToUnicode(domain); err != nil || strings.ContainsFunc(typed+local+shown, isInvisible) {
		t.Fatalf("%q has what is not seen in it, or in its canonical form %q", typed, canonical)
	}
	if typedDomain := typed[strings.IndexByte(typed, '@')+1:]; !strings.EqualFold(typedDomain, domain) {
		checkDomainSpellings(t, typedDomain)
	}
	again, err := directory.ParseEmail(canonical)
	if err != nil {
		t.Fatalf("%q has the canonical form %q, which is refused", typed, canonical)
	}
	if again.Canonical() != canonical {
		t.Fatalf("%q has the canonical form %q, whose own is %q", typed, canonical, again.Canonical())
	}
}

// isInvisible is put otherwise than the package's own rule on purpose.
func isInvisible(r rune) bool {
	return !unicode.IsGraphic(r) || unicode.Is(unicode.Z, r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) ||
		r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202f || r >= 0x2060 && r <= 0x206f || r >= 0xfe00 && r <= 0xfe0f || r == 0xfeff || r == 0xad
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
		rapid.Check(t, func(t *rapid.T) {
			script := unicode.Scripts[rapid.SampledFrom(scripts).Draw(t, "script")]
			text := rapid.StringOfN(rapid.RuneFrom([]rune("a1-"), script, script, unicode.Inherited), 1, 8, -1)
			checkEmail(t, text.Draw(t, "local")+"@example.com")
			checkEmail(t, "anna@"+text.Draw(t, "label")+".example")
			checkEmail(t, text.Draw(t, "local")+"@"+text.Draw(t, "label")+"."+text.Draw(t, "top"))
		})
	})
}

var scripts = slices.Sorted(maps.Keys(unicode.Scripts))

// Letters whose two cases fold to each other and to nothing else, by script;
// none of the words begins as one in ASCII would.
var casedWords = rapid.OneOf(
	rapid.StringMatching(`[a-z]{1,10}`),
	rapid.StringMatching(`[a-zàéîöüñçßšž]{1,10}`),
	rapid.StringMatching(`β[αβγδεζηθικλμνξοπρτυφχψω]{0,8}`),
	rapid.StringMatching(`ж[абвгдежзийклмнопрстуфхцчшщъыьэюя]{0,8}`),
)

func TestSpellingsThatDifferInCaseOrWidthAreOneAddress(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		local, label := casedWords.Draw(t, "local"), rapid.StringMatching(`[a-z]{1,10}`).Draw(t, "label")
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

func TestNoSpellingOfADomainHasACanonicalFormOfItsOwn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		checkDomainSpellings(t, casedWords.Draw(t, "label")+"."+casedWords.Draw(t, "label")+".example")
	})
}

// checkDomainSpellings holds that every way to write one domain has one
// canonical form, or is refused.
func checkDomainSpellings(t testingT, domain string) {
	t.Helper()
	email, err := directory.ParseEmail("anna@" + domain)
	if err != nil {
		return
	}
	want := email.Canonical()
	unicodeForm, err := idna.ToUnicode(email.Domain())
	if err != nil {
		t.Fatalf("%q is accepted, and its A-labels %q decode to nothing: %v", domain, email.Domain(), err)
	}
	for how, spelling := range map[string]string{
		"as A-labels":               email.Domain(),
		"as A-labels in capitals":   strings.ToUpper(email.Domain()),
		"as U-labels":               unicodeForm,
		"in capitals":               capitals(unicodeForm),
		"decomposed":                norm.NFD.String(unicodeForm),
		"with ideographic dots":     strings.ReplaceAll(unicodeForm, ".", "。"),
		"with fullwidth dots":       strings.ReplaceAll(email.Domain(), ".", "．"),
		"with halfwidth dots":       strings.ReplaceAll(email.Domain(), ".", "｡"),
		"with a root's dot":         domain + ".",
		"with an ideographic root":  domain + "。",
		"with a space after":        domain + " ",
		"with a zero-width space":   domain + "\u200b",
		"with a soft hyphen within": strings.Replace(domain, ".", "\u00ad.", 1),
	} {
		got, err := directory.ParseEmail("anna@" + spelling)
		if err == nil && got.Canonical() != want {
			t.Fatalf("%q %s is %q, not %q", domain, how, got.Canonical(), want)
		}
		if (how == "as A-labels" || how == "as U-labels") && err != nil {
			t.Fatalf("%q is accepted, and %s, %q, it is refused", domain, how, spelling)
		}
	}
}

// capitals returns text in capitals, or as it is where a letter has none of its
// own: to the DNS straße and strasse are two names, and ẞ belongs to either.
func capitals(text string) string {
	upper := strings.ToUpper(text)
	if lower := strings.ToLower(upper); lower != text || strings.ContainsAny(text, "ßς") {
		return text
	}
	return upper
}

func TestTheShortCutForASCIIChangesNothing(t *testing.T) {
	t.Parallel()
	taken := 0
	address := rapid.OneOf(
		rapid.StringMatching(`[A-Za-z0-9.+_'*-]{1,66}@[A-Za-z0-9.-]{1,70}`),
		rapid.StringMatching(`[a-zA-Z0-9][a-zA-Z0-9.-]{0,60}@[a-zA-Z0-9-]{1,64}\.[a-zA-Z0-9-]{1,20}\.[A-Z0-9-]{1,4}`),
		rapid.StringMatching(`[!-~]{1,10}@([a-zK]{1,3}(-{0,2}[a-z0-9]{1,3})?\.){1,3}[a-z0-9]{1,3}`),
		rapid.StringOfN(rapid.RuneFrom([]rune("aZ0.-@xn\x00 \x7f\u0080\u212aſK")), 1, 20, -1),
		rapid.Map(rapid.IntRange(8, 260), longest),
	)
	rapid.Check(t, func(t *rapid.T) {
		typed := address.Draw(t, "typed")
		checkShortCut(t, typed)
		if directory.TakesShortCut(typed) {
			taken++
		}
	})
	if taken == 0 {
		t.Error("no address took it: this test shows nothing")
	}
}

func checkShortCut(t testingT, typed string) {
	t.Helper()
	got, err := directory.ParseEmail(typed)
	want, wantErr := directory.ParseEmailInFull(typed)
	if got != want || !errors.Is(err, wantErr) {
		t.Fatalf("%q is %q, %v; in full it is %q, %v", typed, got.Canonical(), err, want.Canonical(), wantErr)
	}
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

// emailSeeds are addresses, and what is none, to begin with.
func emailSeeds() []string {
	return slices.AppendSeq([]string{
		"anna@example.com", "Anna.B+x@EXAMPLE.com", "björn@bücher.example", "ａｎｎａ@ｅｘａｍｐｌｅ．ｃｏｍ",
		"straße@straße.example", "ΌΣΟΣ@example.com", "İ@example.com", "דנה@example.com", "用户@例え.テスト",
		"a@[192.0.2.1]", `"a"@b.example`, "a@b@c.example", "an\u200bna@example.com", "a@b.1", "ann\xff@example.com",
	}, maps.Values(lookalikes))
}

func FuzzParseEmail(f *testing.F) {
	for _, typed := range emailSeeds() {
		f.Add(typed)
	}
	f.Fuzz(func(t *testing.T, typed string) { checkEmail(t, typed) })
}

func TestNoTextIsAnAddressThatBreaksTheRules(t *testing.T) {
	t.Parallel()
	mutate.Run(t, emailSeeds(), []string{
		"@", ".", "+", "-", "xn--", "example.com", "\u200b", "\u202e", "\u0301", "\uff20", "\u3002", "\u0130", "\u00df", "\u0436", "\u03b1", "\xff",
	}, func(t *testing.T, input []byte) { checkEmail(t, string(input)) })
}
