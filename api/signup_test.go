package api_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/store/storetest"
)

const ada = `{"email":"ada@example.com"}`

// number returns a header that is a whole number, and fails without one.
func (a answer) number(name string) int {
	a.t.Helper()
	n, err := strconv.Atoi(a.header.Get(name))
	if err != nil {
		a.t.Errorf("%s is %q", name, a.header.Get(name))
	}
	return n
}

// absent fails if the answer has one of the headers.
func (a answer) absent(names ...string) {
	a.t.Helper()
	for _, name := range names {
		if values := a.header.Values(name); len(values) != 0 {
			a.t.Errorf("%s is %q", name, values)
		}
	}
}

// accepted fails unless the answer is the 202 of a new sign-up, and returns
// where its status is.
func (a answer) accepted() (status string) {
	a.t.Helper()
	a.is(http.StatusAccepted)
	if len(a.json("signup_id")) != 22 || a.json("status") != "received" || a.number("Retry-After") != 1 ||
		a.header.Get("Location") != a.json("status_url") || !strings.HasSuffix(a.json("status_url"), "/signup/"+a.json("signup_id")) {
		a.t.Errorf("answered %v %s", a.header, a.body)
	}
	if at, err := time.Parse(time.RFC3339, a.json("resend_after")); err != nil || at.Nanosecond() != 0 {
		a.t.Errorf("resend_after is %q, %v", a.json("resend_after"), err)
	}
	return "/signup/" + a.json("signup_id")
}

func TestAReceiptFromItsAcceptanceToTheEnd(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL})
		w.clock.stop()
		b := w.browser()
		accepted := b.post("/signup", ada)
		accepted.absent("Idempotency-Replayed", "Preference-Applied", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "ETag")
		status := accepted.accepted()
		w.secrets.keep(accepted.json("signup_id"), "ada@example.com")

		received := b.get(status).is(http.StatusOK)
		if received.json("status") != "received" || received.number("Retry-After") != 1 || received.body != accepted.body {
			t.Errorf("at first %v %s", received.header, received.body)
		}
		b.get(status, header{"If-None-Match", received.header.Get("ETag")}).is(http.StatusNotModified)
		b.post(status+"/resend", "").is(http.StatusConflict, "signup_not_invited")

		w.provision()
		if early := b.get(status).is(http.StatusOK); early.json("status") != "received" {
			t.Errorf("a quick job shows: %s", early.body)
		}
		w.clock.advance(time.Second)
		invited := b.get(status, header{"If-None-Match", received.header.Get("ETag")}).is(http.StatusOK)
		if invited.json("status") != "invited" || invited.number("Retry-After") != 5 {
			t.Errorf("then %v %s", invited.header, invited.body)
		}
		unchanged := b.get(status, header{"If-None-Match", `"other", W/` + invited.header.Get("ETag")}).is(http.StatusNotModified)
		if unchanged.body != "" || unchanged.header.Get("ETag") != invited.header.Get("ETag") {
			t.Errorf("unchanged: %v %q", unchanged.header, unchanged.body)
		}
		// Somebody else signs the same address up, before and after there is a
		// passkey: who had one before is not for others to see (CWE-204).
		before := "/signup/" + w.browser().post("/signup", ada).json("signup_id")
		w.provision()
		b.enrol("ada@example.com")
		w.clock.advance(time.Second)
		b.logIn().leadsTo(home)
		w.exec("UPDATE users SET activated_at = '" + w.clock.now().UTC().Format("2006-01-02 15:04:05.999999-07:00") + "'")
		w.clock.advance(time.Second)
		after := "/signup/" + w.browser().post("/signup", ada).json("signup_id")
		w.provision()
		w.clock.advance(time.Hour)
		active := b.get(status).is(http.StatusOK)
		active.absent("Retry-After")
		for path, want := range map[string]string{status: "active", before: "active", after: "invited"} {
			if a := b.get(path).is(http.StatusOK); a.json("status") != want {
				t.Errorf("in the end %s, not %s", a.body, want)
			}
		}
		b.post(status+"/resend", "").is(http.StatusConflict, "signup_not_invited")
		b.post(after+"/resend", "").is(http.StatusAccepted)
	})
}

func TestAnAnswerThatIsHeld(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL, queue: true})
		b := w.browser()
		step(t, "until the sign-up has moved", func(t *testing.T) {
			a := b.in(t).post("/signup", ada, header{"Prefer", "wait=10"}).is(http.StatusAccepted)
			if a.json("status") != "invited" || a.header.Get("Preference-Applied") != "wait=10" || a.number("Retry-After") != 1 {
				t.Errorf("answered %v %s", a.header, a.body)
			}
			w.secrets.keep(a.json("signup_id"))
		})
		step(t, "for no longer than ten seconds", func(t *testing.T) {
			a := b.in(t).post("/signup", `{"email":"bob@example.com"}`, header{"Prefer", "respond-async, wait=100"}).is(http.StatusAccepted)
			if a.header.Get("Preference-Applied") != "wait=10" {
				t.Errorf("Preference-Applied is %q", a.header.Get("Preference-Applied"))
			}
		})
		step(t, "not for a preference that cannot be read", func(t *testing.T) {
			a := b.in(t).post("/signup", `{"email":"eve@example.com"}`, header{"Prefer", "wait=soon"})
			a.accepted()
			a.absent("Preference-Applied")
		})
		step(t, "nor when it was given before", func(t *testing.T) {
			key := header{"Idempotency-Key", "held"}
			first := b.in(t).post("/signup", `{"email":"kim@example.com"}`, key)
			first.accepted()
			again := b.in(t).post("/signup", `{"email":"kim@example.com"}`, key, header{"Prefer", "wait=10"})
			again.accepted()
			again.absent("Preference-Applied")
			if again.body != first.body {
				t.Errorf("answered %s, then %s", first.body, again.body)
			}
		})
	})
}

