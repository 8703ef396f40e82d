package account_test

import (
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/mail"
	"github.com/portico-id/portico/internal/store/storetest"
)

// awayMailer sends to a server that is not there.
func awayMailer(t *testing.T) *mail.Mailer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	server, err := mail.ParseServer("smtp://" + address)
	if err != nil {
		t.Fatal(err)
	}
	m, err := mail.New(mail.Config{Server: server, From: "no-reply@example.com", App: "Example", LoginURL: "https://app.example/login"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestWhileTheMailServerIsAwayLettersWait(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		w.accounts.Mailer, w.accounts.Log = awayMailer(t), slog.New(slog.DiscardHandler)
		anna, bert := w.user("anna@example.com", directory.Active), w.user("bert@example.com", directory.Active)
		wish := func(email string) account.EmailChangeID {
			if _, err := w.accounts.RequestEmail(t.Context(), anna.ID, email); err != nil {
				t.Fatal(err)
			}
			return account.EmailChangeID(w.texts(`SELECT id FROM email_changes`)[0])
		}
		prove := func(id account.EmailChangeID, want bool) {
			t.Helper()
			if again, err := w.accounts.ProveEmail(t.Context(), id); err != nil || again > 0 != want {
				t.Errorf("again in %s, %v", again, err)
			}
		}
		id := wish("anna@example.org")
		prove(id, true)
		prove(id, true)
		w.at = moment.Add(15 * time.Minute)
		prove(id, false) // nobody could use the code any more

		// That the owner was told is taken back, or they never would be.
		id = wish(bert.Email.String())
		prove(id, true)
		prove(id, true)
		if n := w.count(`SELECT count(*) FROM users WHERE notice_sent_at IS NOT NULL`); n != 0 {
			t.Errorf("%d are taken to have been told", n)
		}

		if _, err := w.accounts.Close(t.Context(), anna.ID); err != nil {
			t.Fatal(err)
		}
		prove(id, false) // the wish went with the account
		letter := account.LetterID(w.texts(`SELECT id FROM letters`)[0])
		if again, err := w.accounts.SendLetter(t.Context(), letter); again <= 0 || err != nil {
			t.Errorf("again in %s, %v", again, err)
		}
		w.at = w.at.Add(3 * 24 * time.Hour)
		if again, err := w.accounts.SendLetter(t.Context(), letter); again != 0 || err != nil || w.count(`SELECT count(*) FROM letters`) != 0 {
			t.Errorf("news of last week is kept: again in %s, %v", again, err)
		}
	})
}
