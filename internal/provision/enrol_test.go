package provision_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/gate"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

// newcomer is a user who is made here without a sign-up.
type newcomer struct {
	origin     directory.Origin
	externalID string // empty for their own id
	adopt      bool
	adoptID    string
	status     directory.Status // empty for received
}

// make makes a user as an administrator or an import does.
func (w *world) make(t *testing.T, n newcomer) accepted {
	t.Helper()
	id := directory.NewUserID()
	email, err := directory.ParseEmail("imke." + uuid.NewString() + "@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if n.externalID == "" {
		n.externalID = string(id)
	}
	if n.status == "" {
		n.status = directory.Received
	}
	w.exec(t, `
		INSERT INTO users (id, external_id, email, email_canonical, display_name, status, origin, adopt, adopt_internal_id, created_at, updated_at)
		VALUES ($1, $2, $3, $4, 'Imke', $5, $6, $7, $8, $9, $9)`,
		string(id), n.externalID, email.String(), email.Canonical(), string(n.status), string(n.origin), n.adopt,
		sql.NullString{String: n.adoptID, Valid: n.adoptID != ""}, w.clock.now())
	return accepted{userID: id, email: email, as: directory.ExternalID(n.externalID)}
}

// key is an external_id as another directory makes them.
func key() string { return "EMP/" + uuid.NewString() }

// enrolOut carries the user as the job enrol does, until nothing is left to do.
func (w *world) enrolOut(t *testing.T, a accepted) time.Duration {
	t.Helper()
	begun := w.clock.now()
	for range 1000 {
		again, err := w.service.CarryUser(t.Context(), a.userID)
		if err != nil {
			t.Fatal(err)
		}
		if again == 0 {
			return w.clock.now().Sub(begun)
		}
		w.clock.advance(again)
	}
	t.Fatalf("not carried after %s:\n%s", w.clock.now().Sub(begun), w.log)
	return 0
}

// came is how a user without a sign-up has come to be, as it is stored.
type came struct {
	status    directory.Status
	class     string
	madeThere bool
	sync      directory.Sync
}

func (w *world) came(t *testing.T, a accepted) came {
	t.Helper()
	subject, err := w.store.FindUserSubject(t.Context(), a.userID)
	if err != nil {
		t.Fatal(err)
	}
	return came{subject.User.Status, subject.User.LastClass, subject.MadeThere, subject.User.Sync}
}

// enrolled fails the test unless the user has come to be as wanted, and the
// audit tells it in legal moves.
func (w *world) enrolled(t *testing.T, a accepted, want came) {
	t.Helper()
	if got := w.came(t, a); got != want {
		t.Errorf("stands at %+v, not %+v, after %q\n%s", got, want, w.tenant.trace(), w.log)
	}
	rows, err := w.db.SQL().QueryContext(t.Context(), `
		SELECT from_status, to_status FROM audit_events WHERE user_id = $1 AND to_status IS NOT NULL ORDER BY id`, string(a.userID))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var from, to directory.Status
		if err := rows.Scan(&from, &to); err != nil {
			t.Fatal(err)
		}
		if !from.CanBecome(to) {
			t.Errorf("the audit has a move from %s to %s", from, to)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

func TestAUserWithoutASignupIsCarriedLikeOneWith(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		for _, origin := range []directory.Origin{directory.FromAdmin, directory.FromImport} {
			for name, test := range map[string]struct {
				effect simulator.Effect
				want   came
				mails  int
			}{
				"a success":                 {simulator.Effect{Status: 200, Commit: simulator.CommitBefore, DelayMS: 1}, came{directory.Invited, "", true, directory.SyncSynced}, 1},
				"a limit":                   {simulator.Effect{Status: 429}, came{directory.Invited, "", true, directory.SyncSynced}, 1},
				"an error that did nothing": {simulator.Effect{Status: 503}, came{directory.Invited, "", true, directory.SyncSynced}, 1},
				"an error that happened":    {simulator.Effect{Drop: true, Commit: simulator.CommitBefore}, came{directory.Invited, "", true, directory.SyncSynced}, 1},
				"a refusal":                 {simulator.Effect{Status: 422}, came{directory.Failed, "rejected", true, directory.SyncSynced}, 0},
			} {
				t.Run(string(origin)+", "+name, func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, db, lookup)
					a := w.make(t, newcomer{origin: origin})
					if name != "a success" {
						w.fault(t, once(test.effect))
					}
					w.enrolOut(t, a)
					w.enrolled(t, a, test.want)
					if mails := len(w.tenant.Mailbox(a.email.String())); lookup && mails != test.mails {
						t.Errorf("%d mails", mails)
					}
					if again := w.enrolOut(t, a); again != 0 {
						t.Errorf("goes on for %s", again)
					}
				})
			}
		}
	})
}

