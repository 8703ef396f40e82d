package directory_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-playground/validator/v10"

	"github.com/portico-id/portico/internal/directory"
)

func TestWordsOfEveryLanguageAreAccepted(t *testing.T) {
	t.Parallel()
	for name, typed := range map[string]string{
		"Russian":                                  "иван@example.com",
		"Russian, in a Russian domain":             "иван@пример.рф",
		"a Russian name drawn as ASCII, at home":   "сара@почта.рф",
		"a Russian domain drawn as ASCII, at home": "anna@сор.рф",
		"a Russian top-level domain drawn as ASCII, which the root zone vouches for": "anna@пример.рус",
		"Ukrainian":                            "ярослав.їжак@example.com",
		"Greek":                                "μαρία@example.com",
		"a Greek name drawn as ASCII, at home": "αννα@παράδειγμα.ελ",
		"Armenian":                             "արամ@example.com",
		"Georgian":                             "თამარ@example.com",
		"Danish":                               "bjørn.ærø@example.com",
		"Danish with nothing but a ligature":   "æble@æble.example",
		"German":                               "jürgen.groß@example.com",
		"Turkish":                              "ışık.yıldız@yıldız.example",
		"Vietnamese":                           "nguyễn.sơn@example.com",
		"Polish":                               "łukasz@example.com",
		"Hebrew":                               "דנה@דוגמה.example",
		"Arabic":                               "خالد@example.com",
		"Arabic with its own digits":           "خالد٥@example.com",
		"Hindi":                                "नमस्ते@उदाहरण.भारत",
		"Thai with its own digits":             "สมชาย๙@example.com",
		"Thai with ASCII digits":               "สมชาย9@example.com",
		"Chinese":                              "用户@例子.中国",
		"Chinese beside Latin":                 "用户abc@example.com",
		"Japanese in its three scripts":        "東京タワーの近く@例え.テスト",
		"Japanese beside Latin":                "東京tower@example.com",
		"Japanese in nothing but long sounds":  "ノート@ノート.example",
		"Korean beside Latin":                  "한국abc@example.com",
		"Bopomofo beside Latin":                "ㄅㄆabc@example.com",
		"Cherokee":                             "ꭱꮃꮧ@example.com",
		"Catalan with its middle dot":          "anna@paral·lel.example",
		"Greek with its numeral sign":          "anna@͵αωπ.example",
		"Hebrew with its geresh":               "anna@ג׳ירפה.example",
		"Japanese with its middle dot":         "anna@ア・メロ.example",
		"four marks on one letter":             "e\u0328\u0302\u0301\u0323@example.com",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := directory.ParseEmail(typed); err != nil {
				t.Errorf("%q is refused: %v", typed, err)
			}
		})
	}
}

