package directory

import "strings"

// canonicalASCII returns the canonical form of an address that is ASCII
// throughout and has no A-label: nearly all of them, in a twentieth of the
// time. What it does not take is not thereby refused: parseUnicode decides.
func canonicalASCII(typed string) (string, bool) {
	local, domain, ok := strings.Cut(typed, "@")
	if !ok || len(local) > maxLocal || len(domain) > maxDomain {
		return "", false
	}
	local, domain = strings.ToLower(local), strings.ToLower(domain)
	if !isASCIIDotAtom(local) || !isASCIIName(domain) {
		return "", false
	}
	if len(local)+1+len(domain) != len(typed) {
		return "", false // ToLower shortened something that was not ASCII: the Kelvin sign
	}
	if typed[:len(local)] == local && typed[len(local)+1:] == domain {
		return typed, true
	}
	return local + "@" + domain, true
}

// isASCIIDotAtom is isDotAtom for text in lower case; it is false beyond ASCII.
func isASCIIDotAtom(text string) bool {
	afterDot := true
	for i := range len(text) {
		switch c := text[i]; {
		case c == '.':
			if afterDot {
				return false
			}
			afterDot = true
		case c >= 0x80 || notAtext(rune(c)):
			return false
		default:
			afterDot = false
		}
	}
	return !afterDot
}

// isASCIIName reports whether text in lower case is at least two labels of
// letters, digits and hyphens, the last of them not a number. A label with
// hyphens in its third and fourth place is an A-label or reserved (RFC 5891
// §4.2.3.1), and none of this function's business.
func isASCIIName(text string) bool {
	labels := 0
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if len(label) >= 4 && label[2:4] == "--" {
			return false
		}
		for i := range len(label) {
			if c := label[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
		labels++
	}
	return labels >= 2 && !isNumber(text[strings.LastIndexByte(text, '.')+1:])
}
