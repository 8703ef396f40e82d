package provision_test

import (
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/store/storetest"
)

const grace = 30 * 24 * time.Hour

// leave has the user deleted when the grace is over, as whoever may do so does.
func (w *world) leave(t *testing.T, a accepted, grace time.Duration) {
	t.Helper()
	w.exec(t, `UPDATE users SET status = 'deleting', delete_after = $1 WHERE id = $2`, w.clock.now().Add(grace), string(a.userID))
	w.want(t, a)
}

// buried fails the test unless nothing is left of the user but the ids, with
// the class in the audit's last line.
func (w *world) buried(t *testing.T, a accepted, class string) {
	t.Helper()
	subject, err := w.store.FindUserSubject(t.Context(), a.userID)
	if err != nil {
		t.Fatal(err)
	}
	user := subject.User
	if user.Status != directory.Deleted || user.Email.String() != "" || user.DisplayName != "" || user.Locale != "" ||
		user.InternalID != "" || user.Subject != "" || user.ExternalID != a.externalID() || user.Sync != directory.SyncSynced {
		t.Errorf("is %+v, after %q\n%s", user, w.tenant.trace(), w.log)
	}
	if n := w.count(t, `SELECT count(*) FROM sessions WHERE user_id = $1`, string(a.userID)); n != 0 {
		t.Errorf("%d sessions", n)
	}
	var from, last, why sql.NullString
	row := w.db.SQL().QueryRowContext(t.Context(), `
		SELECT from_status, action, class FROM audit_events WHERE user_id = $1 ORDER BY id DESC LIMIT 1`, string(a.userID))
	if err := row.Scan(&from, &last, &why); err != nil {
		t.Fatal(err)
	}
	if from.String != "deleting" || last.String != "user.deleted" || why.String != class {
		t.Errorf("the audit ends with %s from %s of class %q", last.String, from.String, why.String)
	}
}

// live are the users at the provider who have not been deleted.
func (tn *tenant) live() []string {
	var ids []string
	for _, user := range tn.Users() {
		if user.Status != simulator.StatusDeleted {
			ids = append(ids, user.ExternalID)
		}
	}
	return ids
}

func (w *world) gone(t *testing.T, a accepted) {
	t.Helper()
	if slices.Contains(w.tenant.live(), string(a.externalID())) {
		t.Errorf("the provider still has them, after %q", w.tenant.trace())
	}
}

func TestAUserIsDeletedThereAndThenHereWhenTheGraceIsOver(t *testing.T) {
	t.Parallel()
	eachChange(t, func(t *testing.T, w *world, a accepted) {
		w.leave(t, a, grace)
		if again := w.step(t, a); again != grace {
			t.Errorf("again in %s", again)
		}
		w.traced(t, "")
		if took := w.stepOut(t, a); took != grace {
			t.Errorf("took %s", took)
		}
		w.gone(t, a)
		w.buried(t, a, "")
		w.traced(t, "delete")
		if again := w.step(t, a); again != 0 {
			t.Errorf("a tombstone is looked at again in %s", again)
		}
	})
}

