package check

import "slices"

// moves are the legal transitions; the empty status is that of nobody.
//
//nolint:gochecknoglobals // a table
var moves = map[string][]string{
	"":             {"received"},
	"received":     {"provisioning", "failed", "conflict"},
	"provisioning": {"invited", "active", "failed", "conflict"},
	"invited":      {"active", "suspended", "deleting"},
	"active":       {"suspended", "deleting"},
	"suspended":    {"invited", "active", "deleting"},
	"failed":       {"received", "provisioning", "deleting"},
	"conflict":     {"received", "provisioning", "deleting"},
	"deleting":     {"deleted"},
}

// transitions: each user's rows are one legal chain from nobody to the status
// that the user has. A row that was written twice, or not at all, breaks it.
func (c *checker) transitions() {
	last := make(map[string]string, len(c.e.Users))
	broken := make(map[string]bool)
	for _, t := range c.e.Transitions {
		if broken[t.UserID] {
			continue
		}
		_, known := c.byID[t.UserID]
		now := last[t.UserID]
		switch {
		case !known:
			c.violates(Audit, "%s: %s moves a user who does not exist", t.UserID, t.Action)
		case t.From != now:
			c.violates(Audit, "user %s: %s moves from %q to %q, and the row before ended in %q", t.UserID, t.Action, t.From, t.To, now)
		case t.From != t.To && !slices.Contains(moves[t.From], t.To):
			c.violates(Audit, "user %s: %s moves from %q to %q, which is no legal move", t.UserID, t.Action, t.From, t.To)
		default:
			last[t.UserID] = t.To
			continue
		}
		broken[t.UserID] = true
	}
	for _, u := range c.e.Users {
		if !broken[u.ID] && last[u.ID] != u.Status {
			c.violates(Audit, "user %s is %q, and the last transition led to %q", u.ID, u.Status, last[u.ID])
		}
	}
}