func TestAnImportWhoseKeyTheProviderHasIsTakenOverOrNot(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db := storetest.Open(t, databaseURL)
		for name, test := range map[string]struct {
			adopt, enrolled bool
			want            came
		}{
			"as it was not asked for":           {false, true, came{directory.Conflict, "already_there", true, directory.SyncSynced}},
			"as one who is still to enrol":      {true, false, came{directory.Invited, "", false, directory.SyncPending}},
			"as one who has a passkey, and all": {true, true, came{directory.Active, "", false, directory.SyncPending}},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, db, true)
				w.modes(t, func(m *simulator.Modes) { m.Uniqueness = simulator.UniqueNone })
				external := key()
				w.put(t, directory.ExternalID(external), "old."+external[4:]+"@example.com")
				if test.enrolled {
					w.tenant.enrol(t, "old."+external[4:]+"@example.com")
				}
				a := w.make(t, newcomer{origin: directory.FromImport, externalID: external, adopt: test.adopt})
				w.enrolOut(t, a)
				w.enrolled(t, a, test.want)
				w.traced(t, "find")
				if n := len(w.tenant.Mailbox(a.email.String())); n != 0 {
					t.Errorf("%d mails", n)
				}
				if !test.adopt {
					w.exec(t, `UPDATE users SET status = 'provisioning', adopt = $1 WHERE id = $2`, true, string(a.userID)) // and tries again
					w.enrolOut(t, a)
				}
				w.stepOut(t, a)
				w.carried(t, a, isSynced, "Imke")
				w.leave(t, a, 0)
				w.stepOut(t, a)
				w.buried(t, a, "left_at_provider")
				if len(w.tenant.live()) != 1 {
					t.Error("the provider's own user is gone")
				}
			})
		}
	})
}

func TestAnImportThatDiffersInNothingIsTakenOverWithoutAChange(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, storetest.Open(t, databaseURL), true)
		external := key()
		a := w.make(t, newcomer{origin: directory.FromImport, externalID: external, adopt: true})
		w.put(t, directory.ExternalID(external), a.email.String())
		w.exec(t, `UPDATE users SET display_name = 'Put' WHERE id = $1`, string(a.userID))
		w.enrolOut(t, a)
		w.enrolled(t, a, came{directory.Invited, "", false, directory.SyncSynced})
		if n := w.jobs(t, "change", a); n != 0 {
			t.Errorf("%d jobs", n)
		}
	})
}

func TestALookBeforeTheFirstCreateGoesAsItsAnswerSays(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db := storetest.Open(t, databaseURL)
		for name, test := range map[string]struct {
			external string
			begin    func(t *testing.T, w *world, external string)
			want     came
			trace    string
		}{
			"nobody is there":           {"", nil, came{directory.Invited, "", true, directory.SyncSynced}, "find create"},
			"it proves nothing":         {"", func(t *testing.T, w *world, _ string) { w.next(t, onFind, simulator.Effect{Status: 503}) }, came{directory.Invited, "", true, directory.SyncSynced}, "find create"},
			"a key cannot be looked up": {`a"b` + uuid.NewString(), nil, came{directory.Failed, "rejected", true, directory.SyncSynced}, ""},
			"several are there": {"", func(t *testing.T, w *world, external string) {
				w.modes(t, func(m *simulator.Modes) { m.Uniqueness = simulator.UniqueNone })
				w.put(t, directory.ExternalID(external), "one@example.com")
				w.put(t, directory.ExternalID(external), "two@example.com")
			}, came{directory.Conflict, "duplicate", true, directory.SyncSynced}, "find"},
			"somebody comes in between": {"", func(t *testing.T, w *world, external string) {
				w.tenant.onAnswer(func(op string) {
					if op == "find" {
						w.tenant.onAnswer(nil)
						w.put(t, directory.ExternalID(external), "between@example.com")
					}
				})
			}, came{directory.Conflict, "already_there", true, directory.SyncSynced}, "create find"},
			"the address is another's": {"", func(t *testing.T, w *world, external string) {
				w.modes(t, func(m *simulator.Modes) { m.Uniqueness = simulator.UniqueBoth })
				w.next(t, onCreate, simulator.Effect{Status: 409})
			}, came{directory.Conflict, "conflict", true, directory.SyncSynced}, "find create find"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, db, true)
				if test.external == "" {
					test.external = key()
				}
				if test.begin != nil {
					test.begin(t, w, test.external)
				}
				a := w.make(t, newcomer{origin: directory.FromImport, externalID: test.external})
				w.enrolOut(t, a)
				w.enrolled(t, a, test.want)
				w.traced(t, test.trace)
			})
		}
	})
}

