package signup

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/failpoint"
	"github.com/portico-id/portico/internal/invitation"
	"github.com/portico-id/portico/internal/ratelimit"
)

var (
	// ErrNotFound says that no sign-up has the receipt.
	ErrNotFound = errors.New("no sign-up has this receipt")
	// ErrClosed says that nobody may sign up.
	ErrClosed = errors.New("sign-up is closed")
	// ErrInvitationMissing says that only the invited may sign up.
	ErrInvitationMissing = errors.New("an invitation code is needed")
	// ErrNotInvited says that there is no enrolment mail to send again: the
	// sign-up has not come so far, or further.
	ErrNotInvited = errors.New("the sign-up is not waiting for its enrolment")
)

// ID names a sign-up inside Portico: a UUIDv7.
type ID string

// Kind says whether a sign-up made its user or met one. It is empty until the
// sign-up's job has found out.
type Kind string

// The kinds of sign-ups.
const (
	New       Kind = "new"
	Duplicate Kind = "duplicate"
)

// Mode says who may sign up.
type Mode string

// The modes.
const (
	Open       Mode = "open"   // anyone
	InviteOnly Mode = "invite" // who has an invitation code
	Closed     Mode = "closed" // nobody
)

// Request is a wish to sign up, as it was sent.
type Request struct {
	Email        string
	DisplayName  string
	Locale       string
	TermsVersion string
	InviteCode   string
	Challenge    string     // the response of the challenge that the client solved
	Client       netip.Addr // where the request came from
	// IdempotencyKey names the request to its sender; empty for none.
	// Body is what must be the same whenever the key comes again.
	IdempotencyKey string
	Body           []byte
}

// Signup is an accepted sign-up. Times are UTC.
type Signup struct {
	Receipt     Receipt
	Status      Status
	ResendAfter time.Time // before it the mail is not sent again
	Replayed    bool      // the sign-up was accepted before, under the same idempotency key
	Limit       ratelimit.Decision
}

// Acceptance is what is stored of an accepted sign-up, all or nothing. Nothing
// in it depends on who is registered.
type Acceptance struct {
	ID           ID
	ReceiptHash  Hash
	Candidate    directory.UserID // the user's id, if the address is new
	Email        directory.Email
	DisplayName  string
	Locale       string
	TermsVersion string
	At           time.Time
	ResendAfter  time.Time
	Invitation   *invitation.Hash // to be redeemed; nil where none is needed
	Key          *StoredKey       // nil without an idempotency key
}

// Record is a stored sign-up.
type Record struct {
	ID          ID
	CreatedAt   time.Time
	SettledAt   time.Time // zero until its job has done what it could
	ResendAfter time.Time
	UserStatus  directory.Status // empty until its job has found the user or made one
	ActivatedAt time.Time        // when the user first had a passkey; zero before
}

// Store keeps sign-ups. Every method may return directory.ErrUnavailable.
type Store interface {
	// AcceptSignup stores the receipt, the candidate, the idempotency key and
	// the job, and redeems the invitation, in one transaction. It returns
	// ErrKeyInUse, ErrKeyKnown or invitation.ErrInvalid, and then nothing is
	// stored.
	AcceptSignup(ctx context.Context, a Acceptance) error
	// FindKey returns ErrKeyUnknown when no sign-up has the key, or no longer.
	FindKey(ctx context.Context, hash Hash, now time.Time) (StoredKey, error)
	// FindSignup returns ErrNotFound when no sign-up has the receipt.
	FindSignup(ctx context.Context, hash Hash) (Record, error)
	// FindSignups returns those of the sign-ups that there are.
	FindSignups(ctx context.Context, hashes []Hash) (map[Hash]Record, error)
	// WishResend stores the wish for another mail and its job, unless the last
	// one is too recent. It reports whether it did.
	WishResend(ctx context.Context, id ID, at, next time.Time) (bool, error)
}

