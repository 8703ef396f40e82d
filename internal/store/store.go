package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/signup"
)

// Jobs enqueues what is to follow a commit, inside the transaction.
type Jobs interface {
	EnqueueSignup(ctx context.Context, tx *sql.Tx, id signup.ID) error
	// SignupInsert is the statement that does the same on Postgres: its first
	// parameter is the sign-up's id, and its second what SignupMetadata returns,
	// both as text. Announce follows its commit.
	SignupInsert() string
	// SignupMetadata is what the job takes along of ctx.
	SignupMetadata(ctx context.Context) string
	Announce()
	EnqueueResend(ctx context.Context, tx *sql.Tx, id signup.ID) error
	EnqueueNotice(ctx context.Context, tx *sql.Tx, id signup.ID) error
	EnqueueChange(ctx context.Context, tx *sql.Tx, id directory.UserID) error
	EnqueueEnrol(ctx context.Context, tx *sql.Tx, id directory.UserID) error
	EnqueueImports(ctx context.Context, tx *sql.Tx, ids []directory.UserID) error
	EnqueueRemind(ctx context.Context, tx *sql.Tx, id directory.UserID) error
	EnqueueEmailProof(ctx context.Context, tx *sql.Tx, id account.EmailChangeID) error
	EnqueueLetter(ctx context.Context, tx *sql.Tx, id account.LetterID) error
	WebhookJobs
}

// Store is the directory's rows behind the stores that the domain asks for:
// signup.Store, provision.Store, session.Store, login.FlowStore,
// ratelimit.Store, gate.Store, invitation.Store, account.Store and
// reconcile.Store.
type Store struct {
	// Log gets a line for every event of the audit, once it is committed; nil
	// for none. It is set before use.
	Log *slog.Logger
	// Watch is told of them, too; nil for nobody. It is set before use.
	Watch func(audit.Event)

	db   *gorm.DB
	pool *pgxpool.Pool // nil on SQLite
	jobs Jobs
}

// New returns the store of an open database.
func New(db *DB, jobs Jobs) *Store { return &Store{db: db.gorm, pool: db.pool, jobs: jobs} }

// transact runs do in one transaction and translates its error. Once that is
// committed, the events that were recorded in it are logged.
func (s *Store) transact(ctx context.Context, do func(tx *gorm.DB) error) error {
	var written events
	err := translate(s.db.WithContext(context.WithValue(ctx, eventsKey{}, &written)).Transaction(do))
	if err == nil {
		s.logEvents(ctx, written)
	}
	return err
}

// sentOnce runs one statement of the pool, once more if it was not sent: the
// connection was from before the database was restarted. database/sql does the
// same for what goes through it.
func sentOnce(do func() error) error {
	err := do()
	if err != nil && pgconn.SafeToRetry(err) {
		err = do()
	}
	return err
}

// sqlTx returns the transaction beneath GORM's, which the queue inserts in.
func sqlTx(tx *gorm.DB) (*sql.Tx, error) {
	t, ok := tx.Statement.ConnPool.(*sql.Tx)
	if !ok {
		return nil, fmt.Errorf("no transaction beneath GORM's, but %T", tx.Statement.ConnPool)
	}
	return t, nil
}
