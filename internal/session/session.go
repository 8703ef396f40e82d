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
}

// Opening is a session about to be stored.
type Opening struct {
	Session  Session
	Hash     Hash
	Replaces []Hash // of sessions that end in the same transaction
}

// Store keeps sessions. Every method may return directory.ErrUnavailable.
type Store interface {
	// OpenSession recognises the user by external_id, applies User.SignIn,
	// and stores the session, all or nothing. It returns
	// directory.ErrNotRegistered or an error of User.SignIn.
	OpenSession(ctx context.Context, identity directory.Identity, opening Opening) (directory.User, error)
	// FindSession returns the session with this token and its user, in one
	// indexed query. It returns ErrUnknown when there is none.
	FindSession(ctx context.Context, hash Hash, client Client) (directory.User, Session, error)
	// EndSession removes the session. It returns ErrUnknown when there is none.
	EndSession(ctx context.Context, hash Hash) error
	// TouchSessions moves last_seen_at forward, never back.
	TouchSessions(ctx context.Context, seen map[ID]time.Time) error
}

// Service opens, recognises and ends sessions. Its fields are set before use.
type Service struct {
	Store    Store
	Idle     time.Duration // of no use after which a session ends
	Absolute time.Duration // after login at which a session ends in any case
	Now      func() time.Time
	Log      *slog.Logger

	seen lastSeen
}

// Opened is a session that has just begun.
type Opened struct {
	Token   Token
	Session Session
	User    directory.User
}

// Open begins a session for whoever identity proves, under a token that was
// never used before; the sessions that replaces names end with it, so that a
// token planted before the login is worth nothing after it (session fixation,
// ASVS 7.2.4). The errors are those of Store.OpenSession.
func (s *Service) Open(ctx context.Context, client Client, identity directory.Identity, replaces ...Hash) (Opened, error) {
	now := s.Now().UTC().Truncate(time.Microsecond) // as it is stored
	token := NewToken(client)
	session := Session{
		ID:         newID(),
		Client:     client,
		CreatedAt:  now,
		LastSeenAt: now,
		ExpiresAt:  now.Add(s.Absolute),
	}
	user, err := s.Store.OpenSession(ctx, identity, Opening{Session: session, Hash: token.Hash(), Replaces: replaces})
	if err != nil {
		return Opened{}, err
	}
	session.UserID = user.ID
	session.IdleExpiresAt = s.idleEnd(session)
	return Opened{Token: token, Session: session, User: user}, nil
}

// Recognise returns the session that the token opens and its user. It returns
// ErrUnknown, ErrExpired, or directory.ErrUnavailable.
func (s *Service) Recognise(ctx context.Context, token Token) (directory.User, Session, error) {
	user, session, err := s.Store.FindSession(ctx, token.Hash(), token.Client())
	if err != nil {
		return directory.User{}, Session{}, err
	}
	now := s.Now().UTC().Truncate(time.Microsecond) // as it is stored
	// What has been seen and is not yet written counts all the same.
	if at, ok := s.seen.at(session.ID); ok && at.After(session.LastSeenAt) {
		session.LastSeenAt = at
	}
	if !now.Before(s.idleEnd(session)) {
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
