package reconcile_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/reconcile"
)

// planter plants differences, each on a user of its own.
type planter struct {
	*world

	next int
	want map[string]int // findings, as told
	hit  map[string]bool
}

// pick returns a user of the status whom nobody has touched yet.
func (p *planter) pick(t *testing.T, status directory.Status, madeThere bool) person {
	t.Helper()
	for ; p.next < len(p.people); p.next++ {
		if someone := p.people[p.next]; someone.status == status && someone.madeThere == madeThere && !p.hit[someone.id] {
			p.next++
			p.hit[someone.id] = true
			return someone
		}
	}
	t.Fatal("there are too few users for so many drifts")
	return person{}
}

func told(class reconcile.Class, externalID string) string {
	return string(class) + " of " + externalID
}

func (p *planter) expect(class reconcile.Class, externalID string) { p.want[told(class, externalID)]++ }

// ago is a time that is long enough ago.
func ago(d time.Duration) time.Time { return time.Now().UTC().Add(-d).Truncate(time.Microsecond) }

// entomb makes a tombstone of a user here.
func (p *planter) entomb(t *testing.T, u person) {
	t.Helper()
	p.exec(t, `UPDATE users SET status = 'deleted', internal_id = NULL, email = '', email_canonical = $1, display_name = '',
		deleted_at = $2, activated_at = NULL WHERE id = $3`, u.id+"@deleted.invalid", ago(time.Hour), u.id)
}

// unmake takes a user back to where the provider is not known to have them.
func (p *planter) unmake(t *testing.T, u person, status directory.Status, since time.Duration) {
	t.Helper()
	p.exec(t, `UPDATE users SET status = $1, internal_id = NULL, activated_at = NULL, created_at = $2, updated_at = $2 WHERE id = $3`,
		string(status), ago(since), u.id)
}

// drifts are the differences, by what has happened.
func drifts() map[string]func(t *testing.T, p *planter) {
	return map[string]func(t *testing.T, p *planter){
		"an invited user was deleted there": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Invited, true)
			p.setThere(t, u.internal, simulator.StatusDeleted)
			p.expect(reconcile.MissingThere, u.external)
		},
		"an active user was deleted there": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Active, true)
			p.setThere(t, u.internal, simulator.StatusDeleted)
			p.expect(reconcile.MissingThere, u.external)
		},
		"a suspended user was deleted there": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Suspended, true)
			p.setThere(t, u.internal, simulator.StatusDeleted)
			p.expect(reconcile.MissingThere, u.external)
		},
		"a user whom the provider had before us was deleted there": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Active, false)
			p.setThere(t, u.internal, simulator.StatusDeleted)
			p.expect(reconcile.MissingThere, u.external)
		},
		"somebody was created there": func(t *testing.T, p *planter) {
			external := "stranger-" + uuid.NewString()
			p.createThere(t, external, external+"@example.org", "A stranger")
			p.expect(reconcile.UnknownHere, external)
		},
		"an address was changed there": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Active, true)
			p.patchThere(t, u.internal, "email_address", "other."+u.email)
			p.expect(reconcile.AttributesDiffer, u.external)
		},
		"a name was changed there": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Invited, false)
			p.patchThere(t, u.internal, "display_name", "Another")
			p.expect(reconcile.AttributesDiffer, u.external)
		},
		"an active user was suspended there": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Active, true)
			p.setThere(t, u.internal, simulator.StatusSuspended)
			p.expect(reconcile.StatusDiffers, u.external)
		},
		"who was deleted here is still there": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Active, true)
			p.entomb(t, u)
			p.expect(reconcile.StatusDiffers, u.external)
		},
		"who has failed here is there": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Invited, true)
			p.unmake(t, u, directory.Failed, 30*time.Minute)
			p.expect(reconcile.StatusDiffers, u.external)
		},
		"who is long being created is there": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Invited, true)
			p.unmake(t, u, directory.Provisioning, 30*time.Minute)
			p.expect(reconcile.StatusDiffers, u.external)
		},
		"an external_id was changed there": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Active, true)
			p.patchThere(t, u.internal, "external_id", "changed-"+u.external)
			p.expect(reconcile.IDsDiffer, u.external)
		},
		"a user was created anew there": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Invited, true)
			p.setThere(t, u.internal, simulator.StatusDeleted)
			p.createThere(t, u.external, u.email, u.name)
			p.expect(reconcile.IDsDiffer, u.external)
		},
		"a user was created twice there": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Active, true)
			p.createThere(t, u.external, u.email, u.name)
			p.expect(reconcile.Duplicate, u.external)
		},
		"two have one address there": func(t *testing.T, p *planter) {
			u, v := p.pick(t, directory.Active, true), p.pick(t, directory.Active, true)
			p.patchThere(t, u.internal, "email_address", v.email)
			p.expect(reconcile.Duplicate, u.external)
			p.expect(reconcile.AttributesDiffer, u.external)
		},
		"a user has waited for too long": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Invited, true)
			p.setThere(t, u.internal, simulator.StatusDeleted)
			p.unmake(t, u, directory.Received, 2*time.Hour)
			p.expect(reconcile.Stuck, u.external)
		},
		"a user is being created for too long": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Invited, true)
			p.setThere(t, u.internal, simulator.StatusDeleted)
			p.unmake(t, u, directory.Provisioning, 2*time.Hour)
			p.expect(reconcile.Stuck, u.external)
		},
		"a change has waited for too long": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Active, true)
			p.exec(t, `UPDATE users SET display_name = 'Changed Here', sync = 'pending', sync_change = 1, sync_since = $1 WHERE id = $2`,
				ago(2*time.Hour), u.id)
			p.expect(reconcile.Stuck, u.external)
		},
		"a deletion is overdue": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Invited, true)
			p.exec(t, `UPDATE users SET status = 'deleting', sync = 'pending', sync_change = 1, delete_after = $1 WHERE id = $2`,
				ago(2*time.Hour), u.id)
			p.expect(reconcile.Stuck, u.external)
		},
		"a sign-up is not settled": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Active, true)
			hash := slices.Concat([]byte(uuid.New().String()))[:32]
			p.exec(t, `INSERT INTO signups (id, receipt_hash, user_id, kind, locale, terms_version, created_at, resend_after)
				VALUES ($1, $2, $3, 'duplicate', '', '', $4, $4)`, uuid.Must(uuid.NewV7()).String(), hash, u.id, ago(2*time.Hour))
			p.expect(reconcile.Stuck, "")
		},
	}
}

