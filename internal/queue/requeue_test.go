package queue_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestOnlySignupsWithoutALivingJobGetAnother(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		p := newProcess(t, databaseURL)
		ids := map[string]signup.ID{"gone": signup.ID(uuid.NewString())}
		for _, state := range []string{"available", "running", "scheduled", "retryable", "pending", "cancelled", "cancelled long ago", "discarded", "completed"} {
			id := p.enqueue(t)
			ids[state] = id
			finalized := ""
			switch state {
			case "cancelled", "discarded", "completed":
				finalized = ", finalized_at = CURRENT_TIMESTAMP"
			case "cancelled long ago":
				finalized = ", finalized_at = '2026-01-01 00:00:00'"
			}
			name, _, _ := strings.Cut(state, " ")
			p.exec(t, fmt.Sprintf(`UPDATE river_job SET state = '%s'%s WHERE %s = '%s'`, name, finalized, p.argument(), id))
		}
		dead := map[string]bool{"gone": true, "cancelled long ago": true, "discarded": true, "completed": true}
		var all []signup.ID
		for _, id := range ids {
			all = append(all, id)
		}
		for _, want := range []int{len(dead), 0} {
			if n, err := p.Requeue(t.Context(), all); n != want || err != nil {
				t.Errorf("%d have another, %v; not %d", n, err, want)
			}
		}
		for state, id := range ids {
			if state == "cancelled" {
				continue // rests
			}
			n := p.count(t, fmt.Sprintf(`WHERE state NOT IN ('cancelled', 'discarded', 'completed') AND %s = '%s'`, p.argument(), id))
			if n != 1 {
				t.Errorf("%s: %d jobs", state, n)
			}
		}
		if n, err := p.Requeue(t.Context(), nil); n != 0 || err != nil {
			t.Errorf("none: %d, %v", n, err)
		}
	})
}

func TestOnlyUsersWithoutALivingJobOfTheKindGetAnother(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		p := newProcess(t, databaseURL)
		has, lost := directory.NewUserID(), directory.NewUserID()
		p.within(t, func(tx *sql.Tx) {
			for _, enqueue := range []func(context.Context, *sql.Tx, directory.UserID) error{p.EnqueueChange, p.EnqueueEnrol} {
				if err := enqueue(t.Context(), tx, has); err != nil {
					t.Fatal(err)
				}
			}
		})
		for name, test := range map[string]struct {
			requeue func(context.Context, []directory.UserID) (int, error)
			where   string
		}{
			"changes": {p.RequeueChanges, `kind = 'change' AND queue = 'change'`},
			"enrols":  {p.RequeueEnrols, `kind = 'enrol' AND queue = 'default'`},
		} {
			for _, want := range []int{1, 0} {
				if n, err := test.requeue(t.Context(), []directory.UserID{has, lost}); n != want || err != nil {
					t.Errorf("%s: %d have another, %v; not %d", name, n, err, want)
				}
			}
			if n := p.users(t, test.where); n != 2 {
				t.Errorf("%s: %d jobs", name, n)
			}
		}
		var imported []directory.UserID
		for range 2500 { // more than one statement inserts
			imported = append(imported, directory.NewUserID())
		}
		for _, want := range []int{len(imported), 0} {
			if n, err := p.RequeueImports(t.Context(), append(imported, has, lost)); n != want || err != nil {
				t.Errorf("imports: %d have another, %v; not %d", n, err, want)
			}
		}
		if n := p.users(t, `kind = 'enrol' AND queue = 'import'`); n != len(imported) {
			t.Errorf("%d jobs of imports", n)
		}
	})
}

func TestFiveHundredSignupsGetAnotherJobAtOnceAndAreCarried(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		p, carried := second(t, databaseURL)
		missing := make(map[signup.ID]bool)
		var ids []signup.ID
		for range 500 {
			id := signup.ID(uuid.NewString())
			ids, missing[id] = append(ids, id), true
		}
		if n, err := p.Requeue(t.Context(), ids); n != len(ids) || err != nil {
			t.Fatalf("%d have another, %v", n, err)
		}
		for range ids {
			delete(missing, receive(t, "a job", carried))
		}
		if len(missing) != 0 {
			t.Errorf("%d were not carried", len(missing))
		}
	})
}

func TestRequeueingInADatabaseThatIsAwayIsAnError(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		p := newProcess(t, databaseURL)
		p.exec(t, `ALTER TABLE river_job RENAME TO elsewhere`)
		if n, err := p.Requeue(t.Context(), []signup.ID{"one"}); n != 0 || err == nil {
			t.Errorf("requeued %d, %v", n, err)
		}
		if err := p.db.Close(); err != nil {
			t.Fatal(err)
		}
		if n, err := p.Requeue(t.Context(), []signup.ID{"one"}); n != 0 || err == nil || errors.Unwrap(err) == nil {
			t.Errorf("requeued %d, %v", n, err)
		}
	})
}
