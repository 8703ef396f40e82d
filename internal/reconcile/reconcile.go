package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/gate"
	"github.com/portico-id/portico/internal/signup"
)

var (
	// ErrNothing says that there is no run to go on with.
	ErrNothing = errors.New("no run was interrupted")
	// ErrLost says that another process has the run by now, or has begun
	// another one.
	ErrLost = errors.New("the run is another process's by now")
	// ErrGone says that the difference is not there any more.
	ErrGone = errors.New("the difference is not there any more")
)

// BusyError says that a process is working on a run.
type BusyError struct {
	Actor string
	Since time.Time
	Until time.Time // end of its lease, which it renews while it lives
}

// Error says who, and since when.
func (e *BusyError) Error() string {
	return fmt.Sprintf("a run of %s is under way since %s", e.Actor, e.Since.UTC().Format(time.RFC3339))
}

// CeilingError says that a repair would touch more of the directory than it
// may. Nothing was touched.
type CeilingError struct{ Wanted, Ceiling int }

// Error says how many there would be.
func (e *CeilingError) Error() string {
	return fmt.Sprintf("%d users would be touched, and no more than %d may be: nothing was", e.Wanted, e.Ceiling)
}

// RunID names a run: a UUIDv7.
type RunID string

// State is how far a run has come. The package comment has the table.
type State string

// The states.
const (
	Reading    State = "reading"
	Comparing  State = "comparing"
	Confirming State = "confirming"
	Repairing  State = "repairing"
	Done       State = "done"
	Abandoned  State = "abandoned"
)

// Class is a kind of difference. The package comment has the table.
type Class string

// The classes.
const (
	MissingThere     Class = "missing_there"
	UnknownHere      Class = "unknown_here"
	AttributesDiffer Class = "attributes_differ"
	StatusDiffers    Class = "status_differs"
	IDsDiffer        Class = "ids_differ"
	Duplicate        Class = "duplicate"
	Stuck            Class = "stuck"
)

// Classes returns every class, in the order above.
func Classes() []Class {
	return []Class{MissingThere, UnknownHere, AttributesDiffer, StatusDiffers, IDsDiffer, Duplicate, Stuck}
}

// Repairable returns the classes that can be repaired without an operator's
// decision in each case. Creating users again sends them mails, so that it has
// to be asked for by name.
func Repairable() []Class { return []Class{AttributesDiffer, StatusDiffers, Stuck} }

// ParseClasses reads classes to repair, separated by commas, or "all", which
// is Repairable.
func ParseClasses(text string) ([]Class, error) {
	if text == "" {
		return nil, nil
	}
	var classes []Class
	for name := range strings.SplitSeq(text, ",") {
		class := Class(strings.TrimSpace(name))
		switch {
		case class == "all":
			classes = append(classes, Repairable()...)
		case class == MissingThere, slices.Contains(Repairable(), class):
			classes = append(classes, class)
		case slices.Contains(Classes(), class):
			return nil, fmt.Errorf("%s is not for a program to repair: an operator decides in each case", class)
		default:
			return nil, fmt.Errorf("there is no class %q", class)
		}
	}
	slices.Sort(classes)
	return slices.Compact(classes), nil
}

// Count is what became of the findings of one class.
type Count struct {
	Found    int `json:"found"`
	Repaired int `json:"repaired"`
	Gone     int `json:"gone"`
	Refused  int `json:"refused"`
}

// Plan is what a run is to repair.
type Plan struct {
	Repair     []Class
	MaxChanges int // then the rest is left for another run; 0 for no such end
	// MaxPercent is the part of the directory that may be touched. If there is
	// more to do, nothing is done: so much does not differ by itself.
	MaxPercent float64
}

// DefaultPercent is the part of a directory that a run may touch, unless it is
// told otherwise.
const DefaultPercent = 5

// leastCeiling is how many users may be touched in any case: five per cent of a
// small directory are nobody.
const leastCeiling = 10

// Run is one comparison of the directories.
type Run struct {
	ID        RunID
	Actor     string
	State     State
	Holder    string // the process that works on it
	StartedAt time.Time
	EndedAt   time.Time // zero until then
	Total     int       // users there
	Unread    int       // of them; less than zero until their number is known
	Plan
	Ceiling int // of differences that may be repaired in all
	Counts  map[Class]Count
}

// Differences is how many there were.
func (r Run) Differences() (n int) {
	for _, count := range r.Counts {
		n += count.Found
	}
	return n
}

// Finding is one difference. UserID, Signup and InternalID may be empty.
type Finding struct {
	ID         string
	Class      Class
	UserID     directory.UserID
	Signup     signup.ID
	ExternalID directory.ExternalID
	InternalID directory.InternalID
	Here       string
	There      string
	Repair     string // what is suggested
	Outcome    Outcome
	Reason     string // where the outcome is none
}

// Outcome is what became of a repair.
type Outcome string

// The outcomes.
const (
	Repaired Outcome = "repaired"
	Gone     Outcome = "gone"    // it was not there any more
	Refused  Outcome = "refused" // see the reason
)

// Provider is the provider's directory. Its errors are *beyondidentity.Error.
type Provider interface {
	ListUsers(ctx context.Context, page beyondidentity.Page) (beyondidentity.Listed, error)
	FindUser(ctx context.Context, id directory.ExternalID) (beyondidentity.User, error)
	GetUser(ctx context.Context, id directory.InternalID) (beyondidentity.User, error)
	DeleteUser(ctx context.Context, id directory.InternalID) error
}

// Gate says when the provider may be called, and is told what came of it.
type Gate interface {
	// Admit returns a *gate.ClosedError when it is not the time.
	Admit(ctx context.Context, lane gate.Lane) (gate.Permit, error)
}

// Accounts are the ordinary ways in which a user becomes another.
type Accounts interface {
	Suspend(ctx context.Context, id directory.UserID, version int64) (directory.User, error)
	Retry(ctx context.Context, id directory.UserID) (directory.User, error)
}

// Jobs is what is to be known of the queue.
type Jobs interface {
	// Importing reports whether imported users wait for their turn.
	Importing(ctx context.Context) (bool, error)
}

// The times of a run.
const (
	// lease is for how long a process that is not heard of has a run.
	lease = 20 * time.Second
	// heartbeat is how often it is heard of.
	heartbeat = 5 * time.Second
	// keptRuns is how many runs are kept.
	keptRuns = 10
	// suspectsAtOnce bounds what is held of them in memory.
	suspectsAtOnce = 200
	// settleFor is how long after its quarantine a user who is being created
	// has to be so for the provider's having them to be a difference.
	settleFor = 5 * time.Minute
)

// StuckAfter is how long somebody may wait before they are stuck, unless the
// caller says otherwise.
const StuckAfter = time.Hour

// Service compares and mends. Its fields are set before use.
type Service struct {
	Store      Store
	Provider   Provider
	Gate       Gate
	Accounts   Accounts
	Jobs       Jobs
	StuckAfter time.Duration
	PageSize   int // users a page; 0 for as many as one may hold
	Now        func() time.Time
	Log        *slog.Logger
}

// Ceiling returns how many differences the plan may repair in the directory as
// it is.
func (s *Service) Ceiling(ctx context.Context, plan Plan) (int, error) {
	users, err := s.Store.CountUsers(ctx)
	return max(leastCeiling, int(float64(users)*plan.MaxPercent/100)), err
}

func (s *Service) pageSize() int {
	if s.PageSize == 0 {
		return beyondidentity.MaxPage
	}
	return s.PageSize
}

// now is the time as it is stored.
func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }
