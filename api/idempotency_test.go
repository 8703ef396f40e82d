package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/store/storetest"
)

func key(value string) header { return header{"Idempotency-Key", value} }

func TestASignUpThatIsSentAgain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL})
		w.clock.stop()
		b := w.browser()
		const id = "8e03978e-40d5-43dd-bc93-6894a57f9324"
		first := b.post("/signup", `{"email":"ada@example.com","locale":"en"}`, key(id))
		status := first.accepted()
		first.absent("Idempotency-Replayed")
		w.secrets.keep(first.json("signup_id"), id)
		step(t, "gets the same answer", func(t *testing.T) {
			for i, again := range []struct{ key, body string }{
				{id, `{"email":"ada@example.com","locale":"en"}`},
				{`"` + id + `"`, ` { "locale":"en", "email":"ada@example.com" } `},
				{id, `{"email":"ada@example.com","locale":"en","challenge_response":"another"}`},
			} {
				if i == 2 { // whatever has become of it
					w.provision()
					w.clock.advance(23 * time.Hour)
				}
				a := b.in(t).post("/signup", again.body, key(again.key))
				a.accepted()
				if a.body != first.body || a.header.Get("Idempotency-Replayed") != "true" {
					t.Errorf("%v %s, not %s", a.header, a.body, first.body)
				}
			}
		})
		step(t, "is not another sign-up's", func(t *testing.T) {
			b := b.in(t)
			for _, body := range []string{ada, `{"email":"ADA@example.com","locale":"en"}`, `{"email":"no address","locale":"en"}`} {
				a := b.post("/signup", body, key(id)).is(http.StatusUnprocessableEntity, "idempotency_key_reused")
				a.absent("Idempotency-Replayed", "Location")
			}
			b.post("/signup", `{"mail":1}`, key(id)).is(http.StatusBadRequest, "malformed_body")
		})
		if n := w.rows("signups"); n != 1 || len(w.enqueued("signup")) != 1 {
			t.Errorf("%d sign-ups, %d jobs", n, len(w.enqueued("signup")))
		}
		step(t, "after a day is a new one", func(t *testing.T) {
			w.clock.advance(time.Hour)
			a := b.in(t).post("/signup", ada, key(id))
			a.absent("Idempotency-Replayed")
			if a.accepted() == status {
				t.Error("the receipt is the old one")
			}
		})
	})
}

func TestIdempotencyKeysThatAreNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	for name, value := range map[string]string{
		"too long": strings.Repeat("k", 256), "half quotes": `"k`, "empty quotes": `""`, "a space": "k k", "an umlaut": "schlüssel",
		"a tab": "k\tk",
	} {
		step(t, name, func(t *testing.T) {
			b.in(t).post("/signup", ada, key(value)).is(http.StatusBadRequest, "idempotency_key_invalid")
		})
	}
	step(t, "twice", func(t *testing.T) {
		b := b.in(t)
		for _, second := range []string{"k", "other", ""} {
			r := b.request(http.MethodPost, "/signup", ada, key("k"))
			r.Header.Add("Idempotency-Key", second)
			b.send(r, false).is(http.StatusBadRequest, "idempotency_key_invalid")
		}
	})
	step(t, "empty", func(t *testing.T) {
		b := b.in(t)
		r := b.request(http.MethodPost, "/signup", ada)
		r.Header.Set("Idempotency-Key", "")
		b.send(r, false).is(http.StatusBadRequest, "idempotency_key_invalid")
	})
	w.leavesNothing()
	step(t, "the longest", func(t *testing.T) {
		b.in(t).post("/signup", ada, key(strings.Repeat("k", 255))).accepted()
	})
}

// TestASignUpThatIsSentAgainTooSoon holds the first request inside its
// transaction. SQLite, which has one writer, lets the second wait instead.
func TestASignUpThatIsSentAgainTooSoon(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{databaseURL: storetest.Postgres(t)})
	w.jobs.hold, w.jobs.held = make(chan struct{}), make(chan struct{}, 1)
	slow := w.browser()
	first := make(chan answer, 1)
	go func() { first <- slow.post("/signup", ada, key("k")) }()
	<-w.jobs.held
	b := w.browser()
	for _, body := range []string{ada, `{"email":"bob@example.com"}`} { // which of them it is cannot be known yet
		a := b.post("/signup", body, key("k")).is(http.StatusConflict, "idempotency_key_in_use")
		a.absent("Location")
		if a.number("Retry-After") != 1 {
			t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
		}
	}
	close(w.jobs.hold)
	accepted := <-first
	accepted.accepted()
	if again := b.post("/signup", ada, key("k")); again.body != accepted.body || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("later %v %s, not %s", again.header, again.body, accepted.body)
	}
}
