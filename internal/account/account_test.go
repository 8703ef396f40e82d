package account_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/store/storetest"
)

// refused fails unless err is a StatusError of the status.
func refused(t *testing.T, err error, status directory.Status) {
	t.Helper()
	if e, ok := errors.AsType[*account.StatusError](err); !ok || e.Status != status {
		t.Errorf("a user who is %s: %v", status, err)
	}
}

func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, not %v", err, want)
	}
}

func asAdmin(t *testing.T) context.Context {
	t.Helper()
	return audit.With(t.Context(), audit.Origin{Actor: "admin:ops"})
}

// acting are the ways to change a user who must be in a status for it.
func acting(w *world, version int64) map[string]func(ctx context.Context, id directory.UserID) (directory.User, error) {
	name := "Anna Other"
	return map[string]func(ctx context.Context, id directory.UserID) (directory.User, error){
		"update": func(ctx context.Context, id directory.UserID) (directory.User, error) {
			return w.accounts.Update(ctx, id, account.Change{DisplayName: &name}, version)
		},
		"suspend": func(ctx context.Context, id directory.UserID) (directory.User, error) {
			return w.accounts.Suspend(ctx, id, version)
		},
		"restore": func(ctx context.Context, id directory.UserID) (directory.User, error) {
			return w.accounts.Restore(ctx, id, version)
		},
		"delete": func(ctx context.Context, id directory.UserID) (directory.User, error) {
			return w.accounts.Delete(ctx, id, grace, version)
		},
		"resend": w.accounts.Resend,
		"retry":  w.accounts.Retry,
		"adopt": func(ctx context.Context, id directory.UserID) (directory.User, error) {
			return w.accounts.Adopt(ctx, id, "int-there", version)
		},
	}
}

// becomes says what each status allows, and what a user is afterwards.
var becomes = map[string]map[directory.Status]directory.Status{
	"update": {
		directory.Received: directory.Received, directory.Provisioning: directory.Provisioning, directory.Invited: directory.Invited,
		directory.Active: directory.Active, directory.Suspended: directory.Suspended, directory.Failed: directory.Failed,
		directory.Conflict: directory.Conflict,
	},
	"suspend": {
		directory.Invited: directory.Suspended, directory.Active: directory.Suspended, directory.Suspended: directory.Suspended,
	},
	"restore": {directory.Suspended: directory.Active, directory.Deleting: directory.Active},
	"delete": {
		directory.Received: directory.Deleting, directory.Provisioning: directory.Deleting, directory.Invited: directory.Deleting,
		directory.Active: directory.Deleting, directory.Suspended: directory.Deleting, directory.Failed: directory.Deleting,
		directory.Conflict: directory.Deleting,
	},
	"resend": {directory.Invited: directory.Invited},
	"retry":  {directory.Failed: directory.Provisioning, directory.Conflict: directory.Provisioning},
	"adopt":  {directory.Conflict: directory.Provisioning},
}

func TestASVS_2_3_1_WhatEachStatusAllows(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		for what, act := range acting(w, account.AnyVersion) {
			for _, status := range directory.Statuses() {
				user := w.user(what+"."+string(status)+"@example.com", status)
				after, err := act(t.Context(), user.ID)
				next, allowed := becomes[what][status]
				switch {
				case status == directory.Deleted:
					is(t, err, account.ErrNotFound)
				case !allowed:
					refused(t, err, status)
				case err != nil || after.Status != next || after != w.get(user.ID):
					t.Errorf("%s of a user who is %s: %+v, %v", what, status, after, err)
				}
				if !allowed && (w.get(user.ID) != user || len(w.jobs()) > 0 || len(w.audited(user.ID)) > 0) {
					t.Errorf("%s of a user who is %s has left something, although it was refused", what, status)
				}
			}
		}
	})
}

func TestChangesOfWhomThereIsNot(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		for _, id := range []directory.UserID{directory.NewUserID(), "", "x", "0192F0C1-2345-7ABC-8DEF-0123456789AB", "'; --"} {
			if _, err := w.accounts.Get(t.Context(), id); !errors.Is(err, account.ErrNotFound) {
				t.Errorf("get %q: %v", id, err)
			}
			for what, act := range acting(w, account.AnyVersion) {
				if _, err := act(t.Context(), id); !errors.Is(err, account.ErrNotFound) {
					t.Errorf("%s %q: %v", what, id, err)
				}
			}
		}
	})
}

