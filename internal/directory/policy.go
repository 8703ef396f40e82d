package directory

import (
	"errors"
	"fmt"
	"strings"
)

// The reasons for which a policy refuses an address that is one. None of the
// messages repeats it.
var (
	// ErrEmailBlocked says that the operator does not admit the address.
	ErrEmailBlocked = errors.New("e-mail address is not admitted")
	// ErrEmailDisposable says that its domain hands out throw-away mailboxes.
	ErrEmailDisposable = errors.New("e-mail address is disposable")
	// ErrPlusAddress says that it carries a tag after a plus where none is
	// admitted, or that nothing would be left of it without.
	ErrPlusAddress = errors.New("e-mail address carries a tag")
)

// PlusMode says what becomes of "+tag" at the end of a local part, by which
// most mail servers let one mailbox have any number of addresses (RFC 5233).
type PlusMode string

// The modes. The zero value is PlusAllow.
const (
	PlusAllow  PlusMode = "allow"  // anna+a@ and anna+b@ are two users
	PlusRefuse PlusMode = "refuse" // no address may have a plus
	PlusFold   PlusMode = "fold"   // both are anna@; mail still goes to the address as typed
)

// PolicySettings are what an operator decides about addresses.
type PolicySettings struct {
	// Allow and Block are patterns: `anna@example.com`, `example.com` (that
	// domain), `*.example.com` (all domains beneath it, not itself), `*`, and
	// `LOCAL@DOMAIN` where a * in LOCAL stands for any text and DOMAIN is one
	// of the forms before: `admin@*`, `no-*@*.example.com`. What is allowed is
	// neither blocked nor disposable, so that Block `*` makes Allow the list
	// of all who may come in.
	Allow, Block []string
	// Disposable holds the domains that are refused with all that is beneath
	// them; nil refuses none.
	Disposable *DisposableDomains
	// Plus says what a tag means.
	Plus PlusMode
}

// Policy decides which addresses are admitted, and which of them are one. It
// compares canonical forms only, so that no spelling gets around it. A nil
// Policy admits every address.
type Policy struct {
	allow, block patterns
	disposable   *DisposableDomains
	plus         PlusMode
}

// ParsePolicy checks the settings. Its error names the pattern or the mode
// that makes no sense.
func ParsePolicy(settings PolicySettings) (*Policy, error) {
	p := &Policy{disposable: settings.Disposable, plus: settings.Plus}
	switch p.plus {
	case "":
		p.plus = PlusAllow
	case PlusAllow, PlusRefuse, PlusFold:
	default:
		return nil, fmt.Errorf("plus-addressing can be allow, refuse or fold, not %q", string(p.plus))
	}
	var err error
	if p.allow, err = parsePatterns(settings.Allow, p.plus); err != nil {
		return nil, fmt.Errorf("allowed addresses: %w", err)
	}
	if p.block, err = parsePatterns(settings.Block, p.plus); err != nil {
		return nil, fmt.Errorf("blocked addresses: %w", err)
	}
	return p, nil
}

// Parse reads an address as ParseEmail does and holds it against the policy.
// It returns ErrEmail, ErrPlusAddress, ErrEmailBlocked or ErrEmailDisposable.
func (p *Policy) Parse(typed string) (Email, error) {
	email, err := ParseEmail(typed)
	if err != nil || p == nil {
		return email, err
	}
	if email.canonical, err = p.plus.canonical(email.canonical); err != nil {
		return Email{}, err
	}
	local, domain, _ := strings.Cut(email.canonical, "@")
	switch {
	case p.allow.match(local, domain):
		return email, nil
	case p.block.match(local, domain):
		return Email{}, ErrEmailBlocked
	case p.disposable.Contains(domain):
		return Email{}, ErrEmailDisposable
	}
	return email, nil
}

// canonical returns the canonical form of a canonical address in this mode.
// It returns ErrPlusAddress.
func (m PlusMode) canonical(address string) (string, error) {
	local, domain, _ := strings.Cut(address, "@")
	mailbox, _, tagged := strings.Cut(local, "+")
	if !tagged || m == PlusAllow {
		return address, nil
	}
	if m == PlusRefuse {
		return "", ErrPlusAddress
	}
	// What is left has to be an address by itself: "+tag" leaves nothing,
	// "anna.+tag" a dot at the end, and a tag can have been what told a word
	// from ASCII.
	folded, err := ParseEmail(mailbox + "@" + domain)
	if err != nil {
		return "", ErrPlusAddress
	}
	return folded.canonical, nil
}
