package store

import (
	"context"
	"time"

	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/directory"
)

// listColumns are what a list shows of a user, and no more is read: of what it
// does not show there is as much again.
const listColumns = "id, external_id, internal_id, email, email_canonical, display_name, status, issuer, subject, locale, origin, " +
	"sync, sync_error_class, provision_last_error_class, version, created_at, updated_at, delete_after"

// shownSync is directory.User.Synced in SQL, to the letter as the index
// users_shown_sync_idx has it.
const shownSync = "CASE WHEN internal_id IS NOT NULL OR status = 'deleted' THEN sync " +
	"WHEN status IN ('failed', 'conflict') THEN 'failed' ELSE 'pending' END"

// domainOf is the domain of an address, as the index users_domain_idx has it.
func (s *Store) domainOf() string {
	return s.on(Postgres, "split_part(email_canonical, '@', 2)") +
		s.on(SQLite, "substr(email_canonical, instr(email_canonical, '@') + 1)")
}

// ListUsers returns up to q.Limit users behind q.After, newest first.
//
// A page begins behind the last user of the one before, not after so many rows:
// it costs the same however deep it is, and who comes or goes meanwhile moves
// nobody else out of it or into it twice. Each filter by itself is a range of
// an index that is in the list's order.
func (s *Store) ListUsers(ctx context.Context, q account.Query) ([]directory.User, error) {
	query := s.db.WithContext(ctx).Model(&userRow{}).Select(listColumns)
	for _, f := range s.listFilters(q) {
		query = query.Where(f.text, f.value)
	}
	by := "created_at"
	if q.ByUpdate() {
		by = "updated_at"
	}
	if q.After != (account.Cursor{}) {
		query = query.Where("("+by+", id) < (?, ?)", storedTime(q.After.At), string(q.After.ID))
	}
	var rows []userRow
	if err := query.Order(by + " DESC, id DESC").Limit(q.Limit).Find(&rows).Error; err != nil {
		return nil, translate(err)
	}
	users := make([]directory.User, len(rows))
	for i, row := range rows {
		users[i] = row.user()
	}
	return users, nil
}

// listFilter is a condition of ours with a value of the caller's.
type listFilter struct {
	text  string
	value any
}

// listFilters are the query's filters in SQL.
func (s *Store) listFilters(q account.Query) []listFilter {
	var all []listFilter
	for _, equal := range []struct {
		text  string
		value string
	}{
		{"id = ?", string(q.ID)},
		{"external_id = ?", string(q.ExternalID)},
		{"internal_id = ?", string(q.InternalID)},
		{"email_canonical = ?", q.Email},
		{"status = ?", string(q.Status)},
		{"(" + shownSync + ") = ?", string(q.Sync)},
		{s.domainOf() + " = ?", q.Domain},
	} {
		if equal.value != "" {
			all = append(all, listFilter{equal.text, equal.value})
		}
	}
	for _, bound := range []struct {
		text string
		at   time.Time
	}{
		{"created_at >= ?", q.CreatedAfter},
		{"created_at < ?", q.CreatedBefore},
		{"updated_at >= ?", q.UpdatedAfter},
		{"updated_at < ?", q.UpdatedBefore},
	} {
		if !bound.at.IsZero() {
			all = append(all, listFilter{bound.text, storedTime(bound.at)})
		}
	}
	return all
}