func TestADeletionGoesAsItsAnswerSays(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		effect simulator.Effect
		trace  string
		took   time.Duration // at least
	}{
		"a limit is waited out":            {simulator.Effect{Status: 429, Headers: map[string]string{"Retry-After": "20"}}, "delete delete", 20 * time.Second},
		"a refused token is waited out":    {simulator.Effect{Status: 401}, "delete delete", time.Second},
		"an error that did nothing":        {simulator.Effect{Status: 503}, "delete delete", quarantine},
		"a reset that did nothing":         {simulator.Effect{Drop: true}, "delete delete", quarantine},
		"an error that happened":           {simulator.Effect{Status: 500, Commit: simulator.CommitBefore}, "delete delete", quarantine},
		"a reset that happened":            {simulator.Effect{Drop: true, Commit: simulator.CommitBefore}, "delete delete", quarantine},
		"a promise that is not a success":  {simulator.Effect{Status: 202, Commit: simulator.CommitBefore}, "delete delete", quarantine},
		"a page of somebody in between":    {simulator.Effect{Status: 200, Body: []byte(`"<html>"`), Commit: simulator.CommitNever}, "delete delete", quarantine},
		"a foreign page that is not there": {simulator.Effect{Status: 404, Body: []byte(`"not here"`), Commit: simulator.CommitNever}, "delete delete", time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachChange(t, func(t *testing.T, w *world, a accepted) {
				w.leave(t, a, 0)
				w.next(t, onDelete, test.effect)
				if took := w.stepOut(t, a); took < test.took {
					t.Errorf("took %s", took)
				}
				w.gone(t, a)
				w.buried(t, a, "")
				w.traced(t, test.trace)
			})
		})
	}
	t.Run("a refusal is for an operator", func(t *testing.T) {
		t.Parallel()
		eachChange(t, func(t *testing.T, w *world, a accepted) {
			w.leave(t, a, 0)
			w.next(t, onDelete, simulator.Effect{Status: 400})
			w.stepOut(t, a)
			if got, want := w.synced(t, a), (synced{sync: directory.SyncFailed, class: "rejected"}); got != want {
				t.Errorf("stands at %+v", got)
			}
			w.want(t, a) // and tries again
			w.stepOut(t, a)
			w.buried(t, a, "")
		})
	})
	t.Run("whom the provider has no longer is deleted", func(t *testing.T) {
		t.Parallel()
		eachChange(t, func(t *testing.T, w *world, a accepted) {
			if err := w.tenant.SetStatus(w.tenant.user(t, a.externalID()).InternalID, simulator.StatusDeleted); err != nil {
				t.Fatal(err)
			}
			w.leave(t, a, 0)
			w.stepOut(t, a)
			w.buried(t, a, "")
			w.traced(t, "delete")
		})
	})
}

func TestAWorkerThatDiesDuringADeletionIsWaitedOut(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]bool{"before its call": false, "after its call": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachChange(t, func(t *testing.T, w *world, a accepted) {
				w.leave(t, a, 0)
				w.die(t, a, after)
				if again := w.step(t, a); again < callLimit || again > 2*callLimit {
					t.Errorf("waits for %s", again)
				}
				w.stepOut(t, a)
				w.gone(t, a)
				w.buried(t, a, "")
			})
		})
	}
}

