package session

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"
	"unicode"

	"github.com/portico-id/portico/internal/directory"
)

// ErrLoginTooOld says that the user proved to the provider who they are longer
// ago than a session may last, or at a time to come.
var ErrLoginTooOld = errors.New("the login at the provider is too old")

// maxSkew is how far the provider's clock may be ahead of ours.
const maxSkew = time.Minute

// maxUserAgent bounds what is kept of a User-Agent, in bytes.
const maxUserAgent = 256

// Login is one login as it was proved: who, how, and from where.
type Login struct {
	Identity        directory.Identity
	AuthTime        time.Time // zero where the provider did not say
	ACR             string
	AMR             []string
	ProviderSession string // the provider's `sid`, or empty
	UserAgent       string // as it was sent
	Address         string // an IP address
}

// Opening is a session about to be stored.
type Opening struct {
	Session  Session
	Hash     Hash
	Replaces []Hash // of sessions that end in the same transaction
	// MaxPerUser is how many sessions the user has afterwards at most: those
	// used longest ago end in the same transaction. 0 is no limit.
	MaxPerUser int
}

// Opened is a session that has just begun.
type Opened struct {
	Token   Token
	Session Session
	User    directory.User
}

// Open begins a session for whoever the login proves, under an id and a token
// that were never used before; the sessions that replaces names end with it, so
// that a token planted before the login is worth nothing after it (session
// fixation, ASVS 7.2.4). It returns ErrLoginTooOld or an error of
// Store.OpenSession.
func (s *Service) Open(ctx context.Context, client Client, login Login, replaces ...Hash) (Opened, error) {
	now := s.now()
	login, endsBy, err := s.proved(login, now)
	if err != nil {
		return Opened{}, err
	}
	token := NewToken(client)
	opening := s.opening(token, now, login.UserAgent, login.Address).of(login, endsBy)
	opening.Replaces = replaces
	user, err := s.Store.OpenSession(ctx, login.Identity, opening)
	if err != nil {
		return Opened{}, err
	}
	return s.opened(token, opening.Session, user), nil
}

// proved returns the login with its time, which is at the latest now, and how
// long a session may last for that, which is zero where there is no such limit.
// It returns ErrLoginTooOld.
//
// Without the limit, a session at the provider that never ends would let a
// stolen device back in for ever, however short our own sessions are
// (ASVS 7.6.1).
func (s *Service) proved(login Login, now time.Time) (Login, time.Time, error) {
	login.AuthTime = login.AuthTime.UTC().Truncate(time.Microsecond)
	switch {
	case login.AuthTime.IsZero():
		login.AuthTime = now
	case login.AuthTime.After(now.Add(maxSkew)):
		return Login{}, time.Time{}, ErrLoginTooOld
	case login.AuthTime.After(now):
		login.AuthTime = now // or it would last for longer than it may
	}
	if s.ProviderAge == 0 {
		return login, time.Time{}, nil
	}
	endsBy := login.AuthTime.Add(s.ProviderAge)
	if !now.Before(endsBy) {
		return Login{}, time.Time{}, ErrLoginTooOld
	}
	return login, endsBy, nil
}

// opening is a new session, before it is known whose it is.
func (s *Service) opening(token Token, now time.Time, userAgent, address string) Opening {
	return Opening{
		Session: Session{
			ID:         newID(),
			Client:     token.Client(),
			CreatedAt:  now,
			LastSeenAt: now,
			ExpiresAt:  now.Add(s.Absolute),
			UserAgent:  cleanUserAgent(userAgent),
			Address:    cleanAddress(address),
		},
		Hash:       token.Hash(),
		MaxPerUser: s.MaxPerUser,
	}
}

// of returns the opening as that of the login, which ends by endsBy unless that
// is zero.
func (o Opening) of(login Login, endsBy time.Time) Opening {
	o.Session.AuthTime = login.AuthTime
	o.Session.ACR = login.ACR
	o.Session.AMR = login.AMR
	o.Session.Issuer = login.Identity.Issuer
	o.Session.ProviderSession = login.ProviderSession
	if !endsBy.IsZero() && endsBy.Before(o.Session.ExpiresAt) {
		o.Session.ExpiresAt = endsBy
	}
	return o
}

func (s *Service) opened(token Token, session Session, user directory.User) Opened {
	session.UserID = user.ID
	session.IdleExpiresAt = s.idleEnd(session)
	return Opened{Token: token, Session: session, User: user}
}

// RecentUntil is when the login stops being recent, which a session that ends
// before does not see. It is in the past for a login that is recent no more.
func (s *Service) RecentUntil(session Session) time.Time {
	until := session.AuthTime.Add(s.RecentLogin)
	if until.After(session.ExpiresAt) {
		return session.ExpiresAt
	}
	return until
}

// Recent reports whether the user has proved lately who they are, as whatever
// somebody at an unlocked screen must not do demands (ASVS 7.5.3).
func (s *Service) Recent(session Session) bool {
	return s.now().Before(s.RecentUntil(session))
}

// now is the time as it is stored.
func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// cleanUserAgent is what can be shown of a User-Agent: no control characters,
// nothing that turns the writing direction around (CWE-150, CWE-451).
func cleanUserAgent(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if len(text) > maxUserAgent {
		text = strings.ToValidUTF8(text[:maxUserAgent], "") // not half a character
	}
	return strings.TrimSpace(text)
}

// cleanAddress is an IP address in its one spelling, or nothing.
func cleanAddress(text string) string {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return ""
	}
	return address.Unmap().WithZone("").String()
}
