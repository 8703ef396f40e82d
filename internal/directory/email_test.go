package directory_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/directory"
)

func TestAnAddressIsAcceptedAndComparedInItsCanonicalForm(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ typed, canonical string }{
		"a plain address is its own canonical form":    {"anna@example.com", "anna@example.com"},
		"a tag after a plus belongs to the address":    {"anna+portico@example.com", "anna+portico@example.com"},
		"dots divide the local part":                   {"anna.b.c@example.com", "anna.b.c@example.com"},
		"every character of an atom is allowed":        {"!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"},
		"a local part may be one character":            {"a@example.com", "a@example.com"},
		"a local part may be digits":                   {"12345@example.com", "12345@example.com"},
		"letters beyond ASCII stand in a local part":   {"björn@example.com", "björn@example.com"},
		"a decomposed letter is composed":              {"bjo\u0308rn@example.com", "björn@example.com"},
		"another script stands in a local part":        {"用户@example.com", "用户@example.com"},
		"a local part may be written right to left":    {"דנה@example.com", "דנה@example.com"},
		"capitals are folded in a local part":          {"Anna.B@example.com", "anna.b@example.com"},
		"capitals beyond ASCII are folded":             {"BJÖRN@example.com", "björn@example.com"},
		"a sharp s is folded as its capital form is":   {"STRASSE@example.com", "strasse@example.com"},
		"and so is the small one":                      {"straße@example.com", "strasse@example.com"},
		"a ligature is taken apart":                    {"o\ufb03ce@example.com", "office@example.com"},
		"capitals are folded in a domain":              {"anna@EXAMPLE.Com", "anna@example.com"},
		"fullwidth letters are folded":                 {"ａｎｎａ@ｅｘａｍｐｌｅ.ｃｏｍ", "anna@example.com"},
		"a fullwidth dot divides as a dot does":        {"anna．b@example．com", "anna.b@example.com"},
		"an ideographic full stop divides labels":      {"anna@example。com", "anna@example.com"},
		"a domain beyond ASCII becomes A-labels":       {"anna@bücher.example", "anna@xn--bcher-kva.example"},
		"and so it does in capitals":                   {"anna@BÜCHER.example", "anna@xn--bcher-kva.example"},
		"A-labels stay what they are":                  {"anna@xn--bcher-kva.example", "anna@xn--bcher-kva.example"},
		"a sharp s in a domain is a letter of its own": {"anna@straße.example", "anna@xn--strae-oqa.example"},
		"a whole domain may be in another script":      {"用户@例え.テスト", "用户@xn--r8jz45g.xn--zckzah"},
		"a label may begin with a digit":               {"anna@3com.example", "anna@3com.example"},
		"a label may hold a hyphen":                    {"anna@my-host.example", "anna@my-host.example"},
		"a local part of 64 octets is the longest":     {strings.Repeat("a", 64) + "@example.com", strings.Repeat("a", 64) + "@example.com"},
		"a label of 63 octets is the longest":          {"a@" + strings.Repeat("b", 63) + ".com", "a@" + strings.Repeat("b", 63) + ".com"},
		"an address of 254 octets is the longest":      {longest(254), longest(254)},
		"a top-level domain may hold a digit":          {"anna@example.x1", "anna@example.x1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			email, err := directory.ParseEmail(test.typed)
			if err != nil {
				t.Fatal(err)
			}
			if email.Canonical() != test.canonical {
				t.Errorf("canonical form is %q, not %q", email.Canonical(), test.canonical)
			}
			if email.String() != test.typed {
				t.Errorf("typed form is %q, not %q", email.String(), test.typed)
			}
			if domain := test.canonical[strings.IndexByte(test.canonical, '@')+1:]; email.Domain() != domain {
				t.Errorf("domain is %q, not %q", email.Domain(), domain)
			}
			if restored := directory.RestoreEmail(email.String(), email.Canonical()); restored != email {
				t.Errorf("restored, %v is %v", email, restored)
			}
		})
	}
}

// longest returns an address of n octets, whose local part is one of them.
func longest(n int) string {
	rest := n - len("a@") - len(".com")
	var domain strings.Builder
	for rest > 63 {
		domain.WriteString(strings.Repeat("b", 62) + ".")
		rest -= 63
	}
	return "a@" + domain.String() + strings.Repeat("b", rest) + ".com"
}

