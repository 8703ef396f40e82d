package store

import (
	"context"
	"strings"

	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/audit"
)

// AuditEvents returns the events that the query asks for, newest first. It
// returns audit.ErrQuery when a filter is none.
//
// An order by time and id, and not by page numbers: what is written meanwhile
// moves nothing, and the last page costs what the first does.
func (s *Store) AuditEvents(ctx context.Context, q audit.Query) ([]audit.Event, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	var rows []auditRow
	if err := s.auditQuery(s.db.WithContext(ctx), q).Find(&rows).Error; err != nil {
		return nil, translate(err)
	}
	found := make([]audit.Event, len(rows))
	for i, row := range rows {
		var err error
		if found[i], err = row.event(); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// auditQuery is the query in SQL. Each filter has an index; where that is a
// partial one, its condition is said, too, for it to be found by.
func (s *Store) auditQuery(query *gorm.DB, q audit.Query) *gorm.DB {
	if q.UserID != "" {
		query = query.Where("user_id = ?", string(q.UserID))
	}
	if q.Actor != "" {
		query = query.Where("actor = ?", q.Actor)
		if q.Actor != audit.Portico {
			query = query.Where("actor <> 'portico'")
		}
	}
	if q.ActionPrefix != "" {
		query = s.ofAction(query, q.ActionPrefix)
	}
	if q.Outcome != "" {
		query = query.Where("outcome = ?", string(q.Outcome))
		if q.Outcome != audit.Success {
			query = query.Where("outcome <> 'success'")
		}
	}
	if !q.After.IsZero() {
		query = query.Where("at >= ?", storedTime(q.After))
	}
	if !q.Before.IsZero() {
		query = query.Where("at < ?", storedTime(q.Before))
	}
	if q.Cursor != (audit.Cursor{}) {
		at := storedTime(q.Cursor.At)
		query = query.Where("at <= ? AND (at < ? OR id < ?)", at, at, q.Cursor.ID)
	}
	return query.Order("at DESC, id DESC").Limit(q.Limit)
}

// ofAction asks for one action, or for all that begin with a word.
func (s *Store) ofAction(query *gorm.DB, prefix string) *gorm.DB {
	column := "action" + s.on(Postgres, ` COLLATE "C"`)
	word := strings.TrimSuffix(prefix, ".")
	if strings.Contains(word, ".") {
		return query.Where(column+" = ?", word)
	}
	return query.Where(column+" >= ? AND "+column+" < ?", word+".", word+"/") // which is the dot's next
}
