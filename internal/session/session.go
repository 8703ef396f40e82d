package session

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/directory"
)

// The reasons for which a token opens nothing.
var (
	// ErrUnknown says that no session has this token: it was never issued, or
	// has been revoked.
	ErrUnknown = errors.New("session is not known")
	// ErrExpired says that the session has reached its idle or absolute end.
	ErrExpired = errors.New("session has ended")
)

// ID names a session without opening it: a UUIDv7.
type ID string

// Session is one login of one user. Times are UTC.
type Session struct {
	ID            ID
	UserID        directory.UserID
	Client        Client
	CreatedAt     time.Time
	LastSeenAt    time.Time
	IdleExpiresAt time.Time
	ExpiresAt     time.Time

	// AuthTime is when the user last proved to the provider who they are:
	// CreatedAt where the provider did not say. ACR and AMR are how, in the
	// provider's words (OpenID Connect Core §2, RFC 8176); empty where it did
	// not say.
	AuthTime time.Time
	ACR      string
	AMR      []string
	// Issuer and ProviderSession name the provider's session (`iss`, `sid`).
	Issuer          string
	ProviderSession string
	// UserAgent and Address are the browser's or app's at the login, for the
	// user to recognise it by. They prove nothing.
	UserAgent string
	Address   string
}

// Store keeps sessions. Every method may return directory.ErrUnavailable.
type Store interface {
	ManagedStore
	CodeStore

	// OpenSession recognises the user by external_id, applies User.SignIn,
	// and stores the session, all or nothing. It returns
	// directory.ErrNotRegistered or an error of User.SignIn.
	OpenSession(ctx context.Context, identity directory.Identity, opening Opening) (directory.User, error)
	// FindSessions returns those of the sessions that there are, with their
	// users, in one indexed query. A hash may be asked for several times.
	FindSessions(ctx context.Context, hashes []Hash) ([]Found, error)
	// EndSession removes the session. It returns ErrUnknown when there is none.
	EndSession(ctx context.Context, hash Hash) error
	// TouchSessions moves last_seen_at forward, never back. It waits for
	// nobody: sessions that somebody else is about to change are left, and
	// returned. Those that have ended are not.
	TouchSessions(ctx context.Context, seen map[ID]time.Time) (left []ID, err error)
}

// Service opens, recognises and ends sessions. Its fields are set before use.
type Service struct {
	Store    Store
	Idle     time.Duration // of no use after which a session ends
	Absolute time.Duration // after login at which a session ends in any case
	// ProviderAge is how long after the user has proved to the provider who
	// they are a session ends in any case, and a login is refused. 0 is no
	// limit.
	ProviderAge time.Duration
	RecentLogin time.Duration // after that proof in which a login is recent
	MaxPerUser  int           // sessions that one user has at most; 0 is no limit
	Now         func() time.Time
	Log         *slog.Logger

	seen   lastSeen
	gather gatherer
}

// Recognise returns the session that the token opens and its user. It returns
// ErrUnknown, ErrExpired, directory.ErrUnavailable, or context.Canceled when
// that is how ctx has ended.
func (s *Service) Recognise(ctx context.Context, token Token) (directory.User, Session, error) {
	found, err := s.find(ctx, token.Hash(), token.Client())
	if err != nil {
		return directory.User{}, Session{}, err
	}
	user, session := found.User, found.Session
	now := s.now()
	if !now.Before(s.upToDate(session).IdleExpiresAt) {
		return directory.User{}, Session{}, ErrExpired
	}
	if user.Status != directory.Active {
		// Suspension ends sessions; this refuses one that was missed.
		return directory.User{}, Session{}, ErrUnknown
	}
	s.seen.note(session.ID, now)
	session.LastSeenAt = now
	session.IdleExpiresAt = s.idleEnd(session)
	return user, session, nil
}

// End revokes the session that the token opens, on every replica at once. It
// returns ErrUnknown when there is none, or directory.ErrUnavailable, after
// which it may or may not have ended.
func (s *Service) End(ctx context.Context, token Token) error {
	return s.Store.EndSession(ctx, token.Hash())
}

// idleEnd is when the session ends unless it is used: never after its
// absolute end.
func (s *Service) idleEnd(session Session) time.Time {
	idle := session.LastSeenAt.Add(s.Idle)
	if idle.After(session.ExpiresAt) {
		return session.ExpiresAt
	}
	return idle
}

func newID() ID { return ID(uuid.Must(uuid.NewV7()).String()) }