func TestAVersionThatIsNotTheCurrentOneChangesNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		for what, status := range map[string]directory.Status{
			"update": directory.Active, "suspend": directory.Active, "restore": directory.Suspended,
			"delete": directory.Active, "adopt": directory.Conflict,
		} {
			user := w.user(what+"@example.com", status)
			for _, version := range []int64{user.Version - 1, user.Version + 1, -1} {
				if _, err := acting(w, version)[what](t.Context(), user.ID); !errors.Is(err, account.ErrVersion) {
					t.Errorf("%s at %d: %v", what, version, err)
				}
			}
			if w.get(user.ID) != user || len(w.jobs()) > 0 {
				t.Errorf("%s has left something", what)
			}
			after, err := acting(w, user.Version)[what](t.Context(), user.ID)
			if err != nil || after.Version <= user.Version {
				t.Errorf("%s: version %d after %d, %v", what, after.Version, user.Version, err)
			}
		}
	})
}

func TestAnUpdate(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		policy, err := directory.ParsePolicy(directory.PolicySettings{Block: []string{"blocked.example"}})
		if err != nil {
			t.Fatal(err)
		}
		w.accounts.Policy = policy
		w.user("bert@example.com", directory.Active)
		text := func(s string) *string { return &s }
		for _, test := range []struct {
			name    string
			change  account.Change
			carried bool
			want    error
		}{
			{"of the display name is carried to the provider", account.Change{DisplayName: text("Anna B.")}, true, nil},
			{"of the address is carried to the provider", account.Change{Email: text("Anna.B@Example.com")}, true, nil},
			{"of the address' spelling is one", account.Change{Email: text("ANNA@example.com")}, true, nil},
			{"of the language stays here", account.Change{Locale: text("fr")}, false, nil},
			{"to another's address is refused", account.Change{Email: text("Bert@example.com")}, false, account.ErrEmailTaken},
			{"to what is no address is refused", account.Change{Email: text("anna@")}, false, directory.ErrEmail},
			{"to an address that is not admitted is refused", account.Change{Email: text("anna@blocked.example")}, false, directory.ErrEmailBlocked},
		} {
			t.Run(test.name, func(t *testing.T) {
				w := w.in(t)
				w.exec(`DELETE FROM users WHERE email_canonical LIKE 'anna%'`)
				user := w.user("anna@example.com", directory.Invited)
				after, err := w.accounts.Update(asAdmin(t), user.ID, test.change, user.Version)
				is(t, err, test.want)
				now := w.get(user.ID)
				if test.want != nil {
					if now != user || len(w.jobs()) > 0 || len(w.audited(user.ID)) > 0 {
						t.Errorf("it has left %+v, %q, %q", now, w.jobs(), w.audited(user.ID))
					}
					return
				}
				if after != now || now.Version <= user.Version {
					t.Errorf("it answers %+v, and it is %+v", after, now)
				}
				if carried := now.Sync == directory.SyncPending && slices.Equal(w.jobs(), []string{"change"}); carried != test.carried {
					t.Errorf("sync is %s, the jobs are %q", now.Sync, w.jobs())
				}
				if got := w.audited(user.ID); !slices.Equal(got, []string{"admin:ops user.updated"}) {
					t.Errorf("the audit says %q", got)
				}
				again, err := w.accounts.Update(asAdmin(t), user.ID, test.change, account.AnyVersion)
				if err != nil || again != now || len(w.audited(user.ID)) != 1 {
					t.Errorf("the same again is a change: %+v, %v", again, err)
				}
			})
		}
	})
}

func TestASuspension(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		user := w.user("anna@example.com", directory.Active)
		if _, err := w.accounts.Suspend(t.Context(), user.ID, user.Version); err != nil {
			t.Fatal(err)
		}
		t.Run("ASVS-7.4.2 ends the user's sessions at once", func(t *testing.T) {
			if n := w.count(`SELECT count(*) FROM sessions`); n != 0 {
				t.Errorf("%d are left", n)
			}
			is(t, w.logIn(user.ID), directory.ErrSuspended)
		})
		t.Run("is nothing that the provider has to know", func(t *testing.T) {
			w := w.in(t)
			if now := w.get(user.ID); now.Sync != directory.SyncSynced || len(w.jobs()) > 0 {
				t.Errorf("sync is %s, the jobs are %q", now.Sync, w.jobs())
			}
		})
		t.Run("of who is suspended is none", func(t *testing.T) {
			w := w.in(t)
			now := w.get(user.ID)
			if again, err := w.accounts.Suspend(t.Context(), user.ID, now.Version); err != nil || again != now {
				t.Errorf("%+v, %v", again, err)
			}
			if got := w.audited(user.ID); !slices.Equal(got, []string{"portico user.suspended"}) {
				t.Errorf("the audit says %q", got)
			}
		})
		t.Run("is undone by a restoration", func(t *testing.T) {
			w := w.in(t)
			if now, err := w.accounts.Restore(t.Context(), user.ID, account.AnyVersion); err != nil || now.Status != directory.Active {
				t.Errorf("%+v, %v", now, err)
			}
			is(t, w.logIn(user.ID), nil)
		})
		t.Run("of an invited user leads back to invited", func(t *testing.T) {
			w := w.in(t)
			bert := w.user("bert@example.com", directory.Invited)
			_, err := w.accounts.Suspend(t.Context(), bert.ID, account.AnyVersion)
			is(t, err, nil)
			if now, err := w.accounts.Restore(t.Context(), bert.ID, account.AnyVersion); err != nil || now.Status != directory.Invited {
				t.Errorf("%+v, %v", now, err)
			}
		})
	})
}

