package directory

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Two addresses that look alike are how a stranger takes over a name: the one
// registers, the other is believed (UTS #36 §2, the homograph attack). PRECIS
// and IDNA both leave this to their callers (RFC 8264 §12.5, RFC 5890 §4.4).
// Each part of an address, that is the local part and every label, therefore
// has to pass UTS #39's tests for what identifiers may be:
//
//	single script, or one of three mixtures   §5.2 "Highly Restrictive"
//	digits of one system                      §5.3
//	no piled-up combining marks               §5.4
//	not all of it drawn as ASCII              §4   whole-script confusables

// deceives reports whether the canonical local part or a label of the
// canonical domain poses as something else.
func deceives(local, domain string) bool {
	shown, err := registrationDomain.ToUnicode(domain)
	// A-labels may decode to joiners that in plain writing are refused.
	if err != nil || hasInvisible(shown) {
		return true
	}
	labels := strings.Split(shown, ".")
	for _, label := range labels {
		if !isLegible(label) || !isLabelText(label) {
			return true
		}
	}
	// The top-level domain may be drawn as ASCII, as .рус is: the root zone
	// delegates no look-alikes of its names (ICANN's string similarity review).
	top := labels[len(labels)-1]
	home := homeScripts(top)
	for _, label := range labels[:len(labels)-1] {
		if poses(label, home) {
			return true
		}
	}
	return !isLegible(local) || poses(local, home)
}

// isLegible reports whether what part holds is of one writing system.
func isLegible(part string) bool {
	if isASCII(part) {
		return true
	}
	scripts, known := scriptsOf(part)
	return known && isOneWritingSystem(scripts) && !mixesDigits(part) && !pilesMarks(part)
}

// poses reports whether part is not ASCII and yet looks as though it were. In
// the scripts of home a reader expects no ASCII.
func poses(part string, home []string) bool {
	if isASCII(part) || !looksASCII(part) {
		return false
	}
	scripts, _ := scriptsOf(part)
	return len(home) == 0 || !slices.Equal(scripts, home)
}

// homeScripts returns the scripts of a top-level domain under which every
// reader expects them: сара@почта.рф is nobody's idea of capa@nomta.pf. There
// are none if the domain is in Latin letters or could be taken to be.
func homeScripts(top string) []string {
	scripts, _ := scriptsOf(top)
	if slices.Contains(scripts, "Latin") || looksASCII(asCapitals.Replace(top)) {
		return nil
	}
	return scripts
}

// asCapitals replaces letters that are drawn as ASCII capitals but smaller. In
// a word they tell it from ASCII; in a top-level domain .сом is near enough.
//
//nolint:gochecknoglobals // built once, safe for concurrent use, never changed
var asCapitals = strings.NewReplacer("в", "b", "к", "k", "м", "m", "н", "h", "т", "t", "κ", "k", "μ", "m", "τ", "t")

// scriptsOf returns the scripts of text, sorted, but for what all scripts
// share, and whether every character's script is known.
func scriptsOf(text string) (scripts []string, known bool) {
	last := "Latin"
	for _, r := range text {
		if unicode.In(r, unicode.Common, unicode.Inherited) {
			continue
		}
		if !unicode.Is(unicode.Scripts[last], r) {
			if last = scriptOf(r); last == "" {
				return nil, false
			}
		}
		if at, found := slices.BinarySearch(scripts, last); !found {
			scripts = slices.Insert(scripts, at, last)
		}
	}
	return scripts, true
}

// scriptOf returns the one script that r belongs to.
func scriptOf(r rune) string {
	for _, name := range scriptNames() {
		if unicode.Is(unicode.Scripts[name], r) {
			return name
		}
	}
	return ""
}

// scriptNames are sorted so that what one address costs does not vary.
//
//nolint:gochecknoglobals // computed once, safe for concurrent use, never changed
var scriptNames = sync.OnceValue(func() []string { return slices.Sorted(maps.Keys(unicode.Scripts)) })

// isOneWritingSystem reports whether people write with just these scripts:
// with one, or with Han and its companions and Latin beside them (UTS #39
// §5.2, "Highly Restrictive").
func isOneWritingSystem(scripts []string) bool {
	if len(scripts) <= 1 {
		return true
	}
	for _, system := range [][]string{
		{"Latin", "Han", "Hiragana", "Katakana"},
		{"Latin", "Han", "Bopomofo"},
		{"Latin", "Han", "Hangul"},
	} {
		if !slices.ContainsFunc(scripts, func(script string) bool { return !slices.Contains(system, script) }) {
			return true
		}
	}
	return false
}

// mixesDigits reports whether text holds decimal digits of two systems: the
// Bengali four is drawn as an eight.
func mixesDigits(text string) bool {
	zero := rune(-1)
	for _, r := range text {
		if !unicode.IsDigit(r) {
			continue
		}
		// Each system's digits stand in a row that begins with its zero.
		first := r
		for r-first < 9 && unicode.IsDigit(first-1) {
			first--
		}
		if zero >= 0 && (r < zero || r > zero+9) {
			return true
		}
		if zero < 0 {
			zero = first
		}
	}
	return false
}

// maxMarks is how many combining marks in a row are believed to be writing.
const maxMarks = 4

// pilesMarks reports whether text has the same combining mark twice in a row,
// where the one hides the other, or more marks than any writing needs.
func pilesMarks(text string) bool {
	var last rune
	marks := 0
	for _, r := range norm.NFD.String(text) {
		if !unicode.Is(unicode.Mn, r) {
			last, marks = 0, 0
			continue
		}
		marks++
		if r == last || marks > maxMarks {
			return true
		}
		last = r
	}
	return false
}

// isLabelText reports whether a label in Unicode is letters, marks, digits and
// hyphens. UTS #46 alone lets symbols pass, and ∕ poses as the end of the name.
// What punctuation RFC 5892 admits stays admitted in its places.
func isLabelText(label string) bool {
	if isASCII(label) {
		return true
	}
	runes := []rune(label)
	for i, r := range runes {
		if r == '-' || unicode.IsDigit(r) || unicode.In(r, unicode.L, unicode.M, unicode.Nl) {
			continue
		}
		if before, after := runes[:i], runes[i+1:]; !isAdmitted(r, before, after) {
			return false
		}
	}
	return true
}

// isAdmitted reports whether r stands where RFC 5892's Appendix A.3 to A.7
// admit it, between what is before and after it in a label.
func isAdmitted(r rune, before, after []rune) bool {
	switch r {
	case '·': // as Catalan writes: col·lega
		return len(before) > 0 && before[len(before)-1] == 'l' && len(after) > 0 && after[0] == 'l'
	case '͵':
		return len(after) > 0 && unicode.Is(unicode.Greek, after[0])
	case '׳', '״':
		return len(before) > 0 && unicode.Is(unicode.Hebrew, before[len(before)-1])
	case '・':
		return slices.ContainsFunc(slices.Concat(before, after), isJapanese)
	default:
		return false
	}
}

func isJapanese(r rune) bool { return unicode.In(r, unicode.Hiragana, unicode.Katakana, unicode.Han) }

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
}
