package directory_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/directory"
)

// moves are the legal ones, as the package's documentation draws them.
var moves = map[directory.Status][]directory.Status{
	directory.Received:     {directory.Provisioning, directory.Deleting},
	directory.Provisioning: {directory.Invited, directory.Active, directory.Failed, directory.Conflict, directory.Deleting},
	directory.Invited:      {directory.Active, directory.Suspended, directory.Provisioning, directory.Conflict, directory.Deleting},
	directory.Active:       {directory.Suspended, directory.Provisioning, directory.Conflict, directory.Deleting},
	directory.Suspended:    {directory.Invited, directory.Active, directory.Provisioning, directory.Deleting},
	directory.Failed:       {directory.Provisioning, directory.Deleting},
	directory.Conflict:     {directory.Provisioning, directory.Deleting},
	directory.Deleting:     {directory.Deleted, directory.Provisioning, directory.Invited, directory.Active, directory.Suspended},
	directory.Deleted:      {},
}

func TestEachPairOfStatusesIsALegalMoveOrNot(t *testing.T) {
	t.Parallel()
	if len(moves) != len(directory.Statuses()) {
		t.Fatalf("%d statuses, %d in the table", len(directory.Statuses()), len(moves))
	}
	for _, from := range directory.Statuses() {
		for _, to := range directory.Statuses() {
			if got, want := from.CanBecome(to), slices.Contains(moves[from], to); got != want {
				t.Errorf("%s can become %s: %v, not %v", from, to, got, want)
			}
		}
	}
}

func TestStayingIsNoMove(t *testing.T) {
	t.Parallel()
	for _, status := range directory.Statuses() {
		if status.CanBecome(status) {
			t.Errorf("%s can become itself", status)
		}
	}
}

func TestDeletedIsFinal(t *testing.T) {
	t.Parallel()
	for _, next := range directory.Statuses() {
		if directory.Deleted.CanBecome(next) {
			t.Errorf("a deleted user can become %s", next)
		}
	}
}

func TestAStatusThatIsNoneMovesNowhere(t *testing.T) {
	t.Parallel()
	for _, status := range []directory.Status{"", "ACTIVE", "unknown"} {
		for _, next := range directory.Statuses() {
			if status.CanBecome(next) || next.CanBecome(status) {
				t.Errorf("%q and %q are a move", status, next)
			}
		}
	}
}

func TestEveryStatusIsReachableFromReceivedAndEveryLifeCanEnd(t *testing.T) {
	t.Parallel()
	if reached := reachable(directory.Received); len(reached) != len(directory.Statuses()) {
		t.Errorf("only %v are reachable", reached)
	}
	for _, status := range directory.Statuses() {
		if !slices.Contains(reachable(status), directory.Deleted) {
			t.Errorf("a user who is %s can never be deleted", status)
		}
	}
}

func reachable(from directory.Status) []directory.Status {
	reached := []directory.Status{from}
	for i := 0; i < len(reached); i++ {
		for _, next := range directory.Statuses() {
			if reached[i].CanBecome(next) && !slices.Contains(reached, next) {
				reached = append(reached, next)
			}
		}
	}
	return reached
}

func TestUserIDsAreUUIDsOfVersion7InOrder(t *testing.T) {
	t.Parallel()
	var last directory.UserID
	for range 1000 {
		id := directory.NewUserID()
		parsed, err := uuid.Parse(string(id))
		if err != nil || parsed.Version() != 7 || parsed.String() != string(id) {
			t.Fatalf("%q: version %d, %v", id, parsed.Version(), err)
		}
		if id <= last {
			t.Fatalf("%q follows %q", id, last)
		}
		last = id
	}
}
