package store

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/directory"
)

// exported are the columns of each table that are told to the user whom they
// are about: all but hashes of secrets, and where the program itself has come
// to. A column that is new is told to nobody until it is here.
//
//nolint:gochecknoglobals // a table
var exported = map[string][]string{
	"users": {
		"id", "external_id", "internal_id", "email", "email_canonical", "display_name", "locale", "status", "origin", "version",
		"issuer", "subject", "made_there", "sync", "sync_error_class", "provision_last_error_class",
		"created_at", "updated_at", "activated_at", "enrolment_mail_at", "notice_at", "notice_sent_at", "suspended_at", "delete_after", "deleted_at",
	},
	"sessions": {
		"id", "client", "created_at", "last_seen_at", "expires_at", "auth_time", "acr", "amr", "issuer", "provider_session", "user_agent", "address",
	},
	"signups":       {"id", "kind", "locale", "terms_version", "created_at", "settled_at", "invitation_id", "resend_after", "resends", "mails_claimed"},
	"invitations":   {"id", "email_canonical", "note", "created_at", "expires_at", "revoked_at"},
	"email_changes": {"id", "email", "email_canonical", "tries", "created_at", "expires_at"},
	"letters":       {"id", "kind", "address", "locale", "due_at", "created_at"},
	"audit_events": {
		"id", "at", "actor", "action", "outcome", "reason", "signup_id", "session_id", "from_status", "to_status", "class",
		"before", "after", "target_kind", "target_id", "address", "request_id",
	},
}

// ExportUser returns all rows that are held about the user. It returns
// account.ErrNotFound.
func (s *Store) ExportUser(ctx context.Context, id directory.UserID) (account.Export, error) {
	var held account.Export
	// The lock keeps logins and changes out until all has been read.
	err := s.transact(ctx, func(tx *gorm.DB) error {
		user, err := tell[userRow](s.locked(tx).Where("id = ?", string(id)))
		if err != nil {
			return err
		}
		if len(user) == 0 {
			return account.ErrNotFound
		}
		held.User = user[0]
		theirs := func() *gorm.DB { return tx.Where("user_id = ?", string(id)) }
		change, errChange := tell[emailChangeRow](theirs())
		if len(change) > 0 {
			held.EmailChange = change[0]
		}
		used := tx.Model(&signupRow{}).Select("invitation_id").Where("user_id = ? AND invitation_id IS NOT NULL", string(id))
		var errs [5]error
		held.Sessions, errs[0] = tell[sessionRow](theirs().Order("created_at, id"))
		held.Signups, errs[1] = tell[signupRow](theirs().Order("created_at, id"))
		held.Invitations, errs[2] = tell[invitationRow](tx.Where("id IN (?)", used).Order("created_at, id"))
		held.Letters, errs[3] = tell[letterRow](theirs().Order("created_at, id"))
		held.Audit, errs[4] = tell[auditRow](theirs().Order("at, id"))
		for _, event := range held.Audit {
			withoutStaff(event)
		}
		return errors.Join(errChange, errors.Join(errs[:]...))
	})
	return held, err
}

// withoutStaff leaves of whoever acted for the operator only that they did: who
// they are and where they were is theirs, not the user's.
func withoutStaff(event account.Held) {
	actor, _ := event["actor"].(string)
	kind, _, named := strings.Cut(actor, ":")
	if named && (kind == "admin" || kind == "operator") {
		event["actor"] = kind
		delete(event, "address")
		delete(event, "request_id")
	}
}

// tell returns what of the rows that the query finds is exported.
func tell[R schema.Tabler](query *gorm.DB) ([]account.Held, error) {
	var rows []R
	if err := query.Find(&rows).Error; err != nil {
		return nil, err
	}
	told := make([]account.Held, len(rows))
	for i, row := range rows {
		told[i] = heldOf(row)
	}
	return told, nil
}

// heldOf is a row by the names of those of its columns that are exported and
// hold something.
func heldOf(row schema.Tabler) account.Held {
	held := make(account.Held)
	all := make(map[string]reflect.Value)
	for field, value := range reflect.ValueOf(row).Fields() {
		column, _, _ := strings.Cut(strings.TrimPrefix(field.Tag.Get("gorm"), "column:"), ";")
		all[column] = value
	}
	for _, column := range exported[row.TableName()] {
		held.Keep(column, plain(all[column]))
	}
	return held
}

// plain is a column's value: a pointer's is what it points to, or nil for NULL.
func plain(value reflect.Value) any {
	if value.Kind() == reflect.Pointer {
		if value.IsNil() {
			return nil
		}
		value = value.Elem()
	}
	if at, ok := reflect.TypeAssert[time.Time](value); ok {
		return at.UTC()
	}
	return value.Interface()
}