// Limits decides how often one may ask. ratelimit.Limiter does.
type Limits interface {
	Signup(ctx context.Context, client netip.Addr, email, domain string) (ratelimit.Decision, error)
	Resend(ctx context.Context, client netip.Addr) (ratelimit.Decision, error)
}

// Challenge tells people from programs. It returns nil when the response is
// one to a challenge that was solved.
type Challenge interface {
	Verify(ctx context.Context, response string, client netip.Addr) error
}

// LimitedError says that the sender asked too often.
type LimitedError struct{ Decision ratelimit.Decision }

// Error names the limit.
func (e *LimitedError) Error() string { return "too many requests: " + e.Decision.Refused }

// Service accepts sign-ups. Its fields are set before use; those that may be
// nil say so.
type Service struct {
	Store       Store
	Policy      *directory.Policy // nil takes every well-formed address
	Limits      Limits            // nil for none
	Challenge   Challenge         // nil for none
	Mode        Mode              // empty is Open
	ResendAfter time.Duration     // between two mails, at least
	Now         func() time.Time

	waiting  waiting
	underway sync.Map // hashes of the idempotency keys that are being accepted here
}

// Accept stores the sign-up and returns its receipt. When it returns nil the
// sign-up will not be lost. Whatever it does, it does for a registered address
// as for any other: it never looks whether there is a user.
//
// It returns an error of directory.Policy, a *LimitedError, ErrClosed,
// ErrInvitationMissing, invitation.ErrInvalid, an error of the challenge,
// ErrKeyReused or ErrKeyInUse, or directory.ErrUnavailable, after which it may
// or may not have been stored.
func (s *Service) Accept(ctx context.Context, r Request) (Signup, error) {
	now := s.Now().UTC().Truncate(time.Microsecond) // as it is stored
	if r.IdempotencyKey != "" {
		// Before anything is spent on it: a response of a challenge, say, which
		// can be used once, and which the first of two has used.
		hash := r.keyHash()
		_, busy := s.underway.LoadOrStore(hash, struct{}{})
		if !busy {
			defer s.underway.Delete(hash)
		}
		replayed, err := s.replay(ctx, r, now)
		if busy && errors.Is(err, ErrKeyUnknown) {
			err = ErrKeyInUse
		}
		if !errors.Is(err, ErrKeyUnknown) {
			return replayed, err
		}
	}
	email, err := s.Policy.Parse(r.Email)
	if err != nil {
		return Signup{}, err
	}
	limit, code, err := s.admit(ctx, r, email)
	if err != nil {
		return Signup{Limit: limit}, err
	}
	accepted, err := s.store(ctx, r, email, code, now)
	if failpoint.Seeded(failpoint.CommitRetried) {
		// As if the answer to every commit were lost, and all were done again.
		accepted, err = s.store(ctx, r, email, code, now)
	}
	accepted.Limit = limit
	return accepted, err
}

// store stores the sign-up, and the answer if it may be asked for again.
func (s *Service) store(
	ctx context.Context, r Request, email directory.Email, code *invitation.Hash, now time.Time,
) (Signup, error) {
	accepted := Signup{Receipt: newReceipt(), Status: Received, ResendAfter: s.nextResend(now)}
	hash, err := accepted.Receipt.Hash()
	if err != nil {
		return Signup{}, err
	}
	var key *StoredKey
	if r.IdempotencyKey != "" {
		if key, err = seal(r, accepted.Receipt, now, accepted.ResendAfter); err != nil {
			return Signup{}, err
		}
	}
	err = s.Store.AcceptSignup(ctx, Acceptance{
		ID:           ID(uuid.Must(uuid.NewV7()).String()),
		ReceiptHash:  hash,
		Candidate:    directory.NewUserID(),
		Email:        email,
		DisplayName:  r.DisplayName,
		Locale:       r.Locale,
		TermsVersion: r.TermsVersion,
		At:           now,
		ResendAfter:  accepted.ResendAfter,
		Invitation:   code,
		Key:          key,
	})
	if errors.Is(err, ErrKeyKnown) { // accepted while we were on our way
		return s.replay(ctx, r, now)
	}
	if err != nil {
		return Signup{}, err
	}
	return accepted, nil
}