// lookalikes are addresses that pose as others. A check of the form alone
// lets each of them pass.
var lookalikes = map[string]string{
	"one Cyrillic letter among Latin ones":                   "pаypal@example.com",
	"one Greek letter among Latin ones":                      "gοοgle@example.com",
	"one Cyrillic letter in a label":                         "anna@pаypal.com",
	"one Cyrillic letter in an A-label":                      "anna@xn--pypal-4ve.com",
	"one Armenian letter among Latin ones":                   "annա@example.com",
	"one Latin letter among Cyrillic ones":                   "ивaн@example.com",
	"Cyrillic and Greek":                                     "ивαν@example.com",
	"Japanese and Greek":                                     "あかΩ@example.com",
	"Hangul and Kana":                                        "한국あ@example.com",
	"a script in the tag":                                    "anna+иван@example.com",
	"a local part all in Cyrillic that is drawn as paypal":   "раураӏ@example.com",
	"the same in capitals":                                   "РАУРАӀ@example.com",
	"a label all in Cyrillic that is drawn as paypal":        "anna@раураӏ.com",
	"the same as an A-label":                                 "anna@xn--80aa0cbo65f.com",
	"a Cyrillic word beside digits":                          "сор1@example.com",
	"a word drawn as ASCII at a top-level domain that is so": "anna@раураӏ.сом",
	"a Greek word drawn as ASCII":                            "ανα@example.com",
	"an Armenian word drawn as ASCII":                        "սօս@example.com",
	"phonetic letters":                                       "ɡooɡle@example.com",
	"small capitals":                                         "ᴘᴀʏᴘᴀʟ@example.com",
	"Cherokee drawn as capitals":                             "ᏢᎪᎩᏢᎪᏞ@example.com",
	"Cherokee drawn as capitals in a label":                  "anna@ᏢᎪᎩᏢᎪᏞ.com",
	"Lisu drawn as capitals":                                 "ꓑꓮꓬꓑꓮꓡ@example.com",
	"a click letter drawn as an l":                           "paypaǀ@example.com",
	"a dot above a letter that has one":                      "i\u0307stanbul@example.com",
	"a capital that folds to such a letter":                  "İstanbul@example.com",
	"and in a label":                                         "anna@İstanbul.example",
	"a dot above a letter that lacks its own":                "ı\u0307stanbul@example.com",
	"an apostrophe that is a letter":                         "oʼbrien@example.com",
	"a slash that is a letter":                               "anna@comノlogin.example",
	"a slash that is a symbol":                               "anna@com∕login.example",
	"a hyphen that is a numeral":                             "anna@pay一pal.example",
	"a zero that is a numeral":                               "anna@g〇〇gle.example",
	"a heart":                                                "anna@i❤.example",
	"a middle dot where Catalan has none":                    "anna@ex·ample.example",
	"a Japanese middle dot among Latin letters":              "anna@ex・ample.example",
	"Arabic digits among Latin letters":                      "anna٥@example.com",
	"two systems of digits":                                  "สมชาย๙9@example.com",
	"two of Arabic's systems of digits":                      "خالد٤۴@example.com",
	"the same mark twice":                                    "a\u0301\u0301@example.com",
	"five marks on one letter":                               "e\u0328\u0302\u0301\u0323\u0331@example.com",
	"a mark at the beginning, drawn on what stands before":   "\u0301anna@example.com",
	"a mark after a dot":                                     "anna.\u0301b@example.com",
	"a joiner within an A-label":                             "anna@xn--mgba3gch31f060k.example",
}

func TestLookalikesAreRefused(t *testing.T) {
	t.Parallel()
	for name, typed := range lookalikes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if email, err := directory.ParseEmail(typed); !errors.Is(err, directory.ErrEmail) {
				t.Errorf("%q: got %q, %v", typed, email.Canonical(), err)
			}
		})
	}
}

func TestWhatACheckOfTheFormLetsPassIsRefused(t *testing.T) {
	t.Parallel()
	form := validator.New()
	passed := 0
	for name, typed := range lookalikes {
		if form.Var(typed, "required,email") == nil {
			passed++
			if _, err := directory.ParseEmail(typed); err == nil {
				t.Errorf("%s: %q is accepted here as well", name, typed)
			}
		}
	}
	if passed < len(lookalikes)/2 {
		t.Errorf("only %d of %d look-alikes pass the check of the form: this test shows little", passed, len(lookalikes))
	}
}

func TestALocalPartOfNothingButLookalikesIsRefused(t *testing.T) {
	t.Parallel()
	seen := map[rune]bool{}
	for _, r := range directory.ASCIILookalikes {
		if r < utf8.RuneSelf || seen[r] {
			t.Errorf("%q (%U) is ASCII, or twice in the table", r, r)
		}
		seen[r] = true
		if email, err := directory.ParseEmail(strings.Repeat(string(r), 3) + "1@example.com"); err == nil {
			t.Errorf("%q (%U) is accepted as %q", r, r, email.Canonical())
		}
	}
}
