package webhook_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/portico-id/portico/internal/keyring"
	"github.com/portico-id/portico/internal/store/storetest"
	"github.com/portico-id/portico/internal/webhook"
)

// verifies holds what was received against a shared secret, by the reference
// library, whatever the time is.
func verifies(t *testing.T, r received, secret webhook.Secret) bool {
	t.Helper()
	reference, err := standardwebhooks.NewWebhook(secret.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	return reference.VerifyIgnoringTimestamp(r.body, r.header) == nil
}

func TestADeliveryIsTriedOnThePublishedSchedule(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		e, secret := w.endpoint(webhook.Symmetric)
		d := w.happens(e.ID)
		w.receiver.says(status(http.StatusInternalServerError))
		var at []string
		for {
			at = append(at, w.clock.now().Sub(moment).String())
			again := w.deliver(d)
			if again == 0 {
				break
			}
			// Whoever comes too early is sent away.
			w.clock.forward(again - time.Millisecond)
			if early := w.deliver(d); early != 10*time.Millisecond {
				t.Fatalf("after %v it is tried again %v too early", at, early)
			}
			w.clock.forward(time.Millisecond)
		}
		if got := strings.Join(at, " "); got != "0s 5s 5m5s 35m5s 2h35m5s 7h35m5s 17h35m5s 31h35m5s 51h35m5s 75h35m5s" {
			t.Errorf("it is tried after %s", got)
		}
		if found := w.find(d); found.Status != webhook.Failed || found.Attempts != 10 || found.LastStatus != 500 || found.LastClass != webhook.ClassServer {
			t.Errorf("it is %+v", found)
		}
		stamps := make(map[string]bool)
		for _, r := range w.receiver.all() {
			stamps[r.header.Get("webhook-timestamp")] = true
			if r.header.Get("webhook-id") != d.Event.Message() || !verifies(t, r, secret) {
				t.Errorf("%v does not verify, or under another id", r.header)
			}
		}
		if len(stamps) != 10 {
			t.Errorf("there are %d times of sending", len(stamps))
		}
		w.replaysFrom(d)
	})
}

// replaysFrom has what has failed sent again, to a receiver that works.
func (w *world) replaysFrom(d webhook.Delivery) {
	w.t.Helper()
	if w.get(d.Endpoint).FailingSince.IsZero() || strings.Count(w.log.String(), "a webhook endpoint fails") != 1 {
		w.t.Errorf("that it fails is not said once:\n%s", w.log)
	}
	if _, err := w.service.Replay(w.t.Context(), d.ID); err != nil {
		w.t.Fatal(err)
	}
	w.receiver.says(status(http.StatusNoContent))
	if again := w.deliver(d); again != 0 {
		w.t.Errorf("again after %v", again)
	}
	if found := w.find(d); found.Status != webhook.Delivered || found.Attempts != 1 || found.LastClass != "" {
		w.t.Errorf("it is %+v", found)
	}
	if !w.get(d.Endpoint).FailingSince.IsZero() || !strings.Contains(w.log.String(), "a webhook endpoint works again") {
		w.t.Error("it still counts as failing")
	}
	n := len(w.receiver.all())
	w.deliver(d)
	if len(w.receiver.all()) != n {
		w.t.Error("what is delivered is sent again")
	}
}

func TestAReceiverMayAskToWait(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		e, _ := w.endpoint(webhook.Symmetric)
		d := w.happens(e.ID)
		w.receiver.says(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Retry-After", "120")
			rw.WriteHeader(http.StatusTooManyRequests)
		})
		if again := w.deliver(d); again != 2*time.Minute {
			t.Errorf("again after %v", again)
		}
	})
}

func TestAnEndpointThatIsGoneGetsNothingAnyMore(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		e, _ := w.endpoint(webhook.Symmetric)
		first, second := w.happens(e.ID), w.happens(e.ID)
		w.receiver.says(status(http.StatusGone))
		if again := w.deliver(first); again != 0 {
			t.Errorf("again after %v", again)
		}
		if found := w.get(e.ID); found.Enabled || found.DisabledBecause != webhook.DisabledGone {
			t.Errorf("it is %+v", found)
		}
		w.deliver(second)
		if len(w.receiver.all()) != 1 {
			t.Error("the next event is sent")
		}
		if found := w.find(second); found.Status != webhook.Failed || found.LastClass != webhook.ClassDisabled {
			t.Errorf("it is %+v", found)
		}
		if !strings.Contains(w.log.String(), "a webhook endpoint is disabled") {
			t.Error("the log does not say so")
		}
	})
}

