package program

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/store/storetest"
)

// withSMTP lets the world's Portico send mails into the simulator's mailbox.
func (w *world) withSMTP() {
	w.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- w.sim.ServeSMTP(listener) }()
	w.t.Cleanup(func() {
		_ = listener.Close()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
	w.settings["PORTICO_SMTP_URL"] = "smtp://" + listener.Addr().String()
	w.settings["PORTICO_APP_NAME"] = "Example"
}

func TestTheOwnerOfARegisteredAddressIsToldOnceInTheirLanguage(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newKindWorld(t, databaseURL)
		w.withSMTP()
		w.start()
		b := w.browser()
		b.await(b.signUp("ada@example.com"), "invited")
		b.enrol("ada@example.com")
		b.follow(w.public + "/login")

		stranger := w.browser()
		for range 3 {
			var r receipt
			a := stranger.do(http.MethodPost, w.public+"/signup", `{"email":"Ada@Example.com","locale":"de-CH"}`)
			a.want(t, http.StatusAccepted, &r)
			stranger.await(r, "invited")
		}
		w.eventually("the owner is told", func() error { return exactly(2, w.sim.Mailbox("ada@example.com")) })
		notice := w.sim.Mailbox("ada@example.com")[0]
		if notice.Subject != "Sie haben bereits ein Konto bei Example" || !strings.Contains(notice.Text, w.public+"/login") || notice.HTML == "" {
			t.Errorf("the notice is %+v", notice)
		}
		if users := w.sim.Users(); len(users) != 1 || users[0].Creates != 1 || users[0].Mails != 1 {
			t.Errorf("the provider has %+v", users)
		}
	})
}

func exactly(n int, mails []simulator.Mail) error {
	if len(mails) != n {
		return fmt.Errorf("there are %d mails", len(mails))
	}
	return nil
}

func TestASVS_2_3_4_WhoSignsUpAgainBeforeEnrollingGetsTheMailAgainAndStaysOneUser(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newKindWorld(t, databaseURL)
		w.start()
		b := w.browser()
		first := b.signUp("ada@example.com")
		b.await(first, "invited")
		a := b.do(http.MethodPost, first.StatusURL+"/resend", "")
		a.want(t, http.StatusTooManyRequests, nil)
		if a.header.Get("Retry-After") == "" {
			t.Error("nothing says when")
		}
		w.backdate(time.Hour)
		b.do(http.MethodPost, first.StatusURL+"/resend", "").want(t, http.StatusAccepted, nil)
		w.eventually("the mail comes again", func() error { return exactly(2, w.sim.Mailbox("ada@example.com")) })
		w.backdate(time.Hour)
		second := b.signUp("ada@example.com")
		b.await(second, "invited")
		w.eventually("the mail comes once more", func() error { return exactly(3, w.sim.Mailbox("ada@example.com")) })
		if users := w.sim.Users(); len(users) != 1 || users[0].Creates != 1 {
			t.Errorf("the provider has %+v", users)
		}
		b.enrol("ada@example.com")
		b.follow(w.public + "/login")
		b.await(first, "active")
		b.await(second, "active")
	})
}

// backdate moves what was done about mails into the past.
func (w *world) backdate(by time.Duration) {
	w.t.Helper()
	db := w.behind()
	defer db.Close()
	shift := fmt.Sprintf("- interval '%d seconds'", int(by.Seconds()))
	statements := []string{
		`UPDATE users SET enrolment_mail_at = enrolment_mail_at ` + shift,
		`UPDATE signups SET resend_after = resend_after ` + shift,
	}
	if strings.HasPrefix(w.settings["PORTICO_DATABASE_URL"], "sqlite:") {
		statements = []string{
			`UPDATE users SET enrolment_mail_at = '2026-01-01 00:00:00+00:00'`,
			`UPDATE signups SET resend_after = '2026-01-01 00:00:00+00:00'`,
		}
	}
	for _, statement := range statements {
		if _, err := db.SQL().ExecContext(w.t.Context(), statement); err != nil {
			w.t.Fatal(err)
		}
	}
}

