package directory

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxExternalID is the longest external_id, in characters.
const MaxExternalID = 128

// ErrExternalID is returned for text that cannot be an external_id.
var ErrExternalID = errors.New("not an external_id: 1 to 128 printable characters, without quotes, backslashes and spaces around them")

// ParseExternalID checks a key that another directory has for a user. What a
// filter at the provider cannot carry safely, quotes and backslashes, it
// refuses: the user could be created and then never be found again. It returns
// ErrExternalID.
func ParseExternalID(text string) (ExternalID, error) {
	printable := func(r rune) bool { return unicode.IsPrint(r) && r != '"' && r != '\\' }
	if text == "" || !utf8.ValidString(text) || utf8.RuneCountInString(text) > MaxExternalID || strings.TrimSpace(text) != text ||
		strings.ContainsFunc(text, func(r rune) bool { return !printable(r) }) {
		return "", ErrExternalID
	}
	return ExternalID(text), nil
}
