package telemetry

import (
	"cmp"
	"context"
	"strconv"
	"time"
)

// Outcomes of logins, and of events of the audit.
const (
	succeeded = "success"
	refused   = "refused"
	failed    = "failed"
	none      = "none"
)

func (m *Metrics) aboutUsers(c Config) {
	logins := m.counter("logins_total",
		"Logins that the provider has answered, by how they ended and the check that failed.", "outcome", "check")
	logins.WithLabelValues(succeeded, none)
	m.loginOf = map[string]counters{
		succeeded: newCounters(logins, []string{none}, succeeded),
		refused:   newCounters(logins, c.Codes, refused),
		failed:    newCounters(logins, c.Codes, failed),
	}
	m.opened = newCounters(m.counter("sessions_opened_total",
		"Sessions that were opened, by a login or by a native app's one-time code.", "by"), []string{"login", "code"})
	m.ended = newCounters(m.counter("sessions_ended_total",
		"Sessions that were ended before their time, by the reason.", "reason"), c.Endings)
	m.audited = newCounters(m.counter("audit_events_total",
		"Events of the audit that were written, by their outcome.", "outcome"), []string{succeeded, refused, failed})
	m.dropped = m.counter("audit_events_dropped_total", "Refusals that were not written for want of room.").WithLabelValues()
	m.users = m.counter("user_transitions_total",
		"Users who have come to a status, and the class of the error that was the reason.", "to", "class")
	for _, status := range c.Statuses {
		m.users.WithLabelValues(status, none)
	}
}

// LoggedIn counts a login that has ended well, and the session that it opens.
func (m *Metrics) LoggedIn() {
	m.loginOf[succeeded].add(none)
	m.opened.add("login")
}

// CodeGranted counts a login whose session is for a one-time code.
func (m *Metrics) CodeGranted() { m.loginOf[succeeded].add(none) }

// CodeRedeemed counts the session that was opened for one.
func (m *Metrics) CodeRedeemed() { m.opened.add("code") }

// LoginRefused counts a login that failed the check, for which the login or
// whoever wished for it is to blame.
func (m *Metrics) LoginRefused(check string) { m.loginOf[refused].add(check) }

// LoginFailed counts a login that something broken has kept from ending.
func (m *Metrics) LoginFailed(check string) { m.loginOf[failed].add(check) }

// SessionEnded counts a session that ended before its time.
func (m *Metrics) SessionEnded(reason string) { m.ended.add(reason) }

// UserMoved counts a user who has come to a status, for an error of the class.
func (m *Metrics) UserMoved(to, class string) {
	m.users.WithLabelValues(among(m.statuses, to), m.class(class)).Inc()
}

// Audited counts an event that was written.
func (m *Metrics) Audited(outcome string) { m.audited.add(outcome) }

// AuditDropped counts events for which there was no room.
func (m *Metrics) AuditDropped(n int) { m.dropped.Add(float64(n)) }

// class is an error's class as a label, and "none" without one.
func (m *Metrics) class(class string) string {
	if class == "" {
		return none
	}
	return among(m.classes, class)
}

func (m *Metrics) aboutTheOutside(c Config) {
	m.calls = m.counter("provider_calls_total",
		"Calls to the provider's management API, by the class of the answer and the kind of the job.", "operation", "class", "job")
	m.callTime = m.histogram("provider_call_duration_seconds", "What these calls took.", slow(), "operation")
	m.oidc = newCounters(m.counter("oidc_requests_total",
		"Requests to the OpenID provider, by the class of the status.", "status"), []string{"2xx", "3xx", "4xx", "5xx", "none"})
	m.oidcTime = m.histogram("oidc_request_duration_seconds", "What these requests took.", slow()).WithLabelValues()
	m.limits = newCounters(m.counter("limits_hit_total",
		"Requests that a limit has refused, by the bucket that did.", "bucket"), c.Buckets)
	m.mails = m.counter("mails_total", "Mails of our own, by how the mail server has answered.", "letter", "outcome")
	for _, letter := range c.Letters {
		m.mails.WithLabelValues(letter, succeeded)
		m.mails.WithLabelValues(letter, failed)
	}
	m.webhooks = newCounters(m.counter("webhook_attempts_total",
		"Requests to webhooks: delivered, or the class of the failure.", "outcome"), append([]string{"delivered"}, c.Attempts...))
}

// Called counts a call to the provider's management API.
func (m *Metrics) Called(ctx context.Context, operation, class string, took time.Duration) {
	operation = among(m.operations, operation)
	m.calls.WithLabelValues(operation, m.class(class), m.jobOf(ctx)).Inc()
	m.callTime.WithLabelValues(operation).Observe(took.Seconds())
}

// AskedProvider counts a request to the OpenID provider; the status is zero
// without an answer.
func (m *Metrics) AskedProvider(status int, took time.Duration) {
	class := none
	if status > 0 {
		class = strconv.Itoa(status/100) + "xx"
	}
	m.oidc.add(class)
	m.oidcTime.Observe(took.Seconds())
}

// LimitHit counts a request that a bucket has refused.
func (m *Metrics) LimitHit(bucket string) { m.limits.add(bucket) }

// Mailed counts a mail of our own.
func (m *Metrics) Mailed(letter string, err error) {
	outcome := succeeded
	if err != nil {
		outcome = failed
	}
	m.mails.WithLabelValues(among(m.letters, letter), outcome).Inc()
}

// WebhookTried counts a request to a webhook; the class is "" where it was
// delivered.
func (m *Metrics) WebhookTried(class string) { m.webhooks.add(cmp.Or(class, "delivered")) }
