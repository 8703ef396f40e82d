package store

import (
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/signup"
)

// userRow is a row of users.
type userRow struct {
	ID                      string     `gorm:"column:id;primaryKey"`
	ExternalID              string     `gorm:"column:external_id"`
	InternalID              *string    `gorm:"column:internal_id"`
	Email                   string     `gorm:"column:email"`
	EmailCanonical          string     `gorm:"column:email_canonical"`
	DisplayName             string     `gorm:"column:display_name"`
	Status                  string     `gorm:"column:status"`
	Issuer                  *string    `gorm:"column:issuer"`
	Subject                 *string    `gorm:"column:subject"`
	ProvisionAttempt        int        `gorm:"column:provision_attempt"`
	ProvisionAmbiguousUntil *time.Time `gorm:"column:provision_ambiguous_until"`
	ProvisionLastErrorClass *string    `gorm:"column:provision_last_error_class"`
	CreatedAt               time.Time  `gorm:"column:created_at"`
	UpdatedAt               time.Time  `gorm:"column:updated_at;autoUpdateTime:false"`
}

func (userRow) TableName() string { return "users" }

func rowOfUser(u directory.User) userRow {
	return userRow{
		ID:             string(u.ID),
		ExternalID:     string(u.ExternalID),
		InternalID:     orNull(string(u.InternalID)),
		Email:          u.Email.String(),
		EmailCanonical: u.Email.Canonical(),
		DisplayName:    u.DisplayName,
		Status:         string(u.Status),
		Issuer:         orNull(u.Issuer),
		Subject:        orNull(u.Subject),
		CreatedAt:      storedTime(u.CreatedAt),
		UpdatedAt:      storedTime(u.UpdatedAt),
	}
}

func (r userRow) user() directory.User {
	return directory.User{
		ID:          directory.UserID(r.ID),
		ExternalID:  directory.ExternalID(r.ExternalID),
		InternalID:  directory.InternalID(orEmpty(r.InternalID)),
		Email:       directory.RestoreEmail(r.Email, r.EmailCanonical),
		DisplayName: r.DisplayName,
		Status:      directory.Status(r.Status),
		Issuer:      orEmpty(r.Issuer),
		Subject:     orEmpty(r.Subject),
		CreatedAt:   r.CreatedAt.UTC(),
		UpdatedAt:   r.UpdatedAt.UTC(),
	}
}

func (r userRow) subject(kind string) provision.Subject {
	s := provision.Subject{User: r.user(), Kind: signup.Kind(kind), Attempt: r.ProvisionAttempt}
	if r.ProvisionAmbiguousUntil != nil {
		s.AmbiguousUntil = r.ProvisionAmbiguousUntil.UTC()
	}
	return s
}

// signupRow is a row of signups.
type signupRow struct {
	ID           string     `gorm:"column:id;primaryKey"`
	ReceiptHash  []byte     `gorm:"column:receipt_hash"`
	UserID       *string    `gorm:"column:user_id"`
	Kind         string     `gorm:"column:kind"`
	Locale       string     `gorm:"column:locale"`
	TermsVersion string     `gorm:"column:terms_version"`
	CreatedAt    time.Time  `gorm:"column:created_at"`
	SettledAt    *time.Time `gorm:"column:settled_at"`
}

func (signupRow) TableName() string { return "signups" }

func rowOfSignup(a signup.Acceptance, userID string, kind signup.Kind) signupRow {
	return signupRow{
		ID:           string(a.ID),
		ReceiptHash:  a.ReceiptHash[:],
		UserID:       &userID,
		Kind:         string(kind),
		Locale:       a.Locale,
		TermsVersion: a.TermsVersion,
		CreatedAt:    storedTime(a.At),
	}
}

// sessionRow is a row of sessions.
type sessionRow struct {
	ID         string    `gorm:"column:id;primaryKey"`
	TokenHash  []byte    `gorm:"column:token_hash"`
	UserID     string    `gorm:"column:user_id"`
	Client     string    `gorm:"column:client"`
	CreatedAt  time.Time `gorm:"column:created_at"`
	LastSeenAt time.Time `gorm:"column:last_seen_at"`
	ExpiresAt  time.Time `gorm:"column:expires_at"`
}

func (sessionRow) TableName() string { return "sessions" }

func rowOfSession(s session.Session, hash session.Hash) sessionRow {
	return sessionRow{
		ID:         string(s.ID),
		TokenHash:  hash[:],
		UserID:     string(s.UserID),
		Client:     string(s.Client),
		CreatedAt:  storedTime(s.CreatedAt),
		LastSeenAt: storedTime(s.LastSeenAt),
		ExpiresAt:  storedTime(s.ExpiresAt),
	}
}

// usedFlowRow is a row of used_flows.
type usedFlowRow struct {
	FlowID    string    `gorm:"column:flow_id;primaryKey"`
	ExpiresAt time.Time `gorm:"column:expires_at"`
}

func (usedFlowRow) TableName() string { return "used_flows" }

// storedTime is t as both dialects keep it: UTC to the microsecond. SQLite
// compares times as text, which orders them only in one zone.
func storedTime(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
