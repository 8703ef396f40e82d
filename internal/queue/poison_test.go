package queue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

// failedBefore gives the job a past, so that no test waits for it to pass.
func (p *process) failedBefore(t *testing.T, id signup.ID, errs ...string) {
	t.Helper()
	var past []string
	for i, text := range errs {
		past = append(past, fmt.Sprintf(`{"at":"2026-03-01T12:00:00Z","attempt":%d,"error":%q,"trace":""}`, i+1, text))
	}
	if p.db.Dialect() == store.Postgres {
		_, err := p.db.SQL().ExecContext(t.Context(), `
			UPDATE river_job SET attempt = $1, errors = ARRAY(SELECT jsonb_array_elements(CAST($2 AS jsonb))) WHERE args->>'signup_id' = $3`,
			len(errs), "["+strings.Join(past, ",")+"]", string(id))
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	_, err := p.db.SQL().ExecContext(t.Context(), `
		UPDATE river_job SET attempt = ?, errors = ? WHERE json_extract(args, '$.signup_id') = ?`,
		len(errs), "["+strings.Join(past, ",")+"]", string(id))
	if err != nil {
		t.Fatal(err)
	}
}

func times(n int, text string) []string {
	return strings.Split(strings.Repeat(text+"|", n-1)+text, "|")
}

func TestAJobIsParkedForItsOwnFaultsAndTheRestGoOn(t *testing.T) {
	t.Parallel()
	outage := "find: " + directory.ErrUnavailable.Error() + ": no route"
	away := fmt.Errorf("carry: %w", directory.ErrUnavailable)
	tests := map[string]struct {
		past   []string
		fail   func() error
		parked bool
	}{
		"the tenth fault":                        {times(9, "broken"), func() error { return errBroken }, true},
		"the ninth fault":                        {times(8, "broken"), func() error { return errBroken }, false},
		"the tenth fault, among outages":         {append(times(9, "broken"), times(30, outage)...), func() error { return errBroken }, true},
		"the ninth fault, among outages":         {append(times(8, "broken"), times(30, outage)...), func() error { return errBroken }, false},
		"an outage after nine faults":            {times(9, "broken"), func() error { return away }, false},
		"an outage after a hundred":              {times(100, outage), func() error { return away }, false},
		"a time that is up after nine faults":    {times(9, "broken"), func() error { return context.DeadlineExceeded }, false},
		"a program that stops after nine faults": {times(9, "broken"), func() error { return context.Canceled }, false},
		"the tenth fault, a panic":               {times(9, "broken"), func() error { panic("canary-panic") }, true},
		"the ninth fault, a panic":               {times(8, "broken"), func() error { panic("canary-panic") }, false},
		"what can never succeed, at once":        {nil, func() error { return &queue.ParkError{Cause: errBroken} }, true},
		"what can never succeed, wrapped":        {nil, func() error { return fmt.Errorf("carry: %w", &queue.ParkError{Cause: errBroken}) }, true},
	}
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		p := newProcess(t, databaseURL)
		fail := make(map[signup.ID]func() error)
		ids := make(map[string]signup.ID)
		for name, test := range tests {
			id := p.enqueue(t)
			ids[name], fail[id] = id, test.fail
			if len(test.past) > 0 {
				p.failedBefore(t, id, test.past...)
			}
		}
		carried := make(chan signup.ID, 100)
		p.start(t, func(_ context.Context, id signup.ID) (time.Duration, error) {
			if fail[id] != nil {
				return 0, fail[id]()
			}
			carried <- id
			return 0, nil
		})
		for range 10 {
			if id := p.enqueue(t); receive(t, "another job", carried) != id {
				t.Errorf("carried another than %s", id)
			}
		}
		parked := 0
		for name, test := range tests {
			of := fmt.Sprintf(`WHERE %s = '%s'`, p.argument(), ids[name])
			await.True(t, name, func() bool { return p.count(t, of+fmt.Sprintf(` AND %s > %d`, p.errorsOf(), len(test.past))) == 1 })
			state := "state IN ('available', 'retryable', 'scheduled', 'running')"
			if test.parked {
				state, parked = "state = 'cancelled' AND finalized_at IS NOT NULL", parked+1
			}
			if p.count(t, of+` AND `+state) != 1 {
				t.Errorf("%s: it is not so that %s", name, state)
			}
		}
		log := p.said()
		if strings.Count(log, "level=ERROR") != parked || strings.Count(log, "job is parked") != parked {
			t.Errorf("%d jobs are parked, and it says\n%s", parked, log)
		}
		if strings.Contains(log, "canary-panic") || p.count(t, `WHERE CAST(`+p.errorText()+` AS text) LIKE '%canary-panic%'`) != 0 {
			t.Errorf("the panic's text is kept:\n%s", log)
		}
	})
}

// argument is the sign-up that a job is for, as SQL.
func (p *process) argument() string {
	if p.db.Dialect() == store.Postgres {
		return `args->>'signup_id'`
	}
	return `json_extract(args, '$.signup_id')`
}

// errorsOf is how many failures a job has, as SQL.
func (p *process) errorsOf() string {
	if p.db.Dialect() == store.Postgres {
		return "coalesce(array_length(errors, 1), 0)"
	}
	return "coalesce(json_array_length(errors), 0)"
}

func (p *process) errorText() string {
	if p.db.Dialect() == store.Postgres {
		return "errors"
	}
	return "json(errors)"
}

func TestAParkErrorIsItsCause(t *testing.T) {
	t.Parallel()
	err := &queue.ParkError{Cause: errBroken}
	if !errors.Is(err, errBroken) || err.Error() != errBroken.Error() {
		t.Errorf("it is %v", err)
	}
}