func TestADeletion(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		t.Run("ASVS-7.4.2 ends the sessions at once, and is carried out when its grace period is over", func(t *testing.T) {
			w := w.in(t)
			user := w.user("anna@example.com", directory.Active)
			now, err := w.accounts.Delete(t.Context(), user.ID, grace, user.Version)
			if err != nil || now.Status != directory.Deleting || !now.DeleteAfter.Equal(moment.Add(grace)) || now.Sync != directory.SyncPending {
				t.Errorf("%+v, %v", now, err)
			}
			if !slices.Equal(w.jobs(), []string{"change"}) || w.count(`SELECT count(*) FROM sessions`) != 0 {
				t.Errorf("the jobs are %q", w.jobs())
			}
			is(t, w.logIn(user.ID), directory.ErrDeleting)
		})
		t.Run("can be undone until then, and not from then on", func(t *testing.T) {
			w := w.in(t)
			user := w.user("bert@example.com", directory.Deleting)
			w.at = moment.Add(grace - time.Microsecond)
			now, err := w.accounts.Restore(t.Context(), user.ID, user.Version)
			if err != nil || now.Status != directory.Active || !now.DeleteAfter.IsZero() {
				t.Errorf("%+v, %v", now, err)
			}
			is(t, w.logIn(user.ID), nil)
			if !slices.Equal(w.jobs(), []string{"change"}) {
				t.Errorf("the jobs are %q", w.jobs())
			}
			w.at = moment
			user = w.user("carl@example.com", directory.Deleting)
			w.at = moment.Add(grace)
			_, err = w.accounts.Restore(t.Context(), user.ID, user.Version)
			refused(t, err, directory.Deleting)
		})
		t.Run("that is undone lets nobody in who was suspended before", func(t *testing.T) {
			w := w.in(t)
			user := w.user("hans@example.com", directory.Active)
			_, err := w.accounts.Suspend(t.Context(), user.ID, account.AnyVersion)
			is(t, err, nil)
			_, err = w.accounts.Delete(t.Context(), user.ID, grace, account.AnyVersion)
			is(t, err, nil)
			now, err := w.accounts.Restore(t.Context(), user.ID, account.AnyVersion)
			if err != nil || now.Status != directory.Suspended || now.SuspendedAt.IsZero() || !now.DeleteAfter.IsZero() {
				t.Errorf("%+v, %v", now, err)
			}
			is(t, w.logIn(user.ID), directory.ErrSuspended)
			now, err = w.accounts.Restore(t.Context(), user.ID, account.AnyVersion)
			if err != nil || now.Status != directory.Active || !now.SuspendedAt.IsZero() {
				t.Errorf("%+v, %v", now, err)
			}
			is(t, w.logIn(user.ID), nil)
		})
		t.Run("of a user whom the provider does not have leads back to provisioning", func(t *testing.T) {
			w := w.in(t)
			user := w.user("dora@example.com", directory.Failed)
			_, err := w.accounts.Delete(t.Context(), user.ID, grace, account.AnyVersion)
			is(t, err, nil)
			w.exec(`DELETE FROM river_job`)
			if now, err := w.accounts.Restore(t.Context(), user.ID, account.AnyVersion); err != nil || now.Status != directory.Provisioning {
				t.Errorf("%+v, %v", now, err)
			}
			if !slices.Equal(w.jobs(), []string{"enrol"}) {
				t.Errorf("the jobs are %q", w.jobs())
			}
		})
		t.Run("and so does a suspension of one whom the provider has lost meanwhile", func(t *testing.T) {
			w := w.in(t)
			user := w.user("gero@example.com", directory.Suspended)
			w.exec(`UPDATE users SET internal_id = NULL WHERE id = '` + string(user.ID) + `'`)
			w.exec(`DELETE FROM river_job`)
			if now, err := w.accounts.Restore(t.Context(), user.ID, account.AnyVersion); err != nil || now.Status != directory.Provisioning {
				t.Errorf("%+v, %v", now, err)
			}
			if !slices.Equal(w.jobs(), []string{"enrol"}) {
				t.Errorf("the jobs are %q", w.jobs())
			}
		})
		t.Run("can be brought forward, and not put off", func(t *testing.T) {
			w := w.in(t)
			user := w.user("emil@example.com", directory.Deleting)
			_, err := w.accounts.Delete(t.Context(), user.ID, grace+1, account.AnyVersion)
			refused(t, err, directory.Deleting)
			now, err := w.accounts.Delete(t.Context(), user.ID, -time.Hour, user.Version)
			if err != nil || !now.DeleteAfter.Equal(moment) {
				t.Errorf("%+v, %v", now, err)
			}
			if got := w.audited(user.ID); !slices.Equal(got, []string{"portico user.deletion_hastened"}) || !slices.Equal(w.jobs(), []string{"change"}) {
				t.Errorf("the audit says %q, the jobs are %q", got, w.jobs())
			}
		})
	})
}

