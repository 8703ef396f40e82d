package check

import (
	"fmt"
	"slices"
)

// Run returns every violation that the evidence shows.
func Run(e Evidence) []Violation {
	c := &checker{
		e:          e,
		byHash:     make(map[Hash][]Signup, len(e.Signups)),
		byID:       make(map[string]User, len(e.Users)),
		byExternal: make(map[string]User, len(e.Users)),
		rows:       make(map[string]rows, len(e.Users)),
		found:      slices.Clone(e.Observed),
	}
	for _, u := range e.Users {
		c.byID[u.ID] = u
		c.byExternal[u.ExternalID] = u
	}
	for _, s := range e.Signups {
		c.byHash[s.Hash] = append(c.byHash[s.Hash], s)
		r := c.rows[s.UserID]
		r.all++
		r.resends += s.Resends
		if s.Kind == "duplicate" {
			r.duplicates++
		}
		c.rows[s.UserID] = r
	}
	c.receipts()
	c.signups()
	c.users()
	c.provider()
	c.mails()
	c.transitions()
	c.jobs()
	return c.found
}

// rows counts a user's rows in signups.
type rows struct{ all, duplicates, resends int }

type checker struct {
	e          Evidence
	byHash     map[Hash][]Signup
	byID       map[string]User
	byExternal map[string]User
	rows       map[string]rows // by user
	found      []Violation
}

func (c *checker) violates(rule Rule, format string, args ...any) {
	c.found = append(c.found, Violation{rule, fmt.Sprintf(format, args...)})
}

// receipts: what was promised exists, once, for the address it was promised to.
func (c *checker) receipts() {
	keys := make(map[int]Hash)
	for _, r := range c.e.Receipts {
		if r.Key != 0 {
			first, known := keys[r.Key]
			switch {
			case !known:
				keys[r.Key] = r.Hash
			case first != r.Hash:
				c.violates(Key, "%s: Idempotency-Key %d was answered with receipts %.4x and %.4x", r.Address, r.Key, first, r.Hash)
			}
		}
		found := c.byHash[r.Hash]
		if len(found) != 1 {
			c.violates(Lost, "%s: the receipt %.4x has %d rows", r.Address, r.Hash, len(found))
			continue
		}
		if user, ok := c.byID[found[0].UserID]; ok && user.Address != r.Address {
			c.violates(Mapping, "%s: the receipt %.4x leads to %s", r.Address, r.Hash, user.Address)
		}
	}
}

// signups: every row has come to its end.
func (c *checker) signups() {
	news := make(map[string]int)
	for _, s := range c.e.Signups {
		_, hasUser := c.byID[s.UserID]
		switch {
		case !s.Settled && !s.HasJob:
			c.violates(Stranded, "sign-up %s (%s) is not settled, and no job will settle it", s.ID, s.Kind)
		case !s.Settled:
			c.violates(Unsettled, "sign-up %s (%s) is not settled", s.ID, s.Kind)
		case !hasUser:
			c.violates(Unsettled, "sign-up %s (%s) has no user", s.ID, s.Kind)
		case s.Kind == "new":
			news[s.UserID]++
		}
	}
	for user, n := range news {
		if n > 1 {
			c.violates(Doubled, "user %s was made by %d sign-ups", user, n)
		}
	}
	for _, u := range c.e.Users {
		wishes := c.e.Sent[u.Address]
		if n := c.rows[u.ID].all; n > wishes.Unkeyed+wishes.Keys {
			c.violates(Surplus, "%s: %d sign-ups of %d requests without a key and %d keys", u.Address, n, wishes.Unkeyed, wishes.Keys)
		}
	}
}

// users: one per address, arrived, and known to the provider.
func (c *checker) users() {
	addresses := make(map[string]string, len(c.e.Users))
	live := make(map[string]ProviderUser, len(c.e.Provider))
	for _, p := range c.e.Provider {
		if !p.Deleted {
			live[p.ExternalID] = p
		}
	}
	for _, u := range c.e.Users {
		if other, taken := addresses[u.Address]; taken {
			c.violates(Doubled, "%s: users %s and %s", u.Address, other, u.ID)
		}
		addresses[u.Address] = u.ID
		if _, known := c.e.Sent[u.Address]; !known {
			c.violates(Orphan, "%s: user %s, whom nobody has signed up", u.Address, u.ID)
		}
		there, exists := live[u.ExternalID]
		switch u.Status {
		case "received", "provisioning":
			c.violates(Unfinished, "%s: user %s is %s", u.Address, u.ID, u.Status)
		case "failed", "conflict":
			if !c.e.MayConflict[u.Address] {
				c.violates(Refused, "%s: user %s is %s", u.Address, u.ID, u.Status)
			}
		case "invited", "active":
			switch {
			case !exists:
				c.violates(Orphan, "%s: user %s is %s, and the provider has no external_id %s", u.Address, u.ID, u.Status, u.ExternalID)
			case there.InternalID != u.InternalID:
				c.violates(Mapping, "%s: user %s has internal_id %q, the provider's is %q", u.Address, u.ID, u.InternalID, there.InternalID)
			case there.Address != u.Address:
				c.violates(Mapping, "%s: user %s is %s at the provider", u.Address, u.ID, there.Address)
			}
		}
	}
}

// provider: one live user per key and per address, each of them ours.
func (c *checker) provider() {
	external, addresses := make(map[string]int), make(map[string]int)
	for _, p := range c.e.Provider {
		if p.Deleted {
			continue
		}
		addresses[p.Address]++
		if c.e.Foreign[p.ExternalID] {
			continue
		}
		external[p.ExternalID]++
		if external[p.ExternalID] == 1 && p.Creates != 1 {
			c.violates(Doubled, "%s: external_id %s was created %d times", p.Address, p.ExternalID, p.Creates)
		}
		if u, ours := c.byExternal[p.ExternalID]; !ours {
			c.violates(Orphan, "%s: the provider has external_id %q, and we do not", p.Address, p.ExternalID)
		} else if u.InternalID == "" {
			c.violates(Orphan, "%s: the provider has user %s, who is %s here", p.Address, p.ExternalID, u.Status)
		}
	}
	for id, n := range external {
		if n > 1 {
			c.violates(Doubled, "external_id %s: %d users at the provider", id, n)
		}
	}
	for address, n := range addresses {
		if n > 1 {
			c.violates(Doubled, "%s: %d users at the provider", address, n)
		}
	}
}

// mails: a wish is the creation, a duplicate sign-up, or an accepted resend.
func (c *checker) mails() {
	for _, p := range c.e.Provider {
		u, ours := c.byExternal[p.ExternalID]
		if !ours || p.Deleted || c.e.Foreign[p.ExternalID] {
			continue
		}
		r := c.rows[u.ID]
		if wishes := 1 + r.duplicates + r.resends; p.Mails > wishes {
			c.violates(Mail, "%s: %d enrolment mails for %d wishes", u.Address, p.Mails, wishes)
		}
		if sent := c.e.Sent[u.Address].Resends; r.resends > sent {
			c.violates(Mail, "%s: %d resends counted, %d were sent", u.Address, r.resends, sent)
		}
	}
	for address, n := range c.e.Notices {
		if n > 1 {
			c.violates(Notice, "%s: %d notices", address, n)
		}
	}
}

// jobs: none is left and none was given up, but for those that come back by
// themselves.
func (c *checker) jobs() {
	for _, j := range c.e.Jobs {
		if j.State != "completed" && !j.Periodic {
			c.violates(Job, "%d jobs %s are left %s", j.Count, j.Kind, j.State)
		}
	}
}