func TestAUserIsDeletedWhereverTheyStand(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db := storetest.Open(t, databaseURL)
		for name, test := range map[string]struct {
			begin func(t *testing.T, w *world) accepted
			trace string
			class string
		}{
			"received": {func(t *testing.T, w *world) accepted {
				a := w.accept(t)
				w.enlist(t, a)
				return a
			}, "", ""},
			"provisioning, and nobody was made": {func(t *testing.T, w *world) accepted {
				w.fault(t, once(simulator.Effect{Status: 503}))
				a := w.accept(t)
				w.carry(t, a)
				return a
			}, "create find", ""},
			"provisioning, and nothing was sent": {func(t *testing.T, w *world) accepted {
				w.fault(t, once(simulator.Effect{Status: 429}))
				a := w.accept(t)
				w.carry(t, a)
				return a
			}, "create", ""},
			"provisioning, and the answer was lost": {func(t *testing.T, w *world) accepted {
				w.fault(t, once(simulator.Effect{Drop: true, Commit: simulator.CommitBefore}))
				a := w.accept(t)
				w.carry(t, a)
				return a
			}, "create find delete", ""},
			"provisioning, and the create is late": {func(t *testing.T, w *world) accepted {
				w.tenant.createLate(quarantine)
				a := w.accept(t)
				w.carry(t, a)
				return a
			}, "create find delete", ""},
			"failed": {func(t *testing.T, w *world) accepted {
				w.fault(t, once(simulator.Effect{Status: 422}))
				a := w.accept(t)
				w.carryOut(t, a)
				return a
			}, "create find", ""},
			"invited": {func(t *testing.T, w *world) accepted {
				a := w.accept(t)
				w.carryOut(t, a)
				return a
			}, "create delete", ""},
			"active": {func(t *testing.T, w *world) accepted {
				a := w.accept(t)
				w.carryOut(t, a)
				w.login(t, a, w.tenant.user(t, a.externalID()).InternalID)
				return a
			}, "create delete", ""},
			"suspended": {func(t *testing.T, w *world) accepted {
				a := w.accept(t)
				w.carryOut(t, a)
				w.set(t, a, directory.Suspended)
				return a
			}, "create delete", ""},
			"whom the provider had before us": {func(t *testing.T, w *world) accepted {
				a := w.accept(t)
				w.carryOut(t, a)
				w.exec(t, `UPDATE users SET made_there = $1 WHERE id = $2`, false, string(a.userID))
				return a
			}, "create", "left_at_provider"},
			"of whom an operator has named one there": {func(t *testing.T, w *world) accepted {
				w.fault(t, once(simulator.Effect{Drop: true, Commit: simulator.CommitBefore}))
				a := w.accept(t)
				w.carry(t, a)
				w.exec(t, `UPDATE users SET adopt_internal_id = $1 WHERE id = $2`,
					w.tenant.user(t, a.externalID()).InternalID, string(a.userID))
				return a
			}, "create find", "left_at_provider"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, db, true)
				a := test.begin(t, w)
				w.leave(t, a, 0)
				if w.carry(t, a) != 0 {
					t.Error("the sign-up goes on")
				}
				w.stepOut(t, a)
				w.buried(t, a, test.class)
				w.traced(t, test.trace)
				if test.class == "" {
					w.gone(t, a)
				} else if !slices.Contains(w.tenant.live(), string(a.externalID())) {
					t.Error("the provider's own user is gone")
				}
			})
		}
	})
}

func TestACreateUnderWayWhileItsUserLeavesIsFoundAndDeleted(t *testing.T) {
	t.Parallel()
	eachChange(t, func(t *testing.T, w *world, _ accepted) {
		a := w.accept(t)
		w.tenant.onAnswer(func(string) {
			w.tenant.onAnswer(nil)
			w.leave(t, a, 0)
		})
		w.carryOut(t, a)
		w.stepOut(t, a)
		w.gone(t, a)
		w.buried(t, a, "")
		w.traced(t, "create find delete")
	})
}

func TestWhomSeveralMayBeIsNotDeleted(t *testing.T) {
	t.Parallel()
	eachChange(t, func(t *testing.T, w *world, other accepted) {
		w.modes(t, func(m *simulator.Modes) { m.Uniqueness = simulator.UniqueNone })
		a := w.accept(t)
		w.fault(t, once(simulator.Effect{Drop: true, Commit: simulator.CommitBefore}))
		w.carry(t, a)
		w.put(t, a.externalID(), "another@example.com")
		w.leave(t, a, 0)
		w.stepOut(t, a)
		if got, want := w.synced(t, a), (synced{sync: directory.SyncFailed, class: "duplicate"}); got != want {
			t.Errorf("stands at %+v", got)
		}
		b := w.accept(t)
		w.fault(t, once(simulator.Effect{Drop: true, Commit: simulator.CommitBefore}))
		w.carry(t, b)
		w.exec(t, `UPDATE users SET internal_id = $1 WHERE id = $2`, w.tenant.user(t, b.externalID()).InternalID, string(other.userID))
		w.leave(t, b, 0)
		w.stepOut(t, b)
		if got, want := w.synced(t, b), (synced{sync: directory.SyncFailed, class: "internal_id_taken"}); got != want {
			t.Errorf("stands at %+v", got)
		}
		if n := len(w.tenant.live()); n != 4 {
			t.Errorf("the provider has %d users", n)
		}
	})
}

