package simulator

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// mail sends the enrolment mail. It is called with the lock held.
func (s *state) mail(a *account, baseURL string, d deed) {
	token := newSecret()
	link := baseURL + "/enroll/" + token
	s.links[token] = &enrolmentLink{owner: a}
	a.mails++
	s.ledger.add(d.about(KindMailed, a))
	s.keep(Mail{
		To:      a.email,
		Subject: "Register your passkey",
		Text:    fmt.Sprintf("Hello %s,\n\nopen this link on the device that you want to sign in with:\n\n%s\n", a.displayName, link),
		Link:    link,
		SentAt:  d.at.UTC(),
	})
}

// deliver takes in somebody else's mail, once for each recipient.
func (s *state) deliver(m Mail, to []string, d deed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.SentAt = d.at.UTC()
	for _, m.To = range to {
		e := d.entry(KindDelivered)
		e.Email, e.Reason = m.To, m.Subject
		s.ledger.add(e)
		s.keep(m)
	}
}

// keep is called with the lock held.
func (s *state) keep(m Mail) {
	to := strings.ToLower(m.To)
	s.mailsTo[to] = append(s.mailsTo[to], len(s.mails))
	s.mails = append(s.mails, m)
	s.mails[len(s.mails)-1].ID = strconv.Itoa(len(s.mails))
}

// mailbox is newest first.
func (s *state) mailbox(to string) []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	mails := []Mail{}
	if to != "" {
		for _, i := range slices.Backward(s.mailsTo[strings.ToLower(to)]) {
			mails = append(mails, s.mails[i])
		}
		return mails
	}
	for _, m := range slices.Backward(s.mails) {
		mails = append(mails, m)
	}
	return mails
}

func (s *state) mailByID(id string) (Mail, bool) {
	n, err := strconv.Atoi(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || n < 1 || n > len(s.mails) {
		return Mail{}, false
	}
	return s.mails[n-1], true
}

func (s *Simulator) simMailbox(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, s.state.mailbox(r.URL.Query().Get("to")))
}

func (s *Simulator) showMailbox(w http.ResponseWriter, r *http.Request) {
	s.page(w, http.StatusOK, "mailbox", s.state.mailbox(r.URL.Query().Get("to")))
}

// showMailHTML shows a mail's HTML as it came. The policy keeps it from running,
// from loading anything, and from this origin, whose cookie holds passkeys.
func (s *Simulator) showMailHTML(w http.ResponseWriter, r *http.Request) {
	m, ok := s.state.mailByID(r.PathValue("id"))
	if !ok || m.HTML == "" {
		s.showNotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "sandbox allow-popups allow-top-navigation-by-user-activation; default-src 'none'; "+
		"style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	_, _ = w.Write([]byte(m.HTML)) // the browser may have gone
}
