package mail

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// The longest address and parts, in octets (RFC 5321 §4.5.3.1, RFC 3696
// erratum 1690).
const (
	maxAddress = 254
	maxLocal   = 64
	maxDomain  = 253
)

// address is a mailbox as SMTP names it: the domain in A-labels, so that no
// server on the way needs to know about internationalised names.
type address struct {
	local  string
	domain string
}

// String returns the address as the envelope and the headers carry it.
func (a address) String() string { return a.local + "@" + a.domain }

// international reports whether the address needs SMTPUTF8 (RFC 6531).
func (a address) international() bool {
	return strings.ContainsFunc(a.local, func(r rune) bool { return r >= utf8.RuneSelf })
}

// parseAddress reads local@domain. It refuses whatever could end the address
// early in a command or a header: line breaks and other controls, spaces, and
// the specials of RFC 5322 §3.2.3 (CWE-93). It returns errAddress.
func parseAddress(text string) (address, error) {
	at := strings.LastIndexByte(text, '@')
	if at < 1 || len(text) > maxAddress || !utf8.ValidString(text) {
		return address{}, errAddress
	}
	local := text[:at]
	if len(local) > maxLocal || strings.ContainsFunc(local, notInLocal) {
		return address{}, errAddress
	}
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" {
			return address{}, errAddress
		}
	}
	domain, err := mailDomain.ToASCII(text[at+1:])
	if err != nil || domain == "" || len(domain) > maxDomain || strings.HasSuffix(domain, ".") {
		return address{}, errAddress
	}
	return address{local: local, domain: domain}, nil
}

func notInLocal(r rune) bool {
	return unicode.IsControl(r) || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune(`()<>[]:;@\,"`, r)
}

// mailDomain maps as a browser's address bar does (UTS #46, non-transitional).
var mailDomain = idna.New(
	idna.MapForLookup(),
	idna.Transitional(false),
	idna.BidiRule(),
	idna.StrictDomainName(true),
	idna.VerifyDNSLength(true),
)
