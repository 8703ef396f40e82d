package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/session"
)

// selectFound is what every signed-in request asks. Texts that may be
// null are made empty here, since one costs less to read than one or none.
const selectFound = `
	SELECT s.token_hash, s.id AS session_id, s.client, s.created_at AS begun_at, s.last_seen_at, s.expires_at,
	       s.auth_time, COALESCE(s.acr, '') AS acr, COALESCE(s.amr, '') AS amr,
	       COALESCE(s.issuer, '') AS provider, COALESCE(s.provider_session, '') AS provider_session, s.user_agent, s.address,
	       u.id, u.external_id, COALESCE(u.internal_id, '') AS internal_id, u.email, u.email_canonical, u.display_name,
	       u.status, COALESCE(u.issuer, '') AS issuer, COALESCE(u.subject, '') AS subject, u.created_at, u.updated_at,
	       u.sync
	FROM sessions s JOIN users u ON u.id = s.user_id
	WHERE s.token_hash `

// How Postgres is asked for one session and for several, so that its planner
// decides once and rightly.
//
// With `= ANY($1)` it reads a table of some thousand rows from end to end and
// compares each hash with every one of the list. LIMIT keeps it from mixing
// the search into a larger plan: it is one step over the index for each hash,
// however many sessions there are.
//
// It keeps a plan only where planning anew would not have promised less, and
// of a list whose length it does not know it expects ten. Hence the statement
// for one, and lists of at least [fewest]: it would plan shorter ones again
// each time, which takes longer than to carry them out.
const (
	selectFoundOne  = selectFound + `= $1`
	selectFoundMany = `
	SELECT found.* FROM unnest(CAST($1 AS bytea[])) AS asked(hash), LATERAL (` + selectFound + `= asked.hash LIMIT 1) AS found`
	fewest = 16
)

// foundColumns is a row of selectFound, to scan one after the other into.
type foundColumns struct {
	user     userRow
	session  sessionRow
	authTime pgtype.Timestamptz // which may be none, and costs less to read so than as a pointer
	into     []any

	// Most users of a directory have logged in by the same methods, so that
	// those of the row before are mostly those of the next, too.
	amr, amrBefore string
	methods        []string
}

// newFoundColumns returns columns in the order of selectFound.
func newFoundColumns() *foundColumns {
	c := &foundColumns{}
	s, u := &c.session, &c.user
	s.ACR, s.Issuer, s.ProviderSession = new(string), new(string), new(string)
	u.InternalID, u.Issuer, u.Subject = new(string), new(string), new(string)
	c.into = []any{
		&s.TokenHash, &s.ID, &s.Client, &s.CreatedAt, &s.LastSeenAt, &s.ExpiresAt,
		&c.authTime, s.ACR, &c.amr,
		s.Issuer, s.ProviderSession, &s.UserAgent, &s.Address,
		&u.ID, &u.ExternalID, u.InternalID, &u.Email, &u.EmailCanonical, &u.DisplayName,
		&u.Status, u.Issuer, u.Subject, &u.CreatedAt, &u.UpdatedAt,
		&u.Sync,
	}
	return c
}

// scan reads a row.
func (c *foundColumns) scan(row interface{ Scan(into ...any) error }) (session.Found, error) {
	if err := row.Scan(c.into...); err != nil {
		return session.Found{}, err
	}
	c.session.UserID = c.user.ID
	found := session.Found{User: c.user.user()}
	if copy(found.Hash[:], c.session.TokenHash) != len(c.session.TokenHash) {
		return session.Found{}, fmt.Errorf("a hash of %d bytes", len(c.session.TokenHash))
	}
	var err error
	if c.amr != c.amrBefore {
		if c.methods, err = storedMethods(c.amr); err != nil {
			return session.Found{}, err
		}
		c.amrBefore = c.amr
	}
	if found.Session, err = storedSession(c.session); err != nil {
		return session.Found{}, err
	}
	found.Session.AMR = c.methods
	if c.authTime.Valid {
		found.Session.AuthTime = c.authTime.Time.UTC()
	}
	return found, nil
}

