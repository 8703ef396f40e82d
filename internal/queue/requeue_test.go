package queue_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

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
