package directory

import (
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
)

// The longest address and parts, in octets (RFC 5321 §4.5.3.1, RFC 3696
// erratum 1690; RFC 1035 §2.3.4 for a label).
const (
	maxEmail  = 254
	maxLocal  = 64
	maxDomain = 253
	maxLabel  = 63
)

// ErrEmail is returned for text that is not an address we accept. Its message
// never repeats the address.
var ErrEmail = errors.New("not an e-mail address")

// Email is an address in two forms: as typed, to be shown and mailed to, and
// canonical, to be compared. The zero value is no address.
type Email struct {
	typed     string
	canonical string
}

// String returns the address as it was typed.
func (e Email) String() string { return e.typed }

// Canonical returns the form under which two spellings of one address are
// equal: NFKC, case-folded local part, and the domain as IDNA A-labels.
func (e Email) Canonical() string { return e.canonical }

// Domain returns the domain of the canonical form, or nothing for the zero value.
func (e Email) Domain() string {
	_, domain, _ := strings.Cut(e.canonical, "@")
	return domain
}

// RestoreEmail returns an address that ParseEmail accepted earlier, from the
// two forms as they were stored.
func RestoreEmail(typed, canonical string) Email {
	return Email{typed: typed, canonical: canonical}
}

// ParseEmail reads an address as a person types it: a dot-atom local part
// (RFC 5321 §4.1.2), "@", and a domain of at least two labels. Quoted local
// parts, address literals, comments, anything invisible, and what poses as
// other letters than it is written in are refused. It returns ErrEmail for
// everything else. What a deployment refuses besides, a [Policy] says.
func ParseEmail(typed string) (Email, error) {
	// The length comes first: what follows would otherwise work for as long
	// as a stranger likes.
	if len(typed) > maxEmail {
		return Email{}, ErrEmail
	}
	if canonical, ok := canonicalASCII(typed); ok {
		return Email{typed: typed, canonical: canonical}, nil
	}
	return parseUnicode(typed)
}

// parseUnicode reads any address; ParseEmail has checked its length.
func parseUnicode(typed string) (Email, error) {
	local, domain, ok := strings.Cut(typed, "@")
	if !ok || strings.Contains(domain, "@") || !utf8.ValidString(typed) {
		return Email{}, ErrEmail
	}
	local, err := canonicalLocal(local)
	if err != nil {
		return Email{}, err
	}
	domain, err = canonicalDomain(domain)
	if err != nil {
		return Email{}, err
	}
	if len(local)+1+len(domain) > maxEmail || deceives(local, domain) {
		return Email{}, ErrEmail
	}
	return Email{typed: typed, canonical: local + "@" + domain}, nil
}

// canonicalLocal folds compatibility forms and case, then applies PRECIS's
// UsernameCaseMapped profile (RFC 8265 §3.3), which refuses control, invisible
// and unassigned characters and mixed writing directions: two addresses that
// look the same must not register twice.
func canonicalLocal(local string) (string, error) {
	if len(local) == 0 || len(local) > maxLocal || hasInvisible(local) {
		return "", ErrEmail
	}
	folded, err := precis.UsernameCaseMapped.String(fold(local))
	if err != nil || len(folded) > maxLocal || !isDotAtom(folded) {
		return "", ErrEmail
	}
	return folded, nil
}

// fold removes what is the same letter in another form or case. NFKC comes
// again after folding, because folding can yield characters that it composes.
func fold(text string) string {
	return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(text)))
}

// isDotAtom reports whether folded text is atoms with single dots between
// them. An atom cannot begin with a combining mark, which would be drawn on
// whatever stands before the address.
func isDotAtom(text string) bool {
	for atom := range strings.SplitSeq(text, ".") {
		if atom == "" || strings.ContainsFunc(atom, notAtext) {
			return false
		}
		if first, _ := utf8.DecodeRuneInString(atom); unicode.IsMark(first) {
			return false
		}
	}
	return true
}

// notAtext reports whether r may not stand in an atom (RFC 5322 §3.2.3, with
// RFC 6532's letters beyond ASCII).
func notAtext(r rune) bool {
	switch {
	case r >= utf8.RuneSelf:
		return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r)
	case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
		return false
	default:
		return !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
	}
}

// hasInvisible reports whether s holds characters that a reader cannot see:
// controls, zero-width and bidirectional format characters, spaces, and what
// else is ignorable by default, most of which a domain's mapping would drop.
func hasInvisible(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.IsSpace(r) ||
			unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
	})
}

// canonicalDomain returns a mail domain's A-labels in lower case (RFC 5891),
// as the DNS compares them.
func canonicalDomain(domain string) (string, error) {
	ascii, err := canonicalName(domain)
	if err != nil || !strings.Contains(ascii, ".") {
		return "", ErrEmail
	}
	return ascii, nil
}

// canonicalName is canonicalDomain for a name of one label or more.
func canonicalName(name string) (string, error) {
	if len(name) == 0 || hasInvisible(name) {
		return "", ErrEmail
	}
	ascii, err := registrationDomain.ToASCII(name)
	if err != nil || len(ascii) > maxDomain {
		return "", ErrEmail
	}
	// The writing direction is checked before the mapping, which may change
	// it: what comes out has to pass as well.
	if again, err := registrationDomain.ToASCII(ascii); err != nil || again != ascii {
		return "", ErrEmail
	}
	labels := strings.Split(ascii, ".")
	if slices.Contains(labels, "") || isNumber(labels[len(labels)-1]) {
		return "", ErrEmail
	}
	return ascii, nil
}

// isNumber reports whether a name's last label makes it an IPv4 address.
func isNumber(label string) bool { return strings.Trim(label, "0123456789") == "" }

// registrationDomain maps as a browser's address bar does (UTS #46,
// non-transitional) and then checks as strictly as a registry.
var registrationDomain = idna.New(
	idna.MapForLookup(),
	idna.Transitional(false),
	idna.BidiRule(),
	idna.CheckHyphens(true),
	idna.StrictDomainName(true),
	idna.ValidateLabels(true),
	idna.VerifyDNSLength(true),
)
