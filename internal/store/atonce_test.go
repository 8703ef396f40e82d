package store_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
	"github.com/portico-id/portico/internal/webhook"
)

// sent are the statements that a store has sent.
type sent struct {
	mu    sync.Mutex
	texts []string
}

func (s *sent) Begin(ctx context.Context, _, text string) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !strings.Contains(text, "pg_notify") { // comes when it likes
		s.texts = append(s.texts, strings.TrimSpace(text))
	}
	return ctx
}

func (*sent) End(context.Context, error)                              {}
func (*sent) Ended(context.Context, string, string, time.Time, error) {}

// take returns what was sent since it was last called.
func (s *sent) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	texts := s.texts
	s.texts = nil
	return texts
}

// watchedStore returns a store and what it sends.
func watchedStore(t *testing.T, databaseURL string) (*store.DB, *store.Store, *sent) {
	t.Helper()
	newStore(t, databaseURL) // has the schema
	statements := &sent{}
	db, err := store.OpenWatched(t.Context(), databaseURL, statements)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db, storeOf(t, db), statements
}

// carry takes a sign-up through the steps that all of them take, one by one.
func carry(t *testing.T, s *store.Store, id signup.ID) provision.Subject {
	t.Helper()
	subject, err := s.Enlist(t.Context(), id, moment)
	if err != nil {
		t.Fatal(err)
	}
	if mine, err := s.BeginAttempt(t.Context(), subject, moment.Add(time.Minute), moment); !mine || err != nil {
		t.Fatalf("begin: %v, %v", mine, err)
	}
	return takenThere(t, s, subject)
}

// start takes a sign-up through the same steps, the first two at once.
func start(t *testing.T, s *store.Store, id signup.ID) provision.Subject {
	t.Helper()
	subject, begun, err := s.Start(t.Context(), id, moment.Add(time.Minute), moment)
	if !begun || err != nil {
		t.Fatalf("start: %v, %v", begun, err)
	}
	return takenThere(t, s, subject)
}

// takenThere takes the last step for one who is on the way to the provider.
func takenThere(t *testing.T, s *store.Store, subject provision.Subject) provision.Subject {
	t.Helper()
	subject.Attempt, subject.AmbiguousUntil, subject.User.Status = 1, moment.Add(time.Minute), directory.Provisioning
	if moved, err := s.Invite(t.Context(), subject, identityOf(subject.User.ID).InternalID, moment); !moved || err != nil {
		t.Fatalf("invite: %v, %v", moved, err)
	}
	if !find(t, s, subject.Signup).Settled {
		t.Error("the sign-up is not settled")
	}
	return subject
}

func TestEachStepOfASignupIsOneStatement(t *testing.T) {
	t.Parallel()
	db, s, statements := watchedStore(t, storetest.Postgres(t))
	for name, way := range map[string]struct {
		take  func(*testing.T, *store.Store, signup.ID) provision.Subject
		steps int
	}{"anna": {carry, 3}, "bela": {start, 2}} {
		id, _ := accept(t, s, name+"@example.com")
		statements.take()
		subject := way.take(t, s, id)
		texts := slices.DeleteFunc(statements.take(), func(text string) bool { return strings.HasPrefix(text, "SELECT") }) // the test's own
		if len(texts) != way.steps {
			t.Errorf("%d statements: %q", len(texts), texts)
		}
		want := []string{
			"portico user.received - received - signup",
			"portico user.provisioning received provisioning - signup",
			"portico user.invited provisioning invited - signup",
		}
		if got := audited(t, db, subject.User.ID); !slices.Equal(got, want) {
			t.Errorf("the audit says %q", got)
		}
	}
}

// TestAStartThatFindsSomethingInTheWayOnlyEnlists holds on both dialects: on
// SQLite something always is.
func TestAStartThatFindsSomethingInTheWayOnlyEnlists(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		try := func(what string, id signup.ID, kind signup.Kind) provision.Subject {
			t.Helper()
			subject, begun, err := s.Start(t.Context(), id, moment.Add(time.Minute), moment)
			if err != nil || begun || subject.Kind != kind || subject.Attempt != 0 || subject.User.Status != directory.Received {
				t.Errorf("%s: %+v, %v, %v", what, subject, begun, err)
			}
			return subject
		}
		first, _ := accept(t, s, "anna@example.com")
		if _, err := s.Enlist(t.Context(), first, moment); err != nil {
			t.Fatal(err)
		}
		subject := try("one that has its user", first, signup.New)
		duplicate, _ := accept(t, s, "anna@example.com")
		if other := try("one with an address that somebody has", duplicate, signup.Duplicate); other.User.ID != subject.User.ID {
			t.Errorf("it is given %s, not %s", other.User.ID, subject.User.ID)
		}
		addEndpoint(t, s, webhook.UserCreated)
		told, _ := accept(t, s, "bela@example.com")
		try("one of which an endpoint is told", told, signup.New)
		if _, _, err := s.Start(t.Context(), signup.ID(directory.NewUserID()), moment, moment); !errors.Is(err, provision.ErrNotFound) {
			t.Errorf("one that there is not: %v", err)
		}
	})
}

// TestAStepLeavesTheSameRowsHoweverItIsTaken compares what one statement does
// with what the transaction does, which is taken while an endpoint may want to
// know.
func TestAStepLeavesTheSameRowsHoweverItIsTaken(t *testing.T) {
	t.Parallel()
	db, s, statements := watchedStore(t, storetest.Postgres(t))
	quick, _ := accept(t, s, "quick@example.com")
	whole, _ := accept(t, s, "whole@example.com")
	of := map[directory.UserID]signup.ID{carry(t, s, quick).User.ID: quick, start(t, s, whole).User.ID: whole}
	addEndpoint(t, s, webhook.UserDeleted) // which nobody is
	slow, _ := accept(t, s, "slow@example.com")
	statements.take()
	of[carry(t, s, slow).User.ID] = slow
	if texts := statements.take(); !slices.Contains(texts, "commit") {
		t.Errorf("there was no transaction: %q", texts)
	}
	rows := func(user directory.UserID, id signup.ID) string {
		var text string
		err := db.SQL().QueryRowContext(t.Context(), `SELECT
			(SELECT (to_jsonb(u) - 'id' - 'external_id' - 'internal_id' - 'email' - 'email_canonical')::text FROM users u WHERE id = $1)
			|| (SELECT (to_jsonb(g) - 'id' - 'receipt_hash' - 'user_id')::text FROM signups g WHERE id = $2)
			|| (SELECT jsonb_agg(to_jsonb(a) - 'id' - 'user_id' - 'signup_id' ORDER BY id)::text FROM audit_events a
			    WHERE user_id = $1 AND signup_id = $2)
			|| (SELECT bool_and(internal_id = 'int-' || id AND external_id = id::text) FROM users WHERE id = $1)`,
			string(user), string(id)).Scan(&text)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	var texts []string
	for user, id := range of {
		texts = append(texts, rows(user, id))
	}
	if texts[0] != texts[1] || texts[1] != texts[2] || !strings.HasSuffix(texts[0], "true") {
		t.Error(strings.Join(texts, "\n"))
	}
}