func TestWhatIsNoAddressIsRefused(t *testing.T) {
	t.Parallel()
	for name, typed := range map[string]string{
		"nothing at all":                                 "",
		"no at sign":                                     "anna.example.com",
		"two at signs":                                   "anna@b@example.com",
		"an at sign alone":                               "@",
		"no local part":                                  "@example.com",
		"no domain":                                      "anna@",
		"a quoted local part":                            `"anna b"@example.com`,
		"a quoted at sign":                               `"a@b"@example.com`,
		"a comment":                                      "anna(work)@example.com",
		"a name before the address":                      "Anna <anna@example.com>",
		"two addresses":                                  "anna@example.com,bert@example.com",
		"a mailto link":                                  "mailto:anna@example.com",
		"an IPv4 address in brackets":                    "anna@[192.0.2.1]",
		"an IPv6 address in brackets":                    "anna@[IPv6:2001:db8::1]",
		"a bare IPv4 address":                            "anna@192.0.2.1",
		"a top-level domain of digits":                   "anna@example.123",
		"a top-level domain of fullwidth digits":         "anna@example.１２３",
		"a domain of one label":                          "anna@localhost",
		"an empty label":                                 "anna@example..com",
		"a domain that begins with a dot":                "anna@.example.com",
		"a domain that ends with a dot":                  "anna@example.com.",
		"a local part that begins with a dot":            ".anna@example.com",
		"a local part that ends with a dot":              "anna.@example.com",
		"two dots in a row":                              "anna..b@example.com",
		"a fullwidth dot beside a dot":                   "anna.．b@example.com",
		"a label that begins with a hyphen":              "anna@-example.com",
		"a label that ends with a hyphen":                "anna@example-.com",
		"an underscore in a domain":                      "anna@ex_ample.com",
		"a port":                                         "anna@example.com:25",
		"an A-label that decodes to nothing":             "anna@xn--.example",
		"an A-label that is no encoding":                 "anna@xn--a-ecp.ru-.example",
		"a label of 64 octets":                           "a@" + strings.Repeat("b", 64) + ".com",
		"a local part of 65 octets":                      strings.Repeat("a", 65) + "@example.com",
		"a local part that grows beyond 64 octets":       strings.Repeat("\ufb03", 21) + "aa@example.com",
		"an address of 255 octets":                       longest(255),
		"an address whose A-labels exceed 254 octets":    "a@" + strings.Repeat("ü", 40) + "." + strings.Repeat("bücher.", 20) + "example",
		"a megabyte":                                     strings.Repeat("a", 1<<20) + "@example.com",
		"a zero-width space":                             "an\u200bna@example.com",
		"a zero-width joiner in the domain":              "anna@exa\u200dmple.com",
		"a zero-width non-joiner":                        "an\u200cna@example.com",
		"a word joiner":                                  "anna\u2060@example.com",
		"a byte order mark":                              "\ufeffanna@example.com",
		"a soft hyphen in the local part":                "an\u00adna@example.com",
		"a soft hyphen in the domain":                    "anna@exam\u00adple.com",
		"a variation selector in the local part":         "anna\ufe0f@example.com",
		"a variation selector in the domain":             "anna@example\ufe0f.com",
		"a grapheme joiner":                              "anna\u034f@example.com",
		"a Hangul filler":                                "anna\u3164@example.com",
		"a Khmer inherent vowel in the domain":           "anna@example\u17b4.com",
		"a Mongolian vowel separator in the domain":      "anna@example\u180e.com",
		"a tag character":                                "anna\U000e0061@example.com",
		"a right-to-left override":                       "anna\u202emoc@example.com",
		"a right-to-left mark":                           "anna\u200f@example.com",
		"a directional isolate":                          "anna\u2066@example.com",
		"a local part in both directions":                "annaדנה@example.com",
		"a label that is in both directions once mapped": "anna@A\u2135.example",
		"a NUL":                              "anna\x00@example.com",
		"a NUL in the domain":                "anna@example\x00.com",
		"a newline at the end":               "anna@example.com\n",
		"a header smuggled in":               "anna@example.com\r\nBcc: bert@example.com",
		"a tab":                              "anna\t@example.com",
		"a delete character":                 "anna\x7f@example.com",
		"a C1 control":                       "anna\u0085@example.com",
		"a space before":                     " anna@example.com",
		"a space after":                      "anna@example.com ",
		"a space within":                     "an na@example.com",
		"a no-break space":                   "anna\u00a0@example.com",
		"an ideographic space in the domain": "anna@exam\u3000ple.com",
		"a line separator":                   "anna\u2028@example.com",
		"bytes that are not UTF-8":           "ann\xff@example.com",
		"a Kelvin sign in the domain of 255 octets": strings.Repeat("a", 64) + "@" + strings.Repeat("b", 63) + ".\u212a" + strings.Repeat("b.", 62) + "com",
		"a truncated sequence":                      "anna@example.c\xc3",
		"a surrogate":                               "anna\xed\xa0\x80@example.com",
		"the replacement character":                 "anna\ufffd@example.com",
		"an emoji":                                  "😀@example.com",
		"an at sign in disguise":                    "anna＠example.com",
		"a second at sign in disguise":              "anna＠b@example.com",
		"an at sign in disguise in the domain":      "anna@example＠b.com",
		"a slash in disguise in the domain":         "anna@example.com／b.com",
		"an unassigned character":                   "anna\u0378@example.com",
		"a private-use character":                   "anna\ue000@example.com",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			email, err := directory.ParseEmail(typed)
			if !errors.Is(err, directory.ErrEmail) {
				t.Fatalf("got %q, %v", email.Canonical(), err)
			}
			if email != (directory.Email{}) {
				t.Errorf("an error came with the address %q", email)
			}
		})
	}
}
