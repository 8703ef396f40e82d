package invitation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/directory"
)

// What an invitation may be for.
const (
	MaxUses = 1_000_000
	MaxLife = 366 * 24 * time.Hour
	MaxNote = 200 // characters
)

// MaxPage is how many invitations List returns at once, at most.
const MaxPage = 500

var (
	// ErrInvalid says that a code lets nobody in: it was never given out, or
	// is used up, expired, revoked, or bound to another address. Which of
	// these, whoever tries codes must not learn.
	ErrInvalid = errors.New("invitation is not valid")
	// ErrTerms says that no invitation can be given on such terms. Its text
	// names the one that is wrong.
	ErrTerms = errors.New("invitation cannot be created")
	// ErrNotFound says that no invitation has this id.
	ErrNotFound = errors.New("no invitation has this id")
)

// ID names an invitation without letting anyone in: a UUIDv7, so that later
// ones sort after earlier ones.
type ID string

// ParseID reads an id as List and Create return it. It returns ErrNotFound for
// text that names nothing.
func ParseID(text string) (ID, error) {
	id, err := uuid.Parse(text)
	if err != nil || len(text) != len(id.String()) {
		return "", ErrNotFound
	}
	return ID(id.String()), nil
}

// Invitation is a code that was given out, as far as it is known afterwards.
// Times are UTC.
type Invitation struct {
	ID        ID
	Hash      Hash
	Email     string // the canonical address that it is bound to, or empty
	Note      string // the operator's own words
	Uses      int
	UsesLeft  int
	CreatedAt time.Time
	ExpiresAt time.Time
	RevokedAt time.Time // zero unless revoked
}

// State is whether an invitation can be used, and if not, why.
type State string

// The states. Of several reasons the first of these counts: revoked, used up,
// expired.
const (
	Open    State = "open"
	UsedUp  State = "used_up"
	Expired State = "expired"
	Revoked State = "revoked"
)

// State returns how the invitation stands at now.
func (i Invitation) State(now time.Time) State {
	switch {
	case !i.RevokedAt.IsZero():
		return Revoked
	case i.UsesLeft == 0:
		return UsedUp
	case !i.ExpiresAt.After(now):
		return Expired
	default:
		return Open
	}
}

// Terms are what an invitation is to be good for.
type Terms struct {
	Uses  int           // 1 to MaxUses
	Life  time.Duration // up to MaxLife
	Email string        // the only address that may use it, as typed; anyone if empty
	Note  string        // one line of up to MaxNote characters
}

// Created is a new invitation and its code, which nothing can show again.
type Created struct {
	Invitation Invitation
	Code       Code
}

// Store keeps invitations. Every method may return directory.ErrUnavailable.
type Store interface {
	// CreateInvitation stores a new invitation.
	CreateInvitation(ctx context.Context, i Invitation) error
	// ListInvitations returns up to limit invitations that are older than
	// before, or the newest ones if that is empty, newest first.
	ListInvitations(ctx context.Context, before ID, limit int) ([]Invitation, error)
	// RevokeInvitation makes an invitation useless from now on. One that is
	// revoked already keeps the time at which it was. It returns ErrNotFound.
	RevokeInvitation(ctx context.Context, id ID, now time.Time) error
}

// Service gives invitations out and takes them back. Its fields are set before
// use.
type Service struct {
	Store Store
	Now   func() time.Time
}

// Create stores an invitation and returns its code, which is known to nobody
// else and kept nowhere. It returns ErrTerms, directory.ErrEmail or
// directory.ErrUnavailable.
func (s *Service) Create(ctx context.Context, terms Terms) (Created, error) {
	if err := terms.check(); err != nil {
		return Created{}, err
	}
	bound := ""
	if terms.Email != "" {
		email, err := directory.ParseEmail(terms.Email)
		if err != nil {
			return Created{}, err
		}
		bound = email.Canonical()
	}
	now := s.Now().UTC().Truncate(time.Microsecond) // as it is stored
	code := newCode()
	created := Created{
		Code: code,
		Invitation: Invitation{
			ID:        ID(uuid.Must(uuid.NewV7()).String()),
			Hash:      code.Hash(),
			Email:     bound,
			Note:      terms.Note,
			Uses:      terms.Uses,
			UsesLeft:  terms.Uses,
			CreatedAt: now,
			ExpiresAt: now.Add(terms.Life).Truncate(time.Microsecond),
		},
	}
	if err := s.Store.CreateInvitation(ctx, created.Invitation); err != nil {
		return Created{}, err
	}
	return created, nil
}

// List returns up to limit invitations that are older than before, or the
// newest ones if that is empty, newest first. A limit outside of 1 to MaxPage
// is MaxPage. It returns directory.ErrUnavailable.
func (s *Service) List(ctx context.Context, before ID, limit int) ([]Invitation, error) {
	if limit < 1 || limit > MaxPage {
		limit = MaxPage
	}
	return s.Store.ListInvitations(ctx, before, limit)
}

// Revoke makes an invitation useless from now on; whoever has used it stays.
// It returns ErrNotFound or directory.ErrUnavailable.
func (s *Service) Revoke(ctx context.Context, id ID) error {
	return s.Store.RevokeInvitation(ctx, id, s.Now().UTC().Truncate(time.Microsecond))
}

// check returns ErrTerms unless an invitation can be given on the terms.
func (t Terms) check() error {
	switch {
	case t.Uses < 1 || t.Uses > MaxUses:
		return fmt.Errorf("%w: its uses must be 1 to %d", ErrTerms, MaxUses)
	case t.Life < time.Second || t.Life > MaxLife:
		return fmt.Errorf("%w: it must be good for 1s to %s", ErrTerms, MaxLife)
	case utf8.RuneCountInString(t.Note) > MaxNote || !isLine(t.Note):
		return fmt.Errorf("%w: its note must be one line of up to %d printable characters", ErrTerms, MaxNote)
	}
	return nil
}

// isLine reports whether text shows on a terminal as what it is: no line
// breaks that forge rows, no escape sequences, nothing that turns the writing
// direction around (CWE-150, CWE-451).
func isLine(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}