func TestAnInvitation(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		user, err := w.accounts.Invite(asAdmin(t), account.Invitation{Email: "Anna@example.com", DisplayName: "Anna", Locale: "de"})
		if err != nil {
			t.Fatal(err)
		}
		if user != w.get(user.ID) || user.Status != directory.Received || user.Origin != directory.FromAdmin ||
			user.ExternalID != directory.ExternalID(user.ID) || user.Email.Canonical() != "anna@example.com" {
			t.Errorf("the user is %+v", user)
		}
		if !slices.Equal(w.jobs(), []string{"enrol"}) || !slices.Equal(w.audited(user.ID), []string{"admin:ops user.received"}) {
			t.Errorf("the jobs are %q, the audit says %q", w.jobs(), w.audited(user.ID))
		}
		_, err = w.accounts.Invite(asAdmin(t), account.Invitation{Email: "bert@example.com", ExternalID: "hr-7"})
		is(t, err, nil)
		_, err = w.accounts.Invite(asAdmin(t), account.Invitation{Email: "ANNA@example.com"})
		is(t, err, account.ErrEmailTaken)
		_, err = w.accounts.Invite(asAdmin(t), account.Invitation{Email: "carl@example.com", ExternalID: "hr-7"})
		is(t, err, account.ErrExternalIDTaken)
		_, err = w.accounts.Invite(asAdmin(t), account.Invitation{Email: "carl"})
		is(t, err, directory.ErrEmail)
		if n := len(w.jobs()); n != 2 {
			t.Errorf("%d jobs for two users", n)
		}
	})
}

func TestWhatHasFailedIsTriedAgain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		t.Run("a user whom the provider refused", func(t *testing.T) {
			w := w.in(t)
			user := w.user("anna@example.com", directory.Failed)
			w.exec(`UPDATE users SET provision_last_error_class = 'rejected' WHERE id = $1`, string(user.ID))
			now, err := w.accounts.Retry(t.Context(), user.ID)
			if err != nil || now.Status != directory.Provisioning || now.LastClass != "" || !slices.Equal(w.jobs(), []string{"enrol"}) {
				t.Errorf("%+v, %v, %q", now, err, w.jobs())
			}
		})
		t.Run("a change that the provider refused", func(t *testing.T) {
			w := w.in(t)
			user := w.user("bert@example.com", directory.Active)
			w.exec(`UPDATE users SET sync = 'failed', sync_error_class = 'rejected' WHERE id = $1`, string(user.ID))
			now, err := w.accounts.Retry(t.Context(), user.ID)
			if err != nil || now.Status != directory.Active || now.Sync != directory.SyncPending || now.SyncClass != "" ||
				!slices.Equal(w.jobs(), []string{"change"}) {
				t.Errorf("%+v, %v, %q", now, err, w.jobs())
			}
		})
		t.Run("a conflict, in favour of whom the operator names", func(t *testing.T) {
			w := w.in(t)
			user := w.user("carl@example.com", directory.Conflict)
			now, err := w.accounts.Adopt(t.Context(), user.ID, "int-there", user.Version)
			if err != nil || now.Status != directory.Provisioning || !slices.Equal(w.jobs(), []string{"enrol"}) {
				t.Errorf("%+v, %v, %q", now, err, w.jobs())
			}
			if n := w.count(`SELECT count(*) FROM users WHERE adopt_internal_id = 'int-there' AND NOT made_there`); n != 1 {
				t.Errorf("%d users are to be taken over", n)
			}
		})
		t.Run("not in favour of whom another user here is", func(t *testing.T) {
			w := w.in(t)
			other, user := w.user("dora@example.com", directory.Active), w.user("emil@example.com", directory.Conflict)
			_, err := w.accounts.Adopt(t.Context(), user.ID, other.InternalID, account.AnyVersion)
			is(t, err, account.ErrInternalIDTaken)
		})
	})
}
