package provision_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/mail"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

// mailServer lets the tenant take mail, and returns its address.
func (w *world) mailServer(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- w.tenant.ServeSMTP(listener) }()
	t.Cleanup(func() {
		_ = listener.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return "smtp://" + listener.Addr().String()
}

// mailer sends to the tenant's mailbox.
func (w *world) mailer(t *testing.T) provision.Mailer {
	t.Helper()
	return mailerTo(t, w.mailServer(t))
}

func mailerTo(t *testing.T, address string) *mail.Mailer {
	t.Helper()
	server, err := mail.ParseServer(address)
	if err != nil {
		t.Fatal(err)
	}
	m, err := mail.New(mail.Config{
		Server: server, From: "no-reply@example.com", App: "Example", LoginURL: "https://app.example/login",
		Timeout: generous, ReplyTimeout: generous,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// known is an active user whose address signs up again.
func (w *world) known(t *testing.T) (first, again accepted) {
	t.Helper()
	first = w.invite(t)
	w.set(t, first, directory.Active)
	again = w.acceptAs(t, first.email.String())
	w.carryOut(t, again)
	return first, again
}

// delivered is how many notices have reached the address.
func (w *world) delivered(address directory.Email) (n int) {
	for _, e := range w.tenant.Ledger().Entries {
		if e.Kind == simulator.KindDelivered && e.Email == address.String() {
			n++
		}
	}
	return n
}

func TestANoticeIsSentOnceHoweverOftenItsJobIsWorked(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, storetest.Open(t, databaseURL), true)
		w.service.Mailer = w.mailer(t)
		first, again := w.known(t)
		var workers sync.WaitGroup
		for range 16 {
			workers.Go(func() {
				if wait, err := w.service.Notify(t.Context(), again.id); wait != 0 || err != nil {
					t.Errorf("again in %s, %v", wait, err)
				}
			})
		}
		workers.Wait()
		if n := w.delivered(first.email); n != 1 {
			t.Errorf("%d notices arrived", n)
		}
		if _, err := w.service.Notify(t.Context(), signup.ID(uuid.NewString())); !errors.Is(err, provision.ErrNotFound) {
			t.Errorf("of no sign-up: %v", err)
		}
	})
}

func TestANoticeIsTriedAgainIfItSurelyWasNotTaken(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db := storetest.Open(t, databaseURL)
		onRcpt, onData := simulator.Match{Method: "SMTP", Path: "rcpt"}, simulator.Match{Method: "SMTP", Path: "data"}
		for name, test := range map[string]struct {
			server    func(well string) string // nil for the one that is well
			fault     *simulator.Fault
			class     mail.Class
			again     time.Duration
			delivered int // once the server is well and the job was worked again
		}{
			"no server": {
				server: func(string) string { return "smtp://127.0.0.1:1" }, class: mail.Unreachable,
				again: 30 * time.Second, delivered: 1,
			},
			"a server that asks to wait": {
				fault: &simulator.Fault{Match: onRcpt, Effect: simulator.Effect{Status: 451}}, class: mail.Temporary,
				again: 30 * time.Second, delivered: 1,
			},
			"a server without TLS": {
				server: func(well string) string { return well + "?tls=starttls" }, class: mail.Misconfigured,
				again: 5 * time.Minute, delivered: 1,
			},
			"an address that is refused": {
				fault: &simulator.Fault{Match: onRcpt, Effect: simulator.Effect{Status: 550}}, class: mail.Refused,
			},
			"a reply that is lost, after it arrived": {
				fault: &simulator.Fault{Match: onData, Effect: simulator.Effect{Drop: true, Commit: simulator.CommitBefore}},
				class: mail.Ambiguous, delivered: 1,
			},
			"a reply that is lost, before it arrived": {
				fault: &simulator.Fault{Match: onData, Effect: simulator.Effect{Drop: true}}, class: mail.Ambiguous,
			},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, db, true)
				address := w.mailServer(t)
				well := mailerTo(t, address)
				w.service.Mailer = well
				first, again := w.known(t)
				if test.server != nil {
					w.service.Mailer = mailerTo(t, test.server(address))
				}
				if test.fault != nil {
					test.fault.Times = 1
					w.fault(t, *test.fault)
				}
				if wait, err := w.service.Notify(t.Context(), again.id); wait != test.again || err != nil {
					t.Errorf("again in %s, %v\n%s", wait, err, w.log)
				}
				w.service.Mailer = well
				for range 2 {
					if wait, err := w.service.Notify(t.Context(), again.id); wait != 0 || err != nil {
						t.Errorf("the server is well: again in %s, %v", wait, err)
					}
				}
				if n := w.delivered(first.email); n != test.delivered {
					t.Errorf("%d notices arrived\n%s", n, w.log)
				}
			})
		}
	})
}

// If we die between the mark and the mail, the owner has missed one rather
// than got two. The next day's comes.
func TestAProcessThatDiesBeforeItSendsANoticeSendsNone(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, storetest.Open(t, databaseURL), true)
		w.service.Mailer = w.mailer(t)
		first, again := w.known(t)
		if begun, err := w.store.BeginNotice(t.Context(), first.userID); !begun || err != nil {
			t.Fatal(begun, err)
		}
		for day, want := range []int{0, 1} {
			for range 2 {
				if wait, err := w.service.Notify(t.Context(), again.id); wait != 0 || err != nil {
					t.Errorf("again in %s, %v", wait, err)
				}
			}
			if n := w.delivered(first.email); n != want {
				t.Errorf("on day %d %d notices have arrived", day, n)
			}
			w.clock.advance(24 * time.Hour)
			again = w.acceptAs(t, first.email.String())
			w.carryOut(t, again)
		}
	})
}

func TestANoticeSaysNothingThatTheSignupSaid(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, storetest.Open(t, databaseURL), true)
		w.service.Mailer = w.mailer(t)
		first := w.invite(t)
		w.set(t, first, directory.Active)
		stranger := w.acceptWith(t, first.email.String(), "Buy canary pills")
		w.carryOut(t, stranger)
		if _, err := w.service.Notify(t.Context(), stranger.id); err != nil {
			t.Fatal(err)
		}
		for _, m := range w.tenant.Mailbox(first.email.String()) {
			if strings.Contains(fmt.Sprint(m), "canary") {
				t.Errorf("the notice says %+v", m)
			}
		}
		if w.delivered(first.email) != 1 {
			t.Error("it did not arrive")
		}
	})
}

func TestWithoutAMailServerANoticeIsDropped(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		w := newWorld(t, db, lookup)
		_, again := w.known(t)
		if wait, err := w.service.Notify(t.Context(), again.id); wait != 0 || err != nil {
			t.Errorf("again in %s, %v", wait, err)
		}
	})
}
