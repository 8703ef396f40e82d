package webhook

import "net/url"

// What the audit says of endpoints.
const (
	ActionCreated  = "webhook.created"
	ActionUpdated  = "webhook.updated"
	ActionEnabled  = "webhook.enabled"
	ActionDisabled = "webhook.disabled"
	ActionRotated  = "webhook.secret_rotated"
	ActionDeleted  = "webhook.deleted"
	ActionTested   = "webhook.tested"
	ActionReplayed = "webhook.replayed"

	AuditTarget = "webhook" // its id is the endpoint's
)

// Origin is the part of an endpoint's address that may be written down: paths
// and queries are where receivers keep tokens.
func Origin(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