// admit asks everything that may refuse a sign-up whatever is registered: the
// cheapest first, and the challenge, whose response can be used once, last. It
// returns the invitation to redeem, nil where none is needed.
func (s *Service) admit(ctx context.Context, r Request, email directory.Email) (limit ratelimit.Decision, code *invitation.Hash, err error) {
	if s.Limits != nil {
		limit, err = s.Limits.Signup(ctx, r.Client, email.Canonical(), email.Domain())
		if err == nil && !limit.Allowed {
			err = &LimitedError{limit}
		}
	}
	if err == nil {
		code, err = s.invited(r)
	}
	if err == nil && s.Challenge != nil {
		err = s.Challenge.Verify(ctx, r.Challenge, r.Client)
	}
	return limit, code, err
}

// invited returns the hash of the invitation to redeem.
func (s *Service) invited(r Request) (*invitation.Hash, error) {
	switch {
	case s.Mode == Closed:
		return nil, ErrClosed
	case s.Mode != InviteOnly:
		return nil, nil //nolint:nilnil // nothing to redeem
	case r.InviteCode == "":
		return nil, ErrInvitationMissing
	}
	code, err := invitation.ParseCode(r.InviteCode)
	if err != nil {
		return nil, invitation.ErrInvalid
	}
	hash := code.Hash()
	return &hash, nil
}

// Status returns the sign-up as it stands. It returns ErrNotFound, or
// directory.ErrUnavailable.
func (s *Service) Status(ctx context.Context, receipt Receipt) (Signup, error) {
	hash, err := receipt.Hash()
	if err != nil {
		return Signup{}, err
	}
	record, err := s.Store.FindSignup(ctx, hash)
	if err != nil {
		return Signup{}, err
	}
	return s.shown(receipt, record), nil
}

func (s *Service) shown(receipt Receipt, record Record) Signup {
	return Signup{Receipt: receipt, Status: record.status(s.Now()), ResendAfter: record.ResendAfter}
}

// Resend takes the wish for another enrolment mail. What comes of it depends
// on the user, and the answer does not. It returns ErrNotFound, ErrNotInvited,
// a *LimitedError, or directory.ErrUnavailable.
func (s *Service) Resend(ctx context.Context, receipt Receipt, client netip.Addr) (Signup, error) {
	hash, err := receipt.Hash()
	if err != nil {
		return Signup{}, err
	}
	var limit ratelimit.Decision
	if s.Limits != nil {
		if limit, err = s.Limits.Resend(ctx, client); err != nil {
			return Signup{}, err
		}
		if !limit.Allowed {
			return Signup{Limit: limit}, &LimitedError{limit}
		}
	}
	record, err := s.Store.FindSignup(ctx, hash)
	if err != nil {
		return Signup{}, err
	}
	now := s.Now().UTC().Truncate(time.Microsecond)
	if record.status(now) != Invited {
		return Signup{Limit: limit}, ErrNotInvited
	}
	next := s.nextResend(now)
	wished, err := s.Store.WishResend(ctx, record.ID, now, next)
	if err != nil {
		return Signup{}, err
	}
	if !wished {
		// In whole seconds, rounded up: who comes back then is not too early.
		wait := max(record.ResendAfter.Sub(now)+time.Second-1, time.Second).Truncate(time.Second)
		limit.Allowed, limit.Refused, limit.RetryAfter = false, "resend", wait
		return Signup{Limit: limit}, &LimitedError{limit}
	}
	return Signup{Receipt: receipt, Status: Invited, ResendAfter: next, Limit: limit}, nil
}

// nextResend is a whole second, so that every answer has the same length.
func (s *Service) nextResend(now time.Time) time.Time {
	return now.Add(s.ResendAfter).UTC().Truncate(time.Second)
}
