package store_test

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
	"github.com/portico-id/portico/internal/webhook"
)

// addEndpoint stores an endpoint that wants the events, or all.
func addEndpoint(t *testing.T, s *store.Store, events ...webhook.Type) webhook.Endpoint {
	t.Helper()
	e := webhook.Endpoint{
		ID: webhook.NewEndpointID(), URL: "https://app.example/hooks?token=canary", Events: events, Kind: webhook.Symmetric,
		Sealed: "sealed", Enabled: true, CreatedAt: moment, UpdatedAt: moment,
	}
	if err := s.CreateEndpoint(t.Context(), e, webhook.MaxEndpoints); err != nil {
		t.Fatal(err)
	}
	return e
}

// told returns the types and users of all events, oldest first.
func told(t *testing.T, db *store.DB) (events []string) {
	t.Helper()
	rows, err := db.SQL().QueryContext(t.Context(), `SELECT payload FROM webhook_events ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		var body struct {
			Type string
			Data struct{ Email, Status string }
		}
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			t.Fatal(err)
		}
		events = append(events, strings.TrimSpace(body.Type+" "+body.Data.Email+" "+body.Data.Status))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return events
}

// fanOut makes the deliveries of every event.
func fanOut(t *testing.T, db *store.DB, s *store.Store) {
	t.Helper()
	events, err := s.OverdueEvents(t.Context(), moment.Add(time.Hour), 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range events {
		if err := s.FanOut(t.Context(), id, moment); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, db, `SELECT COUNT(*) FROM webhook_events WHERE NOT fanned`); n != 0 {
		t.Fatalf("%d events are left", n)
	}
}

// deliveries returns those of an endpoint, newest first.
func deliveries(t *testing.T, s *store.Store, id webhook.EndpointID) []webhook.Delivery {
	t.Helper()
	found, err := s.ListDeliveries(t.Context(), id, webhook.Page{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func claim(t *testing.T, s *store.Store, id webhook.DeliveryID, now time.Time) webhook.Claim {
	t.Helper()
	c, err := s.ClaimDelivery(t.Context(), id, now, now.Add(time.Minute))
	if err != nil || !c.Mine {
		t.Fatalf("claim: %+v, %v", c.Delivery, err)
	}
	return c
}

func settle(t *testing.T, s *store.Store, c webhook.Claim, o webhook.Outcome) webhook.Turn {
	t.Helper()
	turn, err := s.SettleAttempt(t.Context(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	return turn
}

func TestEveryMoveIsToldWithWhatCausesIt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		enlist(t, s, "before@example.com") // when nobody wants to know
		addEndpoint(t, s)
		id := invite(t, s, "ada@example.com")
		if _, err := s.Activate(t.Context(), id, moment); err != nil {
			t.Fatal(err)
		}
		subject := begin(t, s, enlist(t, s, "bob@example.com"), moment.Add(time.Minute))
		if _, err := s.Refuse(t.Context(), subject, directory.Conflict, "conflict", moment); err != nil {
			t.Fatal(err)
		}
		got := strings.Join(told(t, db), "\n")
		want := "user.created ada@example.com received\nuser.invited ada@example.com invited\n" +
			"user.activated ada@example.com active\nuser.created bob@example.com received\nuser.conflict bob@example.com conflict"
		if got != want {
			t.Errorf("told is\n%s\nand not\n%s", got, want)
		}
		if n := count(t, db, `SELECT COUNT(*) FROM river_job WHERE kind = 'webhook_event'`); n != 5 {
			t.Errorf("%d jobs", n)
		}
	})
}

func TestWhatNoEndpointWantsIsNotWritten(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		addEndpoint(t, s, webhook.UserInvited)
		off := addEndpoint(t, s)
		disabled := false
		if _, err := s.UpdateEndpoint(t.Context(), off.ID, webhook.Change{Enabled: &disabled}, moment); err != nil {
			t.Fatal(err)
		}
		invite(t, s, "ada@example.com")
		if got := strings.Join(told(t, db), "\n"); got != "user.invited ada@example.com invited" {
			t.Errorf("told is\n%s", got)
		}
	})
}

func TestATransactionThatIsRolledBackTellsNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		addEndpoint(t, s)
		owner := invite(t, s, "ada@example.com")
		subject := begin(t, s, enlist(t, s, "bob@example.com"), moment.Add(time.Minute))
		before := len(told(t, db))
		if _, err := s.Invite(t.Context(), subject, identityOf(owner).InternalID, moment); err == nil {
			t.Fatal("two users have one internal_id")
		}
		if after := len(told(t, db)); after != before {
			t.Error("it is told all the same")
		}
	})
}

func TestAnEventIsFannedOutOnceToWhoWantsIt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		all, created := addEndpoint(t, s), addEndpoint(t, s, webhook.UserCreated)
		invited := addEndpoint(t, s, webhook.UserInvited)
		enlist(t, s, "ada@example.com")
		events, err := s.OverdueEvents(t.Context(), moment.Add(time.Hour), 10)
		if err != nil || len(events) != 1 {
			t.Fatal(events, err)
		}
		var together sync.WaitGroup
		for range 4 {
			together.Go(func() {
				if err := s.FanOut(t.Context(), events[0], moment); err != nil {
					t.Error(err)
				}
			})
		}
		together.Wait()
		for id, want := range map[webhook.EndpointID]int{all.ID: 1, created.ID: 1, invited.ID: 0} {
			if n := len(deliveries(t, s, id)); n != want {
				t.Errorf("%d deliveries, not %d", n, want)
			}
		}
		if n := count(t, db, `SELECT COUNT(*) FROM river_job WHERE kind = 'webhook_delivery'`); n != 2 {
			t.Errorf("%d jobs", n)
		}
		if err := s.FanOut(t.Context(), webhook.NewEventID(), moment); err != nil {
			t.Errorf("an event that is not there: %v", err)
		}
	})
}

func TestOneWorkerHasADelivery(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		e := addEndpoint(t, s)
		enlist(t, s, "ada@example.com")
		fanOut(t, db, s)
		id := deliveries(t, s, e.ID)[0].ID
		var mine sync.Map
		var together sync.WaitGroup
		for i := range 4 {
			together.Go(func() {
				c, err := s.ClaimDelivery(t.Context(), id, moment, moment.Add(time.Minute))
				if err != nil {
					t.Error(err)
				}
				if c.Mine {
					mine.Store(i, c)
				}
			})
		}
		together.Wait()
		var first webhook.Claim
		n := 0
		mine.Range(func(_, c any) bool { n++; first, _ = c.(webhook.Claim); return true })
		if n != 1 {
			t.Fatalf("%d workers have it", n)
		}
		// Its process dies; a minute later somebody else has it, and what the
		// first one still has to say counts no more.
		second := claim(t, s, id, moment.Add(time.Minute))
		settle(t, s, first, webhook.Outcome{At: moment, Status: webhook.Failed, Class: webhook.ClassGone, Disable: webhook.DisabledGone, Counts: true})
		settle(t, s, second, webhook.Outcome{At: moment, Status: webhook.Delivered, HTTPStatus: 204, Counts: true})
		d := deliveries(t, s, e.ID)[0]
		if d.Status != webhook.Delivered || d.Attempts != 1 || d.LastStatus != 204 {
			t.Errorf("the delivery is %+v", d)
		}
		if found, err := s.FindEndpoint(t.Context(), e.ID); err != nil || !found.Enabled {
			t.Errorf("the endpoint is disabled by a claim that was lost: %v", err)
		}
		if c, err := s.ClaimDelivery(t.Context(), id, moment.Add(time.Hour), moment.Add(2*time.Hour)); err != nil || c.Mine {
			t.Error("it is delivered and can be had again", err)
		}
	})
}

func TestAClaimThatIsGivenBackIsFreeAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		e := addEndpoint(t, s)
		enlist(t, s, "ada@example.com")
		fanOut(t, db, s)
		c := claim(t, s, deliveries(t, s, e.ID)[0].ID, moment)
		if err := s.ReleaseDelivery(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if again := claim(t, s, c.Delivery.ID, moment); again.Delivery.Attempts != 0 {
			t.Error("an attempt was counted")
		}
	})
}

func TestAnEndpointBeginsToFailAndRecoversOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		e := addEndpoint(t, s)
		enlist(t, s, "ada@example.com")
		fanOut(t, db, s)
		id := deliveries(t, s, e.ID)[0].ID
		for i, step := range []struct {
			class webhook.Class
			want  webhook.Turn
			since time.Time
		}{
			{webhook.ClassServer, webhook.Turn{Failing: true}, moment},
			{webhook.ClassTimeout, webhook.Turn{}, moment},
			{"", webhook.Turn{Recovered: true}, time.Time{}},
		} {
			at := moment.Add(time.Duration(i) * time.Hour)
			o := webhook.Outcome{At: at, Status: webhook.Pending, NextAt: at, Class: step.class, Counts: true}
			if step.class == "" {
				o.Status = webhook.Delivered
			}
			if turn := settle(t, s, claim(t, s, id, at), o); turn != step.want {
				t.Errorf("step %d: %+v", i, turn)
			}
			if found, err := s.FindEndpoint(t.Context(), e.ID); err != nil || !found.FailingSince.Equal(step.since) {
				t.Errorf("step %d: failing since %v, %v", i, found.FailingSince, err)
			}
		}
	})
}

func TestDisablingFailsWhatIsPendingAndReplayBringsItBack(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		e := addEndpoint(t, s)
		for _, address := range []string{"a@example.com", "b@example.com", "c@example.com"} {
			enlist(t, s, address)
		}
		fanOut(t, db, s)
		c := claim(t, s, deliveries(t, s, e.ID)[0].ID, moment)
		turn := settle(t, s, c, webhook.Outcome{
			At: moment, Status: webhook.Failed, Class: webhook.ClassGone, HTTPStatus: 410, Disable: webhook.DisabledGone, Counts: true,
		})
		if !turn.Disabled {
			t.Error("it is not disabled")
		}
		for _, d := range deliveries(t, s, e.ID) {
			if d.Status != webhook.Failed || d.SettledAt.IsZero() {
				t.Errorf("%+v", d)
			}
		}
		if _, err := s.ReplayDelivery(t.Context(), c.Delivery.ID, moment); !errors.Is(err, webhook.ErrDisabled) {
			t.Errorf("replay of one: %v", err)
		}
		if _, err := s.ReplayFailed(t.Context(), e.ID, moment, moment, 10); !errors.Is(err, webhook.ErrDisabled) {
			t.Errorf("replay of all: %v", err)
		}
		on := true
		found, err := s.UpdateEndpoint(t.Context(), e.ID, webhook.Change{Enabled: &on}, moment)
		if err != nil || !found.Enabled || found.DisabledBecause != "" || !found.FailingSince.IsZero() {
			t.Errorf("%+v, %v", found, err)
		}
		later := moment.Add(time.Hour)
		if n, err := s.ReplayFailed(t.Context(), e.ID, later, later, 10); n != 0 || err != nil {
			t.Errorf("%d are younger than the oldest that is asked for, %v", n, err)
		}
		first, err := s.ReplayFailed(t.Context(), e.ID, moment, later, 2)
		if err != nil {
			t.Fatal(err)
		}
		rest, err := s.ReplayFailed(t.Context(), e.ID, moment, later, 2)
		if first != 2 || rest != 1 || err != nil {
			t.Errorf("%d and %d are replayed, %v", first, rest, err)
		}
		for _, d := range deliveries(t, s, e.ID) {
			claim(t, s, d.ID, later)
		}
		if n := count(t, db, `SELECT COUNT(*) FROM river_job WHERE kind = 'webhook_delivery'`); n != 6 {
			t.Errorf("%d jobs", n)
		}
	})
}

func TestThereIsRoomForSoManyEndpoints(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		var refused sync.Map
		var together sync.WaitGroup
		for i := range 8 {
			together.Go(func() {
				err := s.CreateEndpoint(t.Context(), webhook.Endpoint{
					ID: webhook.NewEndpointID(), URL: "https://app.example/", Kind: webhook.Symmetric, Sealed: "x", Enabled: true,
				}, 3)
				if errors.Is(err, webhook.ErrTooMany) {
					refused.Store(i, true)
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		together.Wait()
		n := 0
		refused.Range(func(any, any) bool { n++; return true })
		if all, err := s.ListEndpoints(t.Context()); err != nil || len(all) != 3 || n != 5 {
			t.Errorf("%d endpoints and %d refused, %v", len(all), n, err)
		}
	})
}

func TestAnEndpointGoesWithItsDeliveries(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		e := addEndpoint(t, s)
		enlist(t, s, "ada@example.com")
		fanOut(t, db, s)
		c := claim(t, s, deliveries(t, s, e.ID)[0].ID, moment)
		if err := s.DeleteEndpoint(t.Context(), e.ID, moment); err != nil {
			t.Fatal(err)
		}
		settle(t, s, c, webhook.Outcome{At: moment, Status: webhook.Failed, Class: webhook.ClassGone, Disable: webhook.DisabledGone, Counts: true})
		if _, err := s.ClaimDelivery(t.Context(), c.Delivery.ID, moment, moment); !errors.Is(err, webhook.ErrDeliveryNotFound) {
			t.Error(err)
		}
		for what, err := range map[string]error{
			"delete": s.DeleteEndpoint(t.Context(), e.ID, moment),
			"find":   second(s.FindEndpoint(t.Context(), e.ID)),
			"update": second(s.UpdateEndpoint(t.Context(), e.ID, webhook.Change{}, moment)),
			"rotate": second(s.RotateSecret(t.Context(), e.ID, webhook.Rotation{})),
			"replay": second(s.ReplayFailed(t.Context(), e.ID, moment, moment, 1)),
			"test":   second(s.CreateTest(t.Context(), webhook.Event{ID: webhook.NewEventID()}, e.ID, moment)),
		} {
			if !errors.Is(err, webhook.ErrNotFound) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestOldEventsAreRemovedUnlessTheyAreStillToBeDelivered(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		e := addEndpoint(t, s)
		enlist(t, s, "ada@example.com")
		enlist(t, s, "bob@example.com")
		fanOut(t, db, s)
		c := claim(t, s, deliveries(t, s, e.ID)[0].ID, moment)
		settle(t, s, c, webhook.Outcome{At: moment, Status: webhook.Delivered, Counts: true})
		if n, err := s.PurgeWebhooks(t.Context(), moment, 10); n != 0 || err != nil {
			t.Errorf("%d that are not old enough, %v", n, err)
		}
		if n, err := s.PurgeWebhooks(t.Context(), moment.Add(time.Second), 10); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if left := deliveries(t, s, e.ID); len(left) != 1 || left[0].Status != webhook.Pending {
			t.Errorf("%+v", left)
		}
	})
}

func TestTheAuditSaysWhatWasDoneToAnEndpointWithoutItsTokens(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		e := addEndpoint(t, s)
		address := "https://other.example/secret-path"
		if _, err := s.UpdateEndpoint(t.Context(), e.ID, webhook.Change{URL: &address}, moment); err != nil {
			t.Fatal(err)
		}
		if _, err := s.RotateSecret(t.Context(), e.ID, webhook.Rotation{Sealed: "canary-new", PreviousUntil: moment, At: moment}); err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteEndpoint(t.Context(), e.ID, moment); err != nil {
			t.Fatal(err)
		}
		for _, action := range []string{webhook.ActionCreated, webhook.ActionUpdated, webhook.ActionRotated, webhook.ActionDeleted} {
			if n := count(t, db, `SELECT COUNT(*) FROM audit_events WHERE action = '`+action+`' AND target_id = '`+string(e.ID)+`'`); n != 1 {
				t.Errorf("%s is told %d times", action, n)
			}
		}
		if n := count(t, db, `SELECT COUNT(*) FROM audit_events WHERE CAST(before AS text) LIKE '%canary%'
			OR CAST(after AS text) LIKE '%canary%' OR CAST(after AS text) LIKE '%secret-path%'`); n != 0 {
			t.Error("the audit holds a token")
		}
	})
}
