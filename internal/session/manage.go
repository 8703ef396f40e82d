package session

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/directory"
)

// The reasons for which a provider's logout ends nothing.
var (
	// ErrLogoutReplayed says that the logout token has been obeyed before.
	ErrLogoutReplayed = errors.New("logout token was used before")
	// ErrLogoutUnclear says that a logout does not tell whose sessions it is
	// about, or cannot be told from another.
	ErrLogoutUnclear = errors.New("logout names no session and no user, or has no id")
)

// ProviderLogout is what a logout token says once it was checked in full
// (OpenID Connect Back-Channel Logout 1.0 §2.4).
type ProviderLogout struct {
	Issuer    string
	Subject   string    // `sub`, or empty
	Session   string    // `sid`, or empty
	TokenID   string    // `jti`
	ExpiresAt time.Time // from when on the token is refused anyway
}

// LogoutMark names a logout token: the SHA-256 of its issuer and its id.
type LogoutMark [sha256.Size]byte

// Mark returns what the token is remembered by. The issuer's length goes before
// it, so that no other pair of texts runs together to the same bytes.
func (l ProviderLogout) Mark() LogoutMark {
	text := binary.BigEndian.AppendUint64(nil, uint64(len(l.Issuer)))
	return sha256.Sum256(append(append(text, l.Issuer...), l.TokenID...))
}

// ManagedStore ends sessions by whose they are. Every method may return
// directory.ErrUnavailable.
type ManagedStore interface {
	// ListSessions returns the user's sessions, in any order.
	ListSessions(ctx context.Context, user directory.UserID) ([]Session, error)
	// EndSessionByID removes a session of the user. It returns ErrUnknown
	// when they have none with this id.
	EndSessionByID(ctx context.Context, user directory.UserID, id ID) error
	// EndSessionsOf removes the user's sessions except the one to keep, if
	// that is not empty, and their codes, all or nothing. It returns how many
	// sessions those were.
	EndSessionsOf(ctx context.Context, user directory.UserID, keep ID) (int, error)
	// EndSessionsOfProvider removes the sessions and codes that the logout is
	// about, and marks its token as used, all or nothing. It returns how many
	// sessions those were, or ErrLogoutReplayed.
	EndSessionsOfProvider(ctx context.Context, logout ProviderLogout) (int, error)
}

// List returns the user's sessions that still open, the one used last first. It
// returns directory.ErrUnavailable.
func (s *Service) List(ctx context.Context, user directory.UserID) ([]Session, error) {
	all, err := s.Store.ListSessions(ctx, user)
	if err != nil {
		return nil, err
	}
	now := s.now()
	open := all[:0]
	for _, session := range all {
		if session = s.upToDate(session); now.Before(session.IdleExpiresAt) {
			open = append(open, session)
		}
	}
	slices.SortFunc(open, func(a, b Session) int {
		return cmp.Or(b.LastSeenAt.Compare(a.LastSeenAt), cmp.Compare(b.ID, a.ID))
	})
	return open, nil
}

// EndByID revokes one of the user's sessions, on every replica at once. It
// returns ErrUnknown when the user has none with this id, whoever else may have
// one (ASVS 8.2.2), or directory.ErrUnavailable.
func (s *Service) EndByID(ctx context.Context, user directory.UserID, id ID) error {
	if !id.valid() {
		return ErrUnknown
	}
	return s.Store.EndSessionByID(ctx, user, id)
}

// EndOthers revokes all of the user's sessions but the one to keep, which may
// be empty, and the codes of native apps that have not been redeemed. It
// returns how many sessions have ended, ErrUnknown if keep can be nobody's, or
// directory.ErrUnavailable.
func (s *Service) EndOthers(ctx context.Context, user directory.UserID, keep ID) (int, error) {
	if keep != "" && !keep.valid() {
		return 0, ErrUnknown
	}
	return s.Store.EndSessionsOf(ctx, user, keep)
}

// EndOfProvider revokes what a logout at the provider is about: the sessions of
// one there, if it names one, and only the subject's, if it names that too; else
// all of the subject's. It returns how many have ended. That nobody is signed
// in is a success. It returns ErrLogoutReplayed, ErrLogoutUnclear or
// directory.ErrUnavailable, after all of which nothing has ended.
func (s *Service) EndOfProvider(ctx context.Context, logout ProviderLogout) (ended int, err error) {
	if logout.Issuer == "" || logout.TokenID == "" || logout.Subject == "" && logout.Session == "" {
		return 0, ErrLogoutUnclear
	}
	return s.Store.EndSessionsOfProvider(ctx, logout)
}

// upToDate is the session with the uses that this replica has not written yet.
func (s *Service) upToDate(session Session) Session {
	if at, ok := s.seen.at(session.ID); ok && at.After(session.LastSeenAt) {
		session.LastSeenAt = at
	}
	session.IdleExpiresAt = s.idleEnd(session)
	return session
}

// valid reports whether newID can have made the id. One that is no UUID must
// not get as far as a database, which has a complaint of its own about it.
func (id ID) valid() bool {
	parsed, err := uuid.Parse(string(id))
	return err == nil && parsed.String() == string(id)
}