// storedSession is the session in a row.
func storedSession(r sessionRow) (session.Session, error) {
	stored := session.Session{
		ID:              session.ID(r.ID),
		UserID:          directory.UserID(r.UserID),
		Client:          session.Client(r.Client),
		CreatedAt:       r.CreatedAt.UTC(),
		LastSeenAt:      r.LastSeenAt.UTC(),
		ExpiresAt:       r.ExpiresAt.UTC(),
		AuthTime:        r.CreatedAt.UTC(), // unless the provider has said more
		ACR:             orEmpty(r.ACR),
		Issuer:          orEmpty(r.Issuer),
		ProviderSession: orEmpty(r.ProviderSession),
		UserAgent:       r.UserAgent,
		Address:         r.Address,
	}
	if r.AuthTime != nil {
		stored.AuthTime = r.AuthTime.UTC()
	}
	var err error
	stored.AMR, err = storedMethods(orEmpty(r.AMR))
	return stored, err
}

// storedMethods are the authentication methods in a row.
func storedMethods(amr string) ([]string, error) {
	if amr == "" {
		return nil, nil
	}
	// As they nearly always are, with nothing that JSON would escape.
	if plain, ok := strings.CutPrefix(amr, `["`); ok && !strings.Contains(amr, `\`) {
		if plain, ok = strings.CutSuffix(plain, `"]`); ok {
			return strings.Split(plain, `","`), nil
		}
	}
	var methods []string
	if err := json.Unmarshal([]byte(amr), &methods); err != nil {
		return nil, fmt.Errorf("sessions.amr: %w", err)
	}
	return methods, nil
}

// FindSessions returns those of the sessions that there are, with their users,
// in any order, in one indexed query. What is asked for several times may be
// returned several times.
func (s *Store) FindSessions(ctx context.Context, hashes []session.Hash) ([]session.Found, error) {
	if len(hashes) == 0 {
		return nil, nil
	}
	found := make([]session.Found, 0, len(hashes))
	var err error
	if s.pool != nil {
		found, err = s.findOnPostgres(ctx, hashes, found)
	} else {
		found, err = s.findOnSQLite(ctx, hashes, found)
	}
	if err != nil {
		return nil, translate(err)
	}
	return found, nil
}

// findOnPostgres asks through the pool beneath GORM, whose connections keep the
// two statements prepared.
func (s *Store) findOnPostgres(ctx context.Context, hashes []session.Hash, into []session.Found) ([]session.Found, error) {
	columns := newFoundColumns()
	if len(hashes) == 1 {
		found, err := columns.scan(s.pool.QueryRow(ctx, selectFoundOne, hashes[0][:]))
		if errors.Is(err, pgx.ErrNoRows) {
			return into, nil
		}
		return append(into, found), err
	}
	rows, err := s.pool.Query(ctx, selectFoundMany, manyHashes(hashes))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		found, err := columns.scan(rows)
		if err != nil {
			return nil, err
		}
		into = append(into, found)
	}
	return into, rows.Err()
}

// manyHashes is the list as pgx sends it, filled up with NULLs, which nothing
// is equal to.
func manyHashes(hashes []session.Hash) [][]byte {
	list := make([][]byte, max(len(hashes), fewest))
	for i := range hashes {
		list[i] = hashes[i][:]
	}
	return list
}

// findOnSQLite asks for as many at once as it takes parameters.
func (s *Store) findOnSQLite(ctx context.Context, hashes []session.Hash, into []session.Found) ([]session.Found, error) {
	for chunk := range slices.Chunk(hashes, findAtOnce) {
		list := make([][]byte, len(chunk))
		for i := range chunk {
			list[i] = chunk[i][:]
		}
		var err error
		if into, err = s.findChunk(ctx, list, into); err != nil {
			return nil, err
		}
	}
	return into, nil
}

func (s *Store) findChunk(ctx context.Context, list [][]byte, into []session.Found) ([]session.Found, error) {
	rows, err := s.db.WithContext(ctx).Raw(selectFound+"IN ?", list).Rows()
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns := newFoundColumns()
	for rows.Next() {
		found, err := columns.scan(rows)
		if err != nil {
			return nil, err
		}
		into = append(into, found)
	}
	return into, rows.Err()
}
