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

// The longest address and parts, in octets (RFC 5321 §4.5.3.1, RFC 3696 erratum 1690).
const (
	maxEmail  = 254
	maxLocal  = 64
	maxDomain = 253
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

// RestoreEmail returns an address that ParseEmail accepted earlier, from the
// two forms as they were stored.
func RestoreEmail(typed, canonical string) Email {
	return Email{typed: typed, canonical: canonical}
}

// ParseEmail reads an address as a person types it: a dot-atom local part
// (RFC 5321 §4.1.2), "@", and a domain of at least two labels. Quoted local
// parts, address literals, comments and anything invisible are refused. It
// returns ErrEmail for everything else.
func ParseEmail(typed string) (Email, error) {
	if len(typed) > maxEmail || !utf8.ValidString(typed) {
		return Email{}, ErrEmail
	}
	local, domain, ok := strings.Cut(typed, "@")
	if !ok || strings.Contains(domain, "@") {
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
	if len(local)+1+len(domain) > maxEmail {
		return Email{}, ErrEmail
	}
	return Email{typed: typed, canonical: local + "@" + domain}, nil
}

// canonicalLocal folds compatibility forms and case, then applies PRECIS's
// UsernameCaseMapped profile (RFC 8265 §3.3), which refuses control, invisible
// and unassigned characters and mixed writing directions: two addresses that
// look the same must not register twice. NFKC comes again after folding,
// because folding can yield characters that it composes.
func canonicalLocal(local string) (string, error) {
	if len(local) == 0 || len(local) > maxLocal || hasInvisible(local) {
		return "", ErrEmail
	}
	folded := cases.Fold().String(norm.NFKC.String(local))
	folded = norm.NFKC.String(folded)
	folded, err := precis.UsernameCaseMapped.String(folded)
	if err != nil || len(folded) > maxLocal {
		return "", ErrEmail
	}
	for atom := range strings.SplitSeq(folded, ".") {
		if atom == "" || strings.ContainsFunc(atom, notAtext) {
			return "", ErrEmail
		}
	}
	return folded, nil
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

// canonicalDomain returns the domain's A-labels in lower case (RFC 5891), as
// the DNS compares them.
func canonicalDomain(domain string) (string, error) {
	if len(domain) == 0 || hasInvisible(domain) {
		return "", ErrEmail
	}
	ascii, err := registrationDomain.ToASCII(domain)
	if err != nil || len(ascii) > maxDomain {
		return "", ErrEmail
	}
	// The writing direction is checked before the mapping, which may change
	// it: what comes out has to pass as well.
	if again, err := registrationDomain.ToASCII(ascii); err != nil || again != ascii {
		return "", ErrEmail
	}
	labels := strings.Split(ascii, ".")
	if len(labels) < 2 || slices.Contains(labels, "") {
		return "", ErrEmail
	}
	if top := labels[len(labels)-1]; strings.Trim(top, "0123456789") == "" {
		return "", ErrEmail // an IPv4 address, not a name
	}
	return ascii, nil
}

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
