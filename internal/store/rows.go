package store

import (
	"encoding/json"
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
	ActivatedAt             *time.Time `gorm:"column:activated_at"`
	EnrolmentMailAt         *time.Time `gorm:"column:enrolment_mail_at"`
	NoticeAt                *time.Time `gorm:"column:notice_at"`
	NoticeSentAt            *time.Time `gorm:"column:notice_sent_at"`
	CheckAt                 *time.Time `gorm:"column:check_at"`
	CreatedAt               time.Time  `gorm:"column:created_at"`
	UpdatedAt               time.Time  `gorm:"column:updated_at;autoUpdateTime:false"`
	Version                 int64      `gorm:"column:version;default:1"`
	Origin                  string     `gorm:"column:origin"`
	Locale                  string     `gorm:"column:locale"`
	MadeThere               bool       `gorm:"column:made_there"`
	Adopt                   bool       `gorm:"column:adopt"`
	AdoptInternalID         *string    `gorm:"column:adopt_internal_id"`
	Sync                    string     `gorm:"column:sync"`
	SyncChange              int64      `gorm:"column:sync_change"`
	SyncSince               *time.Time `gorm:"column:sync_since"`
	SyncErrorClass          *string    `gorm:"column:sync_error_class"`
	SyncAmbiguousUntil      *time.Time `gorm:"column:sync_ambiguous_until"`
	SyncClaimedUntil        *time.Time `gorm:"column:sync_claimed_until"`
	SuspendedAt             *time.Time `gorm:"column:suspended_at"`
	DeleteAfter             *time.Time `gorm:"column:delete_after"`
	DeletedAt               *time.Time `gorm:"column:deleted_at"`
}

func (userRow) TableName() string { return "users" }

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
		Locale:      r.Locale,
		Origin:      directory.Origin(r.Origin),
		Sync:        directory.Sync(r.Sync),
		SyncClass:   orEmpty(r.SyncErrorClass),
		LastClass:   orEmpty(r.ProvisionLastErrorClass),
		Version:     r.Version,
		CreatedAt:   r.CreatedAt.UTC(),
		UpdatedAt:   r.UpdatedAt.UTC(),
		SuspendedAt: orZero(r.SuspendedAt),
		DeleteAfter: orZero(r.DeleteAfter),
	}
}

// signupRow is a row of signups.
type signupRow struct {
	ID             string     `gorm:"column:id;primaryKey"`
	ReceiptHash    []byte     `gorm:"column:receipt_hash"`
	UserID         *string    `gorm:"column:user_id"`
	Kind           *string    `gorm:"column:kind"`
	Locale         string     `gorm:"column:locale"`
	TermsVersion   string     `gorm:"column:terms_version"`
	CreatedAt      time.Time  `gorm:"column:created_at"`
	SettledAt      *time.Time `gorm:"column:settled_at"`
	CandidateID    *string    `gorm:"column:candidate_id"`
	Email          *string    `gorm:"column:email"`
	EmailCanonical *string    `gorm:"column:email_canonical"`
	DisplayName    *string    `gorm:"column:display_name"`
	InvitationID   *string    `gorm:"column:invitation_id"`
	ResendAfter    time.Time  `gorm:"column:resend_after"`
	Resends        int        `gorm:"column:resends"`
	MailsClaimed   int        `gorm:"column:mails_claimed"`
}

func (signupRow) TableName() string { return "signups" }

func rowOfSignup(a signup.Acceptance) signupRow {
	candidate, typed, canonical := string(a.Candidate), a.Email.String(), a.Email.Canonical()
	return signupRow{
		ID:             string(a.ID),
		ReceiptHash:    a.ReceiptHash[:],
		Locale:         a.Locale,
		TermsVersion:   a.TermsVersion,
		CreatedAt:      storedTime(a.At),
		CandidateID:    &candidate,
		Email:          &typed,
		EmailCanonical: &canonical,
		DisplayName:    &a.DisplayName,
		ResendAfter:    storedTime(a.ResendAfter),
	}
}

// candidate is the user that the sign-up makes if its address is new.
func (r signupRow) candidate(now time.Time) userRow {
	at := storedTime(now)
	return userRow{
		ID:             orEmpty(r.CandidateID),
		ExternalID:     orEmpty(r.CandidateID),
		Email:          orEmpty(r.Email),
		EmailCanonical: orEmpty(r.EmailCanonical),
		DisplayName:    orEmpty(r.DisplayName),
		Status:         string(directory.Received),
		Origin:         string(directory.FromSignup),
		Locale:         r.Locale,
		MadeThere:      true,
		Sync:           string(directory.SyncSynced),
		Version:        1,
		CreatedAt:      storedTime(r.CreatedAt),
		UpdatedAt:      at,
	}
}

// subject is the sign-up as provisioning sees it, with its user if it has one.
func (r signupRow) subject(user *userRow) provision.Subject {
	s := provision.Subject{
		Signup:     signup.ID(r.ID),
		Kind:       signup.Kind(orEmpty(r.Kind)),
		AcceptedAt: r.CreatedAt.UTC(),
		Locale:     r.Locale,
		Settled:    r.SettledAt != nil,
	}
	if user != nil {
		user.into(&s)
	}
	return s
}