func TestAUserWhoIsRestoredStays(t *testing.T) {
	t.Parallel()
	restore := func(t *testing.T, w *world, a accepted) {
		t.Helper()
		w.exec(t, `UPDATE users SET status = 'invited', delete_after = NULL WHERE id = $1`, string(a.userID))
		w.want(t, a)
	}
	t.Run("within the grace", func(t *testing.T) {
		t.Parallel()
		eachChange(t, func(t *testing.T, w *world, a accepted) {
			w.edit(t, a, "Berta") // which the deletion overtakes
			w.leave(t, a, grace)
			w.step(t, a)
			restore(t, w, a)
			w.stepOut(t, a)
			w.carried(t, a, isSynced, "Berta")
			w.traced(t, "update")
		})
	})
	t.Run("too late, which shows", func(t *testing.T) {
		t.Parallel()
		eachChange(t, func(t *testing.T, w *world, a accepted) {
			w.leave(t, a, 0)
			w.tenant.onAnswer(func(string) {
				w.tenant.onAnswer(nil)
				restore(t, w, a)
			})
			w.stepOut(t, a)
			if got, want := w.synced(t, a), (synced{directory.SyncFailed, "vanished", false, false}); got != want {
				t.Errorf("stands at %+v\n%s", got, w.log)
			}
		})
	})
}

func TestWithoutAnInterfaceForDeletionsTheyAreKeptUntilThereIsOne(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, storetest.Open(t, databaseURL), false)
		a, nobody := w.invite(t), w.accept(t)
		w.enlist(t, nobody)
		for _, who := range []accepted{a, nobody} {
			w.leave(t, who, 0)
			w.stepOut(t, who)
		}
		w.buried(t, nobody, "")
		if got, want := w.synced(t, a), (synced{sync: directory.SyncFailed, class: provision.ClassUnsupported}); got != want {
			t.Errorf("stands at %+v", got)
		}
		provider := client(t, w.tenant.url, generous)
		w.service.Lookup, w.service.Changer = provider, provider
		w.clock.advance(time.Hour)
		if err := w.service.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.stepOut(t, a)
		w.gone(t, a)
		w.buried(t, a, "")
	})
}

func TestTheAddressOfADeletedUserMakesANewOne(t *testing.T) {
	t.Parallel()
	eachChange(t, func(t *testing.T, w *world, a accepted) {
		w.modes(t, func(m *simulator.Modes) { m.Uniqueness = simulator.UniqueBoth })
		w.leave(t, a, grace)
		meanwhile := w.acceptAs(t, a.email.String())
		w.carryOut(t, meanwhile)
		if n := len(w.tenant.Mailbox(a.email.String())); n != 1 {
			t.Errorf("%d mails within the grace", n)
		}
		w.stepOut(t, a)
		w.buried(t, a, "")
		w.tenant.forget()
		again := w.acceptAs(t, a.email.String())
		w.carryOut(t, again)
		w.check(t, again, state{directory.Invited, 1, "", true}, 1)
		if again.userID == a.userID || strings.EqualFold(string(again.externalID()), string(a.externalID())) {
			t.Error("an id is used again")
		}
		if n := len(w.tenant.Mailbox(a.email.String())); n != 2 {
			t.Errorf("%d mails", n)
		}
		w.buried(t, a, "")
		w.leave(t, again, 0) // and once more
		w.stepOut(t, again)
		w.buried(t, again, "")
		// A receipt from before is no different for it.
		for _, receipt := range []accepted{a, meanwhile} {
			record, err := w.store.FindSignup(t.Context(), receipt.hash)
			if err != nil || record.SettledAt.IsZero() {
				t.Errorf("the receipt says %+v, %v", record, err)
			}
		}
	})
}

func TestATombstoneSignsNobodyIn(t *testing.T) {
	t.Parallel()
	eachChange(t, func(t *testing.T, w *world, a accepted) {
		internalID := w.tenant.user(t, a.externalID()).InternalID
		w.leave(t, a, 0)
		w.stepOut(t, a)
		_, err := w.open(t, a, internalID)
		if !errors.Is(err, directory.ErrNotReady) {
			t.Errorf("got %v", err)
		}
		w.buried(t, a, "")
	})
}