// Nobody whom the provider had before us is ever deleted there, or gets a mail
// that may cost them their passkeys.
func TestAConflictOverAKeyFromElsewhereLeavesWhoWasThereAlone(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		w := newWorld(t, db, lookup)
		w.modes(t, func(m *simulator.Modes) { m.Uniqueness = simulator.UniqueBoth })
		external := key()
		w.put(t, directory.ExternalID(external), "before@example.com")
		a := w.make(t, newcomer{origin: directory.FromImport, externalID: external})
		for range 3 { // which an operator tries again and again
			w.enrolOut(t, a)
			if got := w.came(t, a); got.status != directory.Conflict {
				t.Errorf("stands at %+v", got)
			}
			w.exec(t, `UPDATE users SET status = 'provisioning' WHERE id = $1`, string(a.userID))
		}
		w.leave(t, a, 0)
		w.stepOut(t, a)
		w.buried(t, a, "")
		if len(w.tenant.live()) != 1 || len(w.tenant.Mailbox("before@example.com")) != 1 {
			t.Errorf("the provider has %v", w.tenant.live())
		}
	})
}

func TestAnOperatorNamesWhoTheUserIsThere(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db := storetest.Open(t, databaseURL)
		for name, test := range map[string]struct {
			begin func(t *testing.T, w *world)
			id    string // empty for the one who is there
			want  came
			trace string
		}{
			"and it is so":          {nil, "", came{directory.Invited, "", false, directory.SyncPending}, "update"},
			"and there is none":     {nil, "nobody", came{directory.Conflict, "not_found", true, directory.SyncSynced}, "update"},
			"and it is refused":     {func(t *testing.T, w *world) { w.next(t, onUpdate, simulator.Effect{Status: 409}) }, "", came{directory.Conflict, "conflict", true, directory.SyncSynced}, "update"},
			"and it is not allowed": {func(t *testing.T, w *world) { w.next(t, onUpdate, simulator.Effect{Status: 401}) }, "", came{directory.Invited, "", false, directory.SyncPending}, "update update"},
			"and the answer is lost": {func(t *testing.T, w *world) {
				w.next(t, onUpdate, simulator.Effect{Drop: true, Commit: simulator.CommitBefore})
			}, "", came{directory.Invited, "", false, directory.SyncPending}, "update update"},
			"and nothing can be changed": {func(_ *testing.T, w *world) { w.service.Changer = nil }, "", came{directory.Conflict, "unsupported_by_provider", true, directory.SyncSynced}, ""},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, db, true)
				address := "there." + uuid.NewString() + "@example.com"
				w.put(t, directory.ExternalID(key()), address)
				if test.id == "" {
					test.id = w.tenant.Users()[0].InternalID
				}
				if test.begin != nil {
					test.begin(t, w)
				}
				a := w.make(t, newcomer{origin: directory.FromSignup, adoptID: test.id, status: directory.Provisioning})
				w.enrolOut(t, a)
				w.enrolled(t, a, test.want)
				w.traced(t, test.trace)
				if n := len(w.tenant.Mailbox(address)) + len(w.tenant.Mailbox(a.email.String())); n != 1 {
					t.Errorf("%d mails", n)
				}
				if test.want.status != directory.Invited {
					return
				}
				w.stepOut(t, a)
				w.carried(t, a, isSynced, "Imke")
				if got := w.tenant.user(t, a.externalID()); got.InternalID != test.id || got.Email != a.email.String() {
					t.Errorf("is %+v there", got)
				}
			})
		}
	})
}

func TestOneWhoIsAlreadyAnotherIsNotTakenOver(t *testing.T) {
	t.Parallel()
	eachChange(t, func(t *testing.T, w *world, other accepted) {
		internalID := w.tenant.user(t, other.externalID()).InternalID
		a := w.make(t, newcomer{origin: directory.FromImport, externalID: key(), adopt: true})
		w.put(t, a.externalID(), "third@example.com")
		w.exec(t, `UPDATE users SET internal_id = $1 WHERE id = $2`, w.tenant.user(t, a.externalID()).InternalID, string(other.userID))
		w.enrolOut(t, a)
		w.enrolled(t, a, came{directory.Conflict, "internal_id_taken", true, directory.SyncSynced})
		if internalID == "" {
			t.Error("the other has no id there")
		}
	})
}

func TestImportsAndInvitationsWaitInTheirOwnLanes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, storetest.Open(t, databaseURL), true)
		w.gate.PerMinute = 40
		left := 0
		for ; ; left++ { // until imports may take no more
			if _, err := w.gate.Admit(t.Context(), gate.Import); err != nil {
				break
			}
		}
		if left == 0 || left >= 40 {
			t.Fatalf("imports may take %d", left)
		}
		imported := w.make(t, newcomer{origin: directory.FromImport})
		if again, err := w.service.CarryUser(t.Context(), imported.userID); again <= 0 || err != nil {
			t.Errorf("an import goes before others: %s, %v", again, err)
		}
		invited := w.make(t, newcomer{origin: directory.FromAdmin})
		if again, err := w.service.CarryUser(t.Context(), invited.userID); again != 0 || err != nil {
			t.Errorf("an invitation waits for imports: %s, %v", again, err)
		}
		w.traced(t, "create")
		w.enrolOut(t, imported)
		w.traced(t, "create create")
	})
}
