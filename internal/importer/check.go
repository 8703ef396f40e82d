package importer

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"

	"github.com/portico-id/portico/internal/directory"
)

// The bounds of what a sign-up may say of a person, which hold here as well.
const (
	maxDisplayName = 100
	maxLocale      = 35
)

// Row is a person as they are staged.
type Row struct {
	Record

	User      directory.UserID // that they are to have
	Canonical string           // form of the address; empty if it is none
}

// check complains of what is wrong with a person by themselves.
func check(r Record, policy *directory.Policy) Row {
	row := Row{Record: r, User: directory.NewUserID()}
	said := make(map[Column]bool) // whose text was not even read as it is
	for _, c := range r.Complaints {
		said[c.Column] = true
	}
	if said[""] {
		return row // who knows whether the rest is where it belongs
	}
	if !said[ExternalID] {
		row.checkExternalID()
	}
	if !said[Email] {
		row.checkEmail(policy)
	}
	if name := r.DisplayName; !said[DisplayName] && (utf8.RuneCountInString(name) > maxDisplayName || !printable(name)) {
		row.complain(DisplayName, BadDisplayName, fmt.Sprintf(
			"is not up to %d printable characters without spaces around them", maxDisplayName))
	}
	if !said[Locale] && r.Locale != "" {
		if _, err := language.Parse(r.Locale); err != nil || len(r.Locale) > maxLocale {
			row.complain(Locale, BadLocale, "is not a language tag such as en-GB (BCP 47)")
		}
	}
	return row
}

func (r *Row) checkExternalID() {
	if r.ExternalID == "" {
		r.complain(ExternalID, Required, "is empty")
	} else if _, err := directory.ParseExternalID(r.ExternalID); err != nil {
		r.complain(ExternalID, BadExternalID, "is "+err.Error())
	}
}

func (r *Row) checkEmail(policy *directory.Policy) {
	if r.Email == "" {
		r.complain(Email, Required, "is empty")
		return
	}
	email, err := policy.Parse(r.Email)
	switch {
	case err == nil:
		r.Canonical = email.Canonical()
	case errors.Is(err, directory.ErrEmailBlocked):
		r.complain(Email, EmailBlocked, "is not admitted by PORTICO_EMAIL_ALLOW and PORTICO_EMAIL_BLOCK")
	case errors.Is(err, directory.ErrEmailDisposable):
		r.complain(Email, EmailThrowaway, "is of a domain of throw-away mailboxes")
	case errors.Is(err, directory.ErrPlusAddress):
		r.complain(Email, EmailTagged, "carries a tag after a plus")
	default:
		r.complain(Email, BadEmail, "is not an e-mail address")
	}
}

// printable reports whether text can be shown, as sign-up demands it.
func printable(text string) bool {
	const zeroWidthNonJoiner, zeroWidthJoiner = '\u200c', '\u200d' // are part of words
	return strings.TrimSpace(text) == text && !strings.ContainsFunc(text, func(r rune) bool {
		return !unicode.IsPrint(r) && r != zeroWidthNonJoiner && r != zeroWidthJoiner
	})
}
