package store_test

import (
	"context"
	"database/sql"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var moment = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

func newStore(t *testing.T, databaseURL string) (*store.DB, *store.Store) {
	t.Helper()
	db := storetest.Open(t, databaseURL)
	jobs, err := queue.New(queue.Config{
		DB: db.SQL(), Pool: db.Pool(), Workers: 1, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return db, store.New(db, jobs)
}

// accept stores a sign-up and returns its id and its user's.
func accept(t *testing.T, s *store.Store, address string) (signup.ID, directory.UserID) {
	t.Helper()
	a := acceptance(t, address)
	if err := s.AcceptSignup(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	return a.ID, a.User.ID
}

func acceptance(t *testing.T, address string) signup.Acceptance {
	t.Helper()
	email, err := directory.ParseEmail(address)
	if err != nil {
		t.Fatal(err)
	}
	id := directory.NewUserID()
	return signup.Acceptance{
		ID:          signup.ID(uuid.Must(uuid.NewV7()).String()),
		ReceiptHash: signup.Hash(session.NewToken(session.Browser).Hash()),
		User: directory.User{
			ID: id, ExternalID: directory.ExternalID(id), Email: email, Status: directory.Received,
			CreatedAt: moment, UpdatedAt: moment,
		},
		At: moment,
	}
}

// identityOf is who the provider says the user is.
func identityOf(id directory.UserID) directory.Identity {
	return directory.Identity{
		Issuer:     "https://auth.example/v2",
		Subject:    string(id),
		ExternalID: directory.ExternalID(id),
		InternalID: directory.InternalID("int-" + id),
	}
}

// invite stores a user whom the provider has.
func invite(t *testing.T, s *store.Store, address string) directory.UserID {
	t.Helper()
	_, id := accept(t, s, address)
	if moved, err := s.Invite(t.Context(), id, identityOf(id).InternalID); !moved || err != nil {
		t.Fatalf("invite: %v, %v", moved, err)
	}
	return id
}

// opening is a session about to be stored, of its own.
func opening() session.Opening {
	return session.Opening{
		Session: session.Session{
			ID: session.ID(uuid.Must(uuid.NewV7()).String()), Client: session.Browser,
			CreatedAt: moment, LastSeenAt: moment, ExpiresAt: moment.Add(24 * time.Hour),
		},
		Hash: session.NewToken(session.Browser).Hash(),
	}
}

func find(t *testing.T, s *store.Store, id signup.ID) provision.Subject {
	t.Helper()
	found, err := s.FindSubject(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func count(t *testing.T, db *store.DB, query string, args ...any) int {
	t.Helper()
	var n int
	if err := db.SQL().QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// lastErrorClass is the column of that name, empty for NULL.
func lastErrorClass(t *testing.T, db *store.DB, id directory.UserID) string {
	t.Helper()
	var class sql.NullString
	row := db.SQL().QueryRowContext(t.Context(), `SELECT provision_last_error_class FROM users WHERE id = $1`, string(id))
	if err := row.Scan(&class); err != nil {
		t.Fatal(err)
	}
	return class.String
}

// methods are every way to ask the store, with arguments that the schema takes.
func methods(s *store.Store) map[string]func(ctx context.Context) error {
	id := directory.NewUserID()
	return map[string]func(ctx context.Context) error{
		"AcceptSignup": func(ctx context.Context) error {
			return s.AcceptSignup(ctx, signup.Acceptance{
				ID:   signup.ID(id),
				User: directory.User{ID: id, ExternalID: "e", Email: directory.RestoreEmail("a@b.c", "a@b.c"), Status: directory.Received},
			})
		},
		"FindSignup":   func(ctx context.Context) error { _, err := s.FindSignup(ctx, signup.Hash{}); return err },
		"FindSubject":  func(ctx context.Context) error { _, err := s.FindSubject(ctx, signup.ID(id)); return err },
		"BeginAttempt": func(ctx context.Context) error { _, err := s.BeginAttempt(ctx, id, 0, moment); return err },
		"Postpone":     func(ctx context.Context) error { _, err := s.Postpone(ctx, id, 0, moment, "c"); return err },
		"Invite":       func(ctx context.Context) error { _, err := s.Invite(ctx, id, "i"); return err },
		"Refuse":       func(ctx context.Context) error { _, err := s.Refuse(ctx, id, directory.Failed, "c"); return err },
		"Settle":       func(ctx context.Context) error { return s.Settle(ctx, signup.ID(id), moment) },
		"OpenSession": func(ctx context.Context) error {
			_, err := s.OpenSession(ctx, identityOf(id), opening())
			return err
		},
		"FindSession": func(ctx context.Context) error {
			_, _, err := s.FindSession(ctx, session.Hash{}, session.Browser)
			return err
		},
		"EndSession": func(ctx context.Context) error { return s.EndSession(ctx, session.Hash{}) },
		"TouchSessions": func(ctx context.Context) error {
			return s.TouchSessions(ctx, map[session.ID]time.Time{session.ID(id): moment})
		},
		"UseFlow":      func(ctx context.Context) error { _, err := s.UseFlow(ctx, strings.Repeat("f", 43), moment); return err },
		"PurgeExpired": func(ctx context.Context) error { _, err := s.PurgeExpired(ctx, moment, 1); return err },
	}
}