func TestALongPoll(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL})
		w.clock.stop()
		b := w.browser()
		status := b.post("/signup", ada).accepted()
		w.secrets.keep(strings.TrimPrefix(status, "/signup/"))
		tag := b.get(status).header.Get("ETag")
		step(t, "ends with its time", func(t *testing.T) {
			b := b.in(t)
			begun := time.Now()
			if a := b.get(status + "?wait=1").is(http.StatusOK); a.json("status") != "received" || time.Since(begun) < time.Second {
				t.Errorf("after %s: %s", time.Since(begun), a.body)
			}
			begun = time.Now()
			b.get(status+"?wait=1", header{"If-None-Match", tag}).is(http.StatusNotModified)
			if time.Since(begun) < time.Second {
				t.Errorf("unchanged after %s", time.Since(begun))
			}
		})
		step(t, "ends at once for who knows less", func(t *testing.T) {
			b.in(t).get(status+"?wait=25", header{"If-None-Match", `"other"`}).is(http.StatusOK)
		})
		step(t, "ends with news", func(t *testing.T) {
			b := b.in(t)
			type result struct{ a answer }
			answers := make(chan result, 2)
			for _, headers := range [][]header{nil, {{"If-None-Match", tag}}} {
				poll := w.browser().in(t)
				go func() { answers <- result{poll.get(status+"?wait=25", headers...)} }()
			}
			w.provision()
			w.clock.advance(time.Second)
			for range 2 {
				if a := (<-answers).a.is(http.StatusOK); a.json("status") != "invited" {
					t.Errorf("answered %s", a.body)
				}
			}
			if a := b.get(status); a.header.Get("ETag") == tag {
				t.Error("the tag is as before")
			}
		})
		for _, value := range []string{"26", "-1", "x", "1.5", "%00", "1&wait=2", "99999999999999999999"} {
			step(t, "cannot take "+value, func(t *testing.T) {
				b.in(t).get(status+"?wait="+value).is(http.StatusBadRequest, "invalid_query")
			})
		}
		step(t, "is not held for a receipt that is none", func(t *testing.T) {
			b.in(t).get("/signup/"+strings.Repeat("A", 22)+"?wait=25").is(http.StatusNotFound, "signup_not_found")
		})
		step(t, "passes other parameters over", func(t *testing.T) {
			b.in(t).get(status + "?wait=&utm_source=x").is(http.StatusOK)
		})
	})
}

func TestTheMailAgain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL})
		w.clock.stop()
		b := w.browser()
		accepted := b.post("/signup", ada)
		status := accepted.accepted()
		w.secrets.keep(accepted.json("signup_id"), "ada@example.com")
		w.clock.advance(300 * time.Millisecond) // that the job waits
		w.provision()
		w.clock.advance(700 * time.Millisecond)
		early := b.post(status+"/resend", "").is(http.StatusTooManyRequests, "too_many_requests")
		wait := early.number("Retry-After")
		if wait < 58 || wait > 60 {
			t.Errorf("one is told to wait %d seconds", wait)
		}
		early.absent("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Location")
		w.clock.advance(time.Duration(wait) * time.Second)
		again := b.post(status+"/resend", "").is(http.StatusAccepted)
		again.absent("RateLimit-Limit", "Preference-Applied", "Idempotency-Replayed")
		if again.json("status") != "invited" || again.json("signup_id") != accepted.json("signup_id") ||
			again.json("resend_after") <= accepted.json("resend_after") {
			t.Errorf("answered %s after %s", again.body, accepted.body)
		}
		if a := b.get(status); a.body != again.body {
			t.Errorf("the status is %s, the answer was %s", a.body, again.body)
		}
		w.resent()
		if mails := len(w.sim.Mailbox("ada@example.com")); mails != 2 {
			t.Errorf("%d mails", mails)
		}
		b.post(status+"/resend", "").is(http.StatusTooManyRequests, "too_many_requests")
		b.post("/signup/"+strings.Repeat("A", 22)+"/resend", "").is(http.StatusNotFound, "signup_not_found")
		b.post("/signup/%00/resend", "").is(http.StatusNotFound, "signup_not_found")
		b.post(status+"/resend", "", header{"Origin", "https://evil.example"}).is(http.StatusForbidden, "cross_origin")
	})
}