// into fills in what provisioning knows of the user.
func (r userRow) into(s *provision.Subject) {
	s.User = r.user()
	s.Attempt = r.ProvisionAttempt
	s.AmbiguousUntil = orZero(r.ProvisionAmbiguousUntil)
	s.MadeThere, s.Adopt = r.MadeThere, r.Adopt
	s.AdoptInternalID = directory.InternalID(orEmpty(r.AdoptInternalID))
}

// idempotencyKeyRow is a row of idempotency_keys.
type idempotencyKeyRow struct {
	KeyHash     []byte    `gorm:"column:key_hash;primaryKey"`
	Fingerprint []byte    `gorm:"column:fingerprint"`
	Sealed      []byte    `gorm:"column:sealed"`
	CreatedAt   time.Time `gorm:"column:created_at"`
	ExpiresAt   time.Time `gorm:"column:expires_at"`
}

func (idempotencyKeyRow) TableName() string { return "idempotency_keys" }

// auditRow is a row of audit_events.
type auditRow struct {
	ID         string    `gorm:"column:id;primaryKey"`
	At         time.Time `gorm:"column:at"`
	Actor      string    `gorm:"column:actor"`
	Action     string    `gorm:"column:action"`
	UserID     *string   `gorm:"column:user_id"`
	SignupID   *string   `gorm:"column:signup_id"`
	FromStatus *string   `gorm:"column:from_status"`
	ToStatus   *string   `gorm:"column:to_status"`
	Class      *string   `gorm:"column:class"`
	Address    *string   `gorm:"column:address"`
	RequestID  *string   `gorm:"column:request_id"`
	SessionID  *string   `gorm:"column:session_id"`
	Outcome    string    `gorm:"column:outcome"`
	Reason     *string   `gorm:"column:reason"`
	Before     *string   `gorm:"column:before"` // JSON
	After      *string   `gorm:"column:after"`
	TargetKind *string   `gorm:"column:target_kind"`
	TargetID   *string   `gorm:"column:target_id"`
}

func (auditRow) TableName() string { return "audit_events" }

// sessionRow is a row of sessions.
type sessionRow struct {
	ID         string    `gorm:"column:id;primaryKey"`
	TokenHash  []byte    `gorm:"column:token_hash"`
	UserID     string    `gorm:"column:user_id"`
	Client     string    `gorm:"column:client"`
	CreatedAt  time.Time `gorm:"column:created_at"`
	LastSeenAt time.Time `gorm:"column:last_seen_at"`
	ExpiresAt  time.Time `gorm:"column:expires_at"`

	AuthTime        *time.Time `gorm:"column:auth_time"`
	ACR             *string    `gorm:"column:acr"`
	AMR             *string    `gorm:"column:amr"` // a JSON array
	Issuer          *string    `gorm:"column:issuer"`
	ProviderSession *string    `gorm:"column:provider_session"`
	UserAgent       string     `gorm:"column:user_agent"`
	Address         string     `gorm:"column:address"`
}

func (sessionRow) TableName() string { return "sessions" }

func rowOfSession(s session.Session, hash session.Hash) (sessionRow, error) {
	amr, err := amrOrNull(s.AMR)
	if err != nil {
		return sessionRow{}, err
	}
	return sessionRow{
		ID:              string(s.ID),
		TokenHash:       hash[:],
		UserID:          string(s.UserID),
		Client:          string(s.Client),
		CreatedAt:       storedTime(s.CreatedAt),
		LastSeenAt:      storedTime(s.LastSeenAt),
		ExpiresAt:       storedTime(s.ExpiresAt),
		AuthTime:        storedTimeOrNull(s.AuthTime),
		ACR:             orNull(s.ACR),
		AMR:             amr,
		Issuer:          orNull(s.Issuer),
		ProviderSession: orNull(s.ProviderSession),
		UserAgent:       s.UserAgent,
		Address:         s.Address,
	}, nil
}

func amrOrNull(methods []string) (*string, error) {
	if len(methods) == 0 {
		return nil, nil //nolint:nilnil // null is what it is
	}
	text, err := json.Marshal(methods)
	if err != nil {
		return nil, err
	}
	return orNull(string(text)), nil
}

// usedFlowRow is a row of used_flows.
type usedFlowRow struct {
	FlowID    string    `gorm:"column:flow_id;primaryKey"`
	ExpiresAt time.Time `gorm:"column:expires_at"`
}

func (usedFlowRow) TableName() string { return "used_flows" }

// usedLogoutTokenRow is a row of used_logout_tokens.
type usedLogoutTokenRow struct {
	TokenHash []byte    `gorm:"column:token_hash;primaryKey"`
	ExpiresAt time.Time `gorm:"column:expires_at"`
}

func (usedLogoutTokenRow) TableName() string { return "used_logout_tokens" }

// storedTime is t as both dialects keep it: UTC to the microsecond. SQLite
// compares times as text, which orders them only in one zone.
func storedTime(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func storedTimeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	stored := storedTime(t)
	return &stored
}

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

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
