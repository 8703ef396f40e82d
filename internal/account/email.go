package account

import (
	"context"
	"crypto/subtle"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/ratelimit"
)

const (
	// proofTime is how long a code can be used.
	proofTime = 15 * time.Minute
	// maxTries is how often a user may be wrong about one.
	maxTries = 5
)

// ErrNoMail says that an address cannot be proven, since nobody is mailed.
var ErrNoMail = errors.New("there is no mail server")

// EmailChangeID names a wish for another address: a UUIDv7.
type EmailChangeID string

// EmailChange is a user's wish for another address. A user has one: the next
// takes its place, and what was mailed for it is of no use any more.
type EmailChange struct {
	ID        EmailChangeID
	User      directory.UserID
	Email     directory.Email
	Hash      *CodeHash // of the code that was mailed; nil if none was
	Tries     int       // at the code, that were wrong
	At        time.Time
	ExpiresAt time.Time
}

// Open reports whether there can be a code for it now.
func (c EmailChange) Open(now time.Time) bool {
	return now.Before(c.ExpiresAt) && c.Tries < maxTries
}

// Proves reports whether the code is the one for this change. It takes the same
// time whatever is wrong about it.
func (c EmailChange) Proves(code EmailCode, now time.Time) bool {
	want, got := CodeHash{}, code.Hash(c.User, c.Email)
	if c.Hash != nil {
		want = *c.Hash
	}
	same := subtle.ConstantTimeCompare(want[:], got[:]) == 1
	return same && c.Hash != nil && c.Open(now)
}

// EmailChanges keeps wishes for other addresses. Every method may return
// directory.ErrUnavailable.
type EmailChanges interface {
	// RequestEmail stores the wish in place of the user's last, and the job that
	// mails its code. It does the same whoever has the address. It returns
	// ErrNotFound or a *StatusError.
	RequestEmail(ctx context.Context, change EmailChange) error
	// FindEmailChange returns ErrNotFound when there is no such wish, or no
	// longer.
	FindEmailChange(ctx context.Context, id EmailChangeID) (PendingEmail, error)
	// KeepCode stores the hash of the code that is about to be mailed. It
	// reports whether the wish was still there.
	KeepCode(ctx context.Context, id EmailChangeID, hash CodeHash) (bool, error)
	// ConfirmEmail gives the user the address that the code proves, and counts
	// one that proves nothing. The old address is told where tell says so. It
	// returns ErrNotFound, ErrEmailCode, ErrEmailTaken or a *StatusError.
	ConfirmEmail(ctx context.Context, user directory.UserID, code EmailCode, tell bool, at time.Time) (directory.User, error)
}

// PendingEmail is a wish for an address, with those whom it concerns.
type PendingEmail struct {
	Change EmailChange
	User   directory.User
	Owner  directory.User // who has the address; the zero value if nobody has
}

// Limits decides how often one may ask. ratelimit.Limiter does.
type Limits interface {
	Email(ctx context.Context, user, email string) (ratelimit.Decision, error)
}

// LimitedError says that the user asked too often.
type LimitedError struct{ Decision ratelimit.Decision }

// Error names the limit.
func (e *LimitedError) Error() string { return "too many requests: " + e.Decision.Refused }

// RequestEmail takes the user's wish for another address and returns until when
// it can be proven, by the code that is mailed there. It does not look whether
// somebody has the address, so that nobody learns it (ASVS 6.3.8). It returns
// ErrNoMail, an error of the policy, a *LimitedError, ErrNotFound, a
// *StatusError or directory.ErrUnavailable.
func (s *Service) RequestEmail(ctx context.Context, user directory.UserID, text string) (expiresAt time.Time, err error) {
	if s.Mailer == nil {
		return time.Time{}, ErrNoMail
	}
	email, err := s.Policy.Parse(text)
	if err != nil {
		return time.Time{}, err
	}
	if s.Limits != nil {
		limit, err := s.Limits.Email(ctx, string(user), email.Canonical())
		if err == nil && !limit.Allowed {
			err = &LimitedError{limit}
		}
		if err != nil {
			return time.Time{}, err
		}
	}
	now := s.now()
	change := EmailChange{
		ID: EmailChangeID(uuid.Must(uuid.NewV7()).String()), User: user, Email: email, At: now, ExpiresAt: now.Add(proofTime),
	}
	return change.ExpiresAt, s.Store.RequestEmail(ctx, change)
}

// ConfirmEmail gives the user the address that the code proves. It returns
// ErrEmailCode, after which the code may be tried maxTries times in all,
// ErrEmailTaken, ErrNotFound, a *StatusError or directory.ErrUnavailable.
func (s *Service) ConfirmEmail(ctx context.Context, user directory.UserID, text string) (directory.User, error) {
	code, err := ParseEmailCode(text)
	if err != nil { // it was never mailed, so that it is no try at the one that was
		return directory.User{}, err
	}
	return s.Store.ConfirmEmail(ctx, user, code, s.Mailer != nil, s.now())
}
