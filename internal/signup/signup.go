package signup

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/directory"
)

// ErrNotFound says that no sign-up has the receipt.
var ErrNotFound = errors.New("no sign-up has this receipt")

// ID names a sign-up inside Portico: a UUIDv7.
type ID string

// Kind says whether a sign-up made its user or met one.
type Kind string

// The kinds of sign-ups.
const (
	New       Kind = "new"
	Duplicate Kind = "duplicate"
)

// Status is what the holder of a receipt may know. The words are the contract's.
type Status string

// The statuses of a sign-up.
const (
	Received Status = "received"
	Invited  Status = "invited"
	Active   Status = "active"
	Failed   Status = "failed"
)

// receiptBytes is 128 bits: enough that receipts cannot be guessed (ASVS 11.5.1).
const receiptBytes = 16

var receiptText = base64.RawURLEncoding.Strict()

// Receipt names a sign-up to the app that made it, and to nobody else.
type Receipt string

// Hash is what is stored of a receipt.
type Hash [sha256.Size]byte

// Hash returns what is stored of the receipt. It returns ErrNotFound for text
// that cannot be a receipt.
func (r Receipt) Hash() (Hash, error) {
	// The length is checked in its text as well: the decoder passes over line
	// breaks, and one receipt has one spelling.
	raw, err := receiptText.DecodeString(string(r))
	if err != nil || len(raw) != receiptBytes || len(r) != receiptText.EncodedLen(receiptBytes) {
		return Hash{}, ErrNotFound
	}
	return sha256.Sum256(raw), nil
}

func newReceipt() Receipt {
	var raw [receiptBytes]byte
	_, _ = rand.Read(raw[:]) // never fails: crypto/rand ends the program instead
	return Receipt(receiptText.EncodeToString(raw[:]))
}

// Request is a wish to sign up, as it was sent.
type Request struct {
	Email        string
	DisplayName  string
	Locale       string
	TermsVersion string
}

// Signup is an accepted sign-up. Times are UTC.
type Signup struct {
	Receipt     Receipt
	Status      Status
	ResendAfter time.Time // before it the mail is not sent again
}

// Acceptance is what is stored of an accepted sign-up, all or nothing.
type Acceptance struct {
	ID           ID
	ReceiptHash  Hash
	User         directory.User // used if the address is new
	Locale       string
	TermsVersion string
	At           time.Time
}

// Record is a stored sign-up.
type Record struct {
	Kind       Kind
	CreatedAt  time.Time
	SettledAt  time.Time // zero until its job has done what it could
	UserStatus directory.Status
}

// Store keeps sign-ups. Every method may return directory.ErrUnavailable.
type Store interface {
	// AcceptSignup stores the receipt, the user unless someone has the
	// address, and the job, in one transaction.
	AcceptSignup(ctx context.Context, a Acceptance) error
	// FindSignup returns ErrNotFound when no sign-up has the receipt.
	FindSignup(ctx context.Context, hash Hash) (Record, error)
}

// Service accepts sign-ups. Its fields are set before use.
type Service struct {
	Store       Store
	ResendAfter time.Duration // how long after a sign-up the mail is not sent again
	Now         func() time.Time
}

// Accept stores the sign-up and returns its receipt. When it returns nil the
// sign-up will not be lost. It returns directory.ErrEmail, or
// directory.ErrUnavailable, after which it may or may not have been stored.
func (s *Service) Accept(ctx context.Context, r Request) (Signup, error) {
	email, err := directory.ParseEmail(r.Email)
	if err != nil {
		return Signup{}, err
	}
	now := s.Now().UTC().Truncate(time.Microsecond) // as it is stored
	receipt := newReceipt()
	hash, err := receipt.Hash()
	if err != nil {
		return Signup{}, err
	}
	id := directory.NewUserID()
	err = s.Store.AcceptSignup(ctx, Acceptance{
		ID:          ID(uuid.Must(uuid.NewV7()).String()),
		ReceiptHash: hash,
		User: directory.User{
			ID:          id,
			ExternalID:  directory.ExternalID(id),
			Email:       email,
			DisplayName: r.DisplayName,
			Status:      directory.Received,
			CreatedAt:   now,
			UpdatedAt:   now,
		},
		Locale:       r.Locale,
		TermsVersion: r.TermsVersion,
		At:           now,
	})
	if err != nil {
		return Signup{}, err
	}
	return Signup{Receipt: receipt, Status: Received, ResendAfter: s.resendAfter(now)}, nil
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
	return Signup{
		Receipt:     receipt,
		Status:      record.status(),
		ResendAfter: s.resendAfter(record.CreatedAt),
	}, nil
}

// resendAfter is a whole second, so that every answer has the same length.
func (s *Service) resendAfter(accepted time.Time) time.Time {
	return accepted.Add(s.ResendAfter).UTC().Truncate(time.Second)
}

// status is what the holder of the receipt may know.
func (r Record) status() Status {
	if r.Kind == Duplicate {
		if r.SettledAt.IsZero() {
			return Received
		}
		return Invited
	}
	switch r.UserStatus {
	case directory.Received, directory.Provisioning:
		return Received
	case directory.Failed, directory.Conflict:
		return Failed
	case directory.Active:
		return Active
	case directory.Invited, directory.Suspended, directory.Deleting, directory.Deleted:
		// What became of the user later is the user's business.
		return Invited
	default:
		return Received
	}
}