func TestAnEndpointThatDoesNothingButFailForDaysIsDisabled(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		e, _ := w.endpoint(webhook.Symmetric)
		w.receiver.says(status(http.StatusBadGateway))
		w.deliver(w.happens(e.ID))
		w.clock.forward(webhook.DefaultGiveUpAfter - time.Second)
		late := w.happens(e.ID)
		w.deliver(late)
		if !w.get(e.ID).Enabled {
			t.Fatal("it is disabled too early")
		}
		w.clock.forward(5 * time.Second)
		w.deliver(late)
		if found := w.get(e.ID); found.Enabled || found.DisabledBecause != webhook.DisabledFailing {
			t.Errorf("it is %+v", found)
		}
		if found := w.find(late); found.Status != webhook.Failed {
			t.Errorf("what is pending is %+v", found)
		}
	})
}

func TestASecretIsRotatedWithoutAGap(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		e, before := w.endpoint(webhook.Symmetric)
		_, after, err := w.service.Rotate(t.Context(), e.ID, "", 24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		w.deliver(w.happens(e.ID))
		if r := w.receiver.last(t); !verifies(t, r, before) || !verifies(t, r, after) {
			t.Error("not both secrets sign")
		}
		w.clock.forward(24 * time.Hour)
		w.deliver(w.happens(e.ID))
		if r := w.receiver.last(t); verifies(t, r, before) || !verifies(t, r, after) {
			t.Error("the old secret signs after its time, or the new one does not")
		}
		_, leaked, err := w.service.Rotate(t.Context(), e.ID, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		w.deliver(w.happens(e.ID))
		if r := w.receiver.last(t); verifies(t, r, after) || !verifies(t, r, leaked) {
			t.Error("a secret that was taken away at once still signs")
		}
	})
}

func TestSecretsOutliveTheKeyThatTheyWereSealedUnder(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		e, before := w.endpoint(webhook.Symmetric)
		_, secret, err := w.service.Rotate(t.Context(), e.ID, "", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		held := ring(t, key(1))
		w.service.Seals = held
		held.Replace(ring(t, key(2)))
		if n, err := w.service.CheckSecrets(t.Context()); n != 1 || !errors.Is(err, keyring.ErrSealed) || !strings.Contains(err.Error(), string(e.ID)) {
			t.Errorf("a key that was dropped too early: %v", err)
		}
		held.Replace(ring(t, key(2)+","+key(1)))
		if err := w.service.Reseal(t.Context()); err != nil {
			t.Fatal(err)
		}
		held.Replace(ring(t, key(2)))
		if _, err := w.service.CheckSecrets(t.Context()); err != nil {
			t.Errorf("after they were sealed again: %v", err)
		}
		w.deliver(w.happens(e.ID))
		if r := w.receiver.last(t); !verifies(t, r, before) || !verifies(t, r, secret) {
			t.Error("they are others now")
		}
		held.Replace(ring(t, key(3)))
		d := w.happens(e.ID)
		n := len(w.receiver.all())
		if again := w.deliver(d); again != 5*time.Second || len(w.receiver.all()) != n {
			t.Error("something was sent without a signature")
		}
		if found := w.find(d); found.LastClass != webhook.ClassSecret {
			t.Errorf("it is %+v", found)
		}
	})
}

func TestASealedSecretOpensInNoOtherRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	one, _ := w.endpoint(webhook.Symmetric)
	two, _ := w.endpoint(webhook.Symmetric)
	if err := w.store.ResealSecrets(t.Context(), one, two.Sealed, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.service.CheckSecrets(t.Context()); !errors.Is(err, keyring.ErrSealed) {
		t.Errorf("it does: %v", err)
	}
}

func TestATestIsSentOnceAndChangesNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		e, secret := w.endpoint(webhook.Symmetric)
		off := false
		if _, err := w.service.Update(t.Context(), e.ID, webhook.Change{Enabled: &off}); err != nil {
			t.Fatal(err)
		}
		for code, want := range map[int]webhook.Status{200: webhook.Delivered, 500: webhook.Failed, 410: webhook.Failed} {
			w.receiver.says(status(code))
			d, err := w.service.Test(t.Context(), e.ID)
			if err != nil || d.Status != want || d.LastStatus != code || d.Type != webhook.Test || d.Attempts != 1 {
				t.Errorf("%d: %+v, %v", code, d, err)
			}
			if r := w.receiver.last(t); !verifies(t, r, secret) || !strings.Contains(string(r.body), `"type":"portico.test"`) {
				t.Errorf("%s", r.body)
			}
		}
		if found := w.get(e.ID); !found.FailingSince.IsZero() || found.DisabledBecause != webhook.DisabledByAdmin {
			t.Errorf("it is %+v", found)
		}
		if _, err := w.service.Test(t.Context(), webhook.NewEndpointID()); !errors.Is(err, webhook.ErrNotFound) {
			t.Errorf("of one that is not there: %v", err)
		}
	})
}

func TestAnAttemptThatIsCutOffDoesNotCount(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		e, _ := w.endpoint(webhook.Symmetric)
		d := w.happens(e.ID)
		ctx, cancel := context.WithCancel(t.Context())
		w.receiver.says(func(_ http.ResponseWriter, r *http.Request) {
			cancel() // the program stops meanwhile
			<-r.Context().Done()
		})
		if _, err := w.service.Deliver(ctx, d.ID, d.Endpoint); !errors.Is(err, context.Canceled) {
			t.Errorf("it ends with %v", err)
		}
		if found := w.find(d); found.Attempts != 0 || !found.ClaimedUntil.IsZero() || found.Status != webhook.Pending {
			t.Errorf("it is %+v", found)
		}
		w.receiver.says(status(http.StatusOK))
		w.deliver(d)
		if w.find(d).Status != webhook.Delivered {
			t.Error("the next one cannot have it")
		}
	})
}

func TestWhatAnOperatorGetsWrongIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	good := webhook.Draft{URL: "https://app.example/", Kind: webhook.Symmetric}
	for name, c := range map[string]struct {
		change func(*webhook.Draft)
		is     error
	}{
		"a kind that there is not":     {func(d *webhook.Draft) { d.Kind = "v2" }, webhook.ErrSecret},
		"a secret of another kind":     {func(d *webhook.Draft) { d.Secret = webhook.NewSecret(webhook.Asymmetric).Reveal() }, webhook.ErrSecret},
		"an event that there is not":   {func(d *webhook.Draft) { d.Events = []webhook.Type{"user.exploded"} }, webhook.ErrEvents},
		"a test, which everybody gets": {func(d *webhook.Draft) { d.Events = []webhook.Type{webhook.Test} }, webhook.ErrEvents},
		"an event twice":               {func(d *webhook.Draft) { d.Events = []webhook.Type{webhook.UserCreated, webhook.UserCreated} }, webhook.ErrEvents},
		"a description that is a book": {func(d *webhook.Draft) { d.Description = strings.Repeat("x", 201) }, webhook.ErrDescription},
		"a description of two lines":   {func(d *webhook.Draft) { d.Description = "a\nb" }, webhook.ErrDescription},
	} {
		d := good
		c.change(&d)
		if _, _, err := w.service.Create(t.Context(), d); !errors.Is(err, c.is) {
			t.Errorf("%s: %v", name, err)
		}
	}
	address := "http://app.example/"
	var wrong *webhook.URLError
	if _, err := w.service.Update(t.Context(), webhook.NewEndpointID(), webhook.Change{URL: &address}); !errors.As(err, &wrong) {
		t.Errorf("an address without TLS: %v", err)
	}
	e, _ := w.endpoint(webhook.Symmetric)
	if _, _, err := w.service.Rotate(t.Context(), e.ID, "", 8*24*time.Hour); !errors.Is(err, webhook.ErrOverlap) {
		t.Errorf("an overlap of more than a week: %v", err)
	}
	all, err := w.service.List(t.Context())
	if err != nil || len(all) != 1 || slices.ContainsFunc(all, func(e webhook.Endpoint) bool { return e.URL != w.receiver.url }) {
		t.Error("something of it was stored", err)
	}
}