func TestAPasskeyIsNoticedWithoutALogin(t *testing.T) {
	t.Parallel()
	w := newKindWorld(t, storetest.Postgres(t))
	w.start()
	b := w.browser()
	r := b.signUp("ada@example.com")
	b.await(r, "invited")
	b.enrol("ada@example.com")
	db := w.behind()
	defer db.Close()
	// The reconciler would look after 15 s.
	if _, err := db.SQL().ExecContext(t.Context(), `UPDATE users SET check_at = now() - interval '1 minute'`); err != nil {
		t.Fatal(err)
	}
	b.await(r, "active")
}

func TestASVS_13_3_4_ATokenThatIsReplacedOnDiskLetsSignUpsThrough(t *testing.T) {
	t.Parallel()
	const alarm = `"level":"ERROR","msg":"provider refuses our token, `
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, []byte("a-token-that-has-expired"), 0o600); err != nil {
			t.Fatal(err)
		}
		delete(w.settings, "PORTICO_BEYOND_API_TOKEN")
		w.settings["PORTICO_BEYOND_API_TOKEN_FILE"] = file
		_, log := w.start()
		b := w.browser()
		var receipts []receipt
		for i := range 5 {
			receipts = append(receipts, b.signUp(fmt.Sprintf("user-%d@example.com", i)))
		}
		w.eventually("the alarm is raised", func() error {
			if !strings.Contains(log.String(), alarm) {
				return errors.New("no error is logged")
			}
			return nil
		})
		if err := os.WriteFile(file, []byte(testToken+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for i, r := range receipts {
			b.arrivesOnce(r, fmt.Sprintf("user-%d@example.com", i))
		}
		if n := strings.Count(log.String(), alarm); n != 1 {
			t.Errorf("the alarm was raised %d times:\n%s", n, log)
		}
		noSecrets(t, log.String(), "a-token-that-has-expired")
	})
}

func TestLongPollsEndWhenTheProgramStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Postgres(t))
	if _, err := w.sim.AddFault(simulator.Fault{
		Match:  simulator.Match{Path: "/v1/manage/*"},
		Effect: simulator.Effect{Status: http.StatusServiceUnavailable},
	}); err != nil {
		t.Fatal(err)
	}
	w.settings["PORTICO_SHUTDOWN_DELAY"] = "3s" // so that the poll arrives before the end, too
	stop, _ := w.start()
	b := w.browser()
	r := b.signUp("ada@example.com")
	answered := make(chan answer, 1)
	go func() {
		a, err := b.try(http.MethodGet, r.StatusURL+"?wait=25", "")
		if err != nil {
			t.Error(err)
		}
		answered <- a
	}()
	w.awaitFault()
	begun := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	select {
	case a := <-answered:
		a.want(t, http.StatusOK, nil)
	case <-time.After(await.Patience):
		t.Error("the long poll was not answered")
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

func TestBBA24_ASVS_2_4_1_LimitsAreOnByDefaultAndSharedByReplicas(t *testing.T) {
	t.Parallel()
	databaseURL := storetest.Postgres(t)
	one := newWorld(t, databaseURL)
	one.start()
	other := newWorld(t, databaseURL)
	other.start()
	refused := 0
	for i := range 40 {
		w := []*world{one, other}[i%2]
		// A header that anyone can write gains nothing.
		a := w.browser().do(http.MethodPost, w.public+"/signup", fmt.Sprintf(`{"email":"user-%d@example.com"}`, i),
			fmt.Sprintf("X-Forwarded-For: 192.0.2.%d", i))
		switch a.status {
		case http.StatusAccepted:
		case http.StatusTooManyRequests:
			refused++
		default:
			t.Fatalf("status %d: %s", a.status, a.body)
		}
	}
	if refused == 0 || refused > 10 {
		t.Errorf("%d of 40 requests in a burst were refused, and 30 are admitted", refused)
	}
}
