package importer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/directory"
)

// ID is an import's id: a UUIDv7 in its canonical text form.
type ID string

// ParseID returns ErrNotFound for what no import can have as its id.
func ParseID(text string) (ID, error) {
	id, err := uuid.Parse(text)
	if err != nil || id.String() != text {
		return "", ErrNotFound
	}
	return ID(text), nil
}

// Status is how far an import has come.
type Status string

// The statuses; see the package's map.
const (
	Staging    Status = "staging"
	Validated  Status = "validated"
	Committing Status = "committing"
	Committed  Status = "committed"
	Discarded  Status = "discarded"
)

// Terms are what the operator decides about an import.
type Terms struct {
	Source string // what it is called: a file's name, say
	Format string // of the input, and of the rows that are rejected
	// Adopt takes over whom the provider has already under the external_id.
	Adopt bool
	// SkipInvalid commits the rest, where some rows are not valid.
	SkipInvalid bool
}

// Import is one import. Times are UTC.
type Import struct {
	ID     ID
	Status Status
	Terms

	Actor      string // see package audit
	Rows       int64  // that were read
	Invalid    int64  // that are not brought
	Unchanged  int64  // that the directory had already
	Committed  int64  // that were made users
	CreatedAt  time.Time
	FinishedAt time.Time // zero unless Discarded
}

// Wanted is how many rows are to be made users in all.
func (i Import) Wanted() int64 { return i.Rows - i.Invalid - i.Unchanged }

// Claim is a process's right to work on an import.
type Claim struct {
	Token string
	Until time.Time
}

var (
	// ErrNotFound says that there is no such import.
	ErrNotFound = errors.New("no such import")
	// ErrLost says that another process has taken the import over.
	ErrLost = errors.New("another process has taken the import over")
	// ErrInvalid says that rows are not valid, and that nothing was written.
	ErrInvalid = errors.New("not valid")
)

// BusyError says that another process is working on an import.
type BusyError struct {
	ID    ID
	Until time.Time // when its claim ends, unless it renews it
}

// Error names the import.
func (e *BusyError) Error() string {
	return fmt.Sprintf("import %s is under way in another process", e.ID)
}

// OverError says that an import cannot be resumed.
type OverError struct{ Status Status }

// Error says what can be done instead.
func (e *OverError) Error() string {
	if e.Status == Discarded {
		return "the import was discarded, and nothing of it was written: begin another"
	}
	return "the import ended while its input was read, and nothing of it was written: begin another"
}

// Batch is what one transaction has made.
type Batch struct {
	Committed int64
	Refused   int64 // because somebody else has the address or id by now
	Over      bool  // nothing is left
}

// Provisioning is how far the provider has the users of an import.
type Provisioning struct {
	Settled int64 // are there
	Refused int64 // wait for an operator: failed, or in conflict
	Pending int64
}

// Store keeps imports. What takes a claim's token returns ErrLost once another
// process has the import, and then has changed nothing.
type Store interface {
	// BeginImport stores an import with a claim on it, and forgets those that
	// ended while they were read. It returns a *BusyError.
	BeginImport(ctx context.Context, begun Import, claim Claim) error
	// ClaimImport returns ErrNotFound or a *BusyError.
	ClaimImport(ctx context.Context, id ID, claim Claim, now time.Time) (Import, error)
	RenewImport(ctx context.Context, id ID, claim Claim) error
	ReleaseImport(ctx context.Context, id ID, token string) error
	StageRows(ctx context.Context, id ID, token string, rows []Row) error
	// ValidateImport holds the rows against each other and the directory.
	ValidateImport(ctx context.Context, id ID, token string) (Import, error)
	// CommitRows makes users of the next rows, up to most of them.
	CommitRows(ctx context.Context, id ID, token string, most int, at time.Time) (Batch, error)
	// DiscardImport ends an import and removes its rows.
	DiscardImport(ctx context.Context, id ID, token string, at time.Time) error
	// ListRejected returns up to most of the rows after the line that are not
	// valid.
	ListRejected(ctx context.Context, id ID, after int64, most int) ([]Record, error)
	Provisioning(ctx context.Context, id ID) (Provisioning, error)
	// ListImports returns the newest first.
	ListImports(ctx context.Context, most int) ([]Import, error)
}

// Source gives people one after another.
type Source interface {
	// Next returns io.EOF after the last, and an *InputError where nothing
	// more can be read.
	Next(ctx context.Context) (Record, error)
}

const (
	// claimFor is how long a process that has died keeps others from an import.
	// One that is only slow loses nothing unless somebody takes it over, and
	// finds out before it stores anything.
	claimFor = 5 * time.Second
	// DefaultBatch is how many users one transaction makes.
	DefaultBatch = 500
	// stageAtOnce is rows of a transaction, rejectedAtOnce of a page.
	stageAtOnce    = 500
	rejectedAtOnce = 500
)

// Service runs imports. Its fields are set before use.
type Service struct {
	Store  Store
	Policy *directory.Policy // of addresses, as sign-up's; nil admits all
	Batch  int               // users a transaction; 0 for DefaultBatch
	Now    func() time.Time
}

// Held is an import that this process alone works on until it is released.
type Held struct {
	Import Import

	s     *Service
	token string
	stop  func()
}

// Begin begins an import. Of another process's that may have died it waits for
// the claim to end. It returns a *BusyError when that was renewed.
func (s *Service) Begin(ctx context.Context, terms Terms) (*Held, error) {
	return s.hold(ctx, func(claim Claim) (Import, error) {
		begun := Import{
			ID: ID(uuid.Must(uuid.NewV7()).String()), Status: Staging, Terms: terms,
			Actor: audit.From(ctx).Actor, CreatedAt: s.Now(),
		}
		return begun, s.Store.BeginImport(ctx, begun, claim)
	})
}

// Resume takes up an import where it ended. It returns ErrNotFound, an
// *OverError or, as Begin does, a *BusyError.
func (s *Service) Resume(ctx context.Context, id ID) (*Held, error) {
	h, err := s.hold(ctx, func(claim Claim) (Import, error) {
		return s.Store.ClaimImport(ctx, id, claim, s.Now())
	})
	if err != nil {
		return nil, err
	}
	switch h.Import.Status {
	case Validated, Committing, Committed:
		return h, nil
	default:
		h.Release(ctx)
		return nil, &OverError{h.Import.Status}
	}
}

// hold claims an import, and renews the claim until it is released.
func (s *Service) hold(ctx context.Context, claim func(Claim) (Import, error)) (*Held, error) {
	token := rand.Text()
	found, err := claim(Claim{token, s.Now().Add(claimFor)})
	if busy, ok := errors.AsType[*BusyError](err); ok {
		select {
		case <-time.After(busy.Until.Sub(s.Now()) + time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		found, err = claim(Claim{token, s.Now().Add(claimFor)})
	}
	if err != nil {
		return nil, err
	}
	h := &Held{Import: found, s: s, token: token}
	h.stop = h.renew(context.WithoutCancel(ctx))
	return h, nil
}

// renew keeps the claim until the returned function is called. That it was lost
// is found out by whatever is stored next.
func (h *Held) renew(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(claimFor / 4)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = h.s.Store.RenewImport(ctx, h.Import.ID, Claim{h.token, h.s.Now().Add(claimFor)})
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// releaseLimit bounds giving a claim back. One that is not given back ends by
// itself.
const releaseLimit = 5 * time.Second

// Release lets others work on the import.
func (h *Held) Release(ctx context.Context) {
	h.stop()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseLimit)
	defer cancel()
	_ = h.s.Store.ReleaseImport(ctx, h.Import.ID, h.token)
}
