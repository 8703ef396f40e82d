package signup

import (
	"time"

	"github.com/portico-id/portico/internal/directory"
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

// firstShown is how long after its acceptance a sign-up can first be seen to
// have moved. Later moves show at twice that, at four times, and so on.
//
// How long a job took would tell a new address, for which the provider creates
// a user, from a registered one, for which it does less (timing side channel,
// CWE-208). In steps as coarse as these the two look alike.
const firstShown = time.Second

// shownAt returns when a sign-up that was settled is seen to be.
func shownAt(accepted, settled time.Time) time.Time {
	step := firstShown
	for settled.Sub(accepted) > step {
		step *= 2
	}
	return accepted.Add(step)
}

// status is what the holder of the receipt may know now. It is active only if
// the user got their passkey after this sign-up: whether the owner of an
// address had one before is not for others to see.
func (r Record) status(now time.Time) Status {
	switch {
	case r.SettledAt.IsZero() || now.Before(shownAt(r.CreatedAt, r.SettledAt)):
		return Received
	case r.ActivatedAt.After(r.CreatedAt):
		return Active
	case r.UserStatus == directory.Failed || r.UserStatus == directory.Conflict:
		return Failed
	default:
		// What became of the user later is the user's business.
		return Invited
	}
}

// final reports whether the status never changes again.
func (s Status) final() bool { return s == Active || s == Failed }