// justNow is how long ago something was that has just been, however long the
// test takes.
const justNow = -12 * time.Hour

// decoys look like differences and are none.
func decoys() map[string]func(t *testing.T, p *planter) {
	return map[string]func(t *testing.T, p *planter){
		"a create is under way": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Invited, true)
			p.unmake(t, u, directory.Provisioning, justNow)
		},
		"a create is in its quarantine": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Invited, true)
			p.unmake(t, u, directory.Provisioning, 30*time.Minute)
			p.exec(t, `UPDATE users SET provision_ambiguous_until = $1 WHERE id = $2`, ago(-24*time.Hour), u.id)
		},
		"somebody has just signed up": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Invited, true)
			p.setThere(t, u.internal, simulator.StatusDeleted)
			p.unmake(t, u, directory.Received, justNow)
		},
		"a conflict waits for an operator": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Invited, true)
			p.unmake(t, u, directory.Conflict, 48*time.Hour)
		},
		"who was deleted here was there before us": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Active, false)
			p.entomb(t, u)
		},
		"who was deleted here is gone": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Active, true)
			p.entomb(t, u)
			p.setThere(t, u.internal, simulator.StatusDeleted)
		},
		"a deletion is within its grace": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Active, true)
			p.exec(t, `UPDATE users SET status = 'deleting', sync = 'pending', sync_since = $2, delete_after = $1 WHERE id = $3`,
				ago(-24*time.Hour), ago(justNow), u.id)
		},
		"a change is on its way": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Active, true)
			p.exec(t, `UPDATE users SET display_name = 'New', sync = 'pending', sync_since = $1 WHERE id = $2`, ago(justNow), u.id)
		},
		"an address is spelt otherwise": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Active, true)
			p.patchThere(t, u.internal, "email_address", strings.ToUpper(u.email))
		},
		"the address stands in for the name": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Active, true)
			p.exec(t, `UPDATE users SET display_name = '' WHERE id = $1`, u.id)
			p.patchThere(t, u.internal, "display_name", strings.ToLower(u.email))
		},
		"who was there before us has a name there only": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Active, false)
			p.exec(t, `UPDATE users SET display_name = '' WHERE id = $1`, u.id)
		},
		"who is suspended here is suspended there": func(t *testing.T, p *planter) {
			u := p.pick(t, directory.Suspended, true)
			p.setThere(t, u.internal, simulator.StatusSuspended)
		},
	}
}

// plant plants each drift so many times, and each decoy once.
func (w *world) plant(t *testing.T, times int) *planter {
	t.Helper()
	p := &planter{world: w, want: make(map[string]int), hit: make(map[string]bool)}
	for _, plant := range decoys() {
		p.next = 0
		plant(t, p)
	}
	for _, name := range slices.Sorted(maps.Keys(drifts())) {
		p.next = 0
		plant := drifts()[name]
		for range times {
			plant(t, p)
		}
	}
	return p
}

// compare fails unless what was found is what was planted.
func (p *planter) compare(t *testing.T, found []reconcile.Finding, classes ...reconcile.Class) {
	t.Helper()
	got := make(map[string]int)
	for _, f := range found {
		got[told(f.Class, string(f.ExternalID))]++
	}
	want := maps.Clone(p.want)
	if classes != nil {
		maps.DeleteFunc(want, func(told string, _ int) bool {
			class, _, _ := strings.Cut(told, " of ")
			return !slices.Contains(classes, reconcile.Class(class))
		})
	}
	for what, n := range want {
		if got[what] != n {
			t.Errorf("%s: planted %d, found %d", what, n, got[what])
		}
	}
	for what, n := range got {
		if want[what] == 0 {
			t.Errorf("%s: found %d, and nobody has planted it", what, n)
		}
	}
}

// here is every user's row here, and there every user there, as text.
func (w *world) here(t *testing.T) map[string]string {
	t.Helper()
	rows, err := w.db.SQL().QueryContext(t.Context(), `SELECT CAST(id AS text), external_id, coalesce(internal_id, ''), email, display_name,
		status, sync, version, coalesce(sync_error_class, ''), coalesce(provision_last_error_class, '') FROM users`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := make(map[string]string)
	for rows.Next() {
		var fields [10]string
		if err := rows.Scan(&fields[0], &fields[1], &fields[2], &fields[3], &fields[4], &fields[5], &fields[6], &fields[7],
			&fields[8], &fields[9]); err != nil {
			t.Fatal(err)
		}
		all[fields[0]] = fmt.Sprint(fields)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func (w *world) there() map[string]string {
	all := make(map[string]string)
	for _, u := range w.sim.Users() {
		all[u.InternalID] = fmt.Sprintf("%+v", u)
	}
	return all
}
