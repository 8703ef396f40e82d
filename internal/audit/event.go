package audit

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/portico-id/portico/internal/directory"
)

// Outcome is what came of what was tried.
type Outcome string

// The outcomes.
const (
	Success Outcome = "success"
	Refused Outcome = "refused" // somebody may not, or cannot prove that they may
	Failed  Outcome = "failed"  // something broke, here or at the provider
)

// What is done, beside "user." with a status or a verb, and what other packages
// name. An action is words in lower case with a dot between them.
const (
	LoginSucceeded      = "login.succeeded"
	LoginRefused        = "login.refused"
	LoginFailed         = "login.failed"
	LoginCodeGranted    = "login.code_granted"  // to a native app, after its login
	LoginCodeRedeemed   = "login.code_redeemed" // for a session
	LoginCodeRefused    = "login.code_refused"
	SessionEnded        = "session.ended"
	LogoutTokenAccepted = "logout_token.accepted" //nolint:gosec // an action's name, no credential
	LogoutTokenRefused  = "logout_token.refused"  //nolint:gosec // an action's name, no credential
	RequestRefused      = "request.refused"
	InvitationCreated   = "invitation.created"
	InvitationRevoked   = "invitation.revoked"
	InvitationRedeemed  = "invitation.redeemed"
	Suppressed          = "audit.suppressed"        // refusals that were counted instead of kept
	Dropped             = "audit.dropped"           // events for which there was no room
	RetentionChanged    = "audit.retention_changed" // by the schema itself
	Removed             = "audit.removed"           // by the schema itself
)

// Why a session has ended. One that expires has no event: that of its login says
// when it would.
const (
	LoggedOut      = "logged_out"      // in it
	Revoked        = "revoked"         // from elsewhere, by its user or for them
	Replaced       = "replaced"        // by a login in the same browser
	TooMany        = "too_many"        // its user had
	ProviderLogout = "provider_logout" // a logout token says so
)

// Kinds of targets.
const (
	TargetSession    = "session"
	TargetInvitation = "invitation"
	TargetRoute      = "route" // as the contract writes it, with its method
)

// Target is what is acted upon, where that is no user. Its kind is a word, its
// id whatever names one of that kind, and no secret.
type Target struct{ Kind, ID string }

// Values are what was so before or is so after, by the names of the contract's
// fields. They are kept as JSON and shown to administrators: addresses may be
// among them, secrets never.
type Values map[string]any

// Changed returns those of the values that a change is about, and what it makes
// of them.
func Changed(was Values, change map[string]any) (before, after Values) {
	before, after = make(Values), make(Values)
	for name, value := range was {
		if is, changed := change[name]; changed {
			before[name], after[name] = value, is
		}
	}
	return before, after
}

// Event is something that was done or tried.
type Event struct {
	ID      string    // a UUIDv7; empty until it is kept
	At      time.Time // zero for the time at which it is kept
	Origin  Origin    // without an actor for that of the context
	Action  string
	Outcome Outcome // empty for Success
	Reason  string  // the problem's code, or the check that failed

	UserID   directory.UserID // whom it is about, or empty
	SignupID string           // that was the reason, or empty
	Target   Target

	// From and To are the statuses of a transition, Class the class of the
	// error that was its reason.
	From, To directory.Status
	Class    string

	Before, After Values
}

// Complete returns the event with what was left out of it: its outcome, and of
// its origin whatever ctx knows.
func (e Event) Complete(ctx context.Context) Event {
	e.Outcome = cmp.Or(e.Outcome, Success)
	known := From(ctx)
	e.Origin.Actor = cmp.Or(e.Origin.Actor, known.Actor)
	e.Origin.Address = cmp.Or(e.Origin.Address, known.Address)
	e.Origin.RequestID = cmp.Or(e.Origin.RequestID, known.RequestID)
	e.Origin.SessionID = cmp.Or(e.Origin.SessionID, known.SessionID)
	return e
}

// LogAttrs are what the event's line in the log says: no values, since there
// may be addresses among them.
func (e Event) LogAttrs() []slog.Attr {
	attrs := []slog.Attr{
		slog.String("event_id", e.ID), slog.String("action", e.Action),
		slog.String("actor", e.Origin.Actor), slog.String("outcome", string(e.Outcome)),
	}
	for _, field := range []struct{ name, value string }{
		{"user_id", string(e.UserID)},
		{"reason", cmp.Or(e.Reason, e.Class)},
		{"target_kind", e.Target.Kind},
		{"target_id", e.Target.ID},
		{"address", e.Origin.Address},
		{"request_id", e.Origin.RequestID},
	} {
		if field.value != "" {
			attrs = append(attrs, slog.String(field.name, field.value))
		}
	}
	return attrs
}
