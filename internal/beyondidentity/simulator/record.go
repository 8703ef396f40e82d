package simulator

import "time"

// User is a user as a test wants to see one.
type User struct {
	ExternalID  string `json:"external_id"`
	InternalID  string `json:"internal_id"`
	Email       string `json:"email"`
	UserName    string `json:"user_name"`
	DisplayName string `json:"display_name"`
	Status      string `json:"status"`
	// Creates counts the create calls that were committed for this external
	// id, over all users that carry it: more than one is a doubled user.
	Creates  int `json:"creates"`
	Mails    int `json:"mails"`
	Passkeys int `json:"passkeys"`
}

// Mail is an enrolment mail, or one that came over SMTP: that one has a sender,
// and a link only if its text holds one.
type Mail struct {
	ID      string    `json:"id"`
	To      string    `json:"to"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	Link    string    `json:"link"`
	SentAt  time.Time `json:"sent_at"`
	From    string    `json:"from,omitempty"`
	HTML    string    `json:"html,omitempty"`
}

// Request is one management or provider call; status 0 means that the
// connection ended without an answer.
type Request struct {
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Status int       `json:"status"`
	Time   time.Time `json:"time"`
}

// maxRequests bounds the record of calls.
const maxRequests = 10_000

// ring keeps the last maxRequests calls; next is where the oldest is replaced
// once it is full.
type ring struct {
	calls []Request
	next  int
}

func (r *ring) add(c Request) {
	if len(r.calls) < maxRequests {
		r.calls = append(r.calls, c)
		return
	}
	r.calls[r.next] = c
	r.next = (r.next + 1) % maxRequests
}

// all is oldest first.
func (r *ring) all() []Request {
	return append(append([]Request{}, r.calls[r.next:]...), r.calls[:r.next]...)
}

func (s *state) record(c Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests.add(c)
}

func (s *state) allRequests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests.all()
}
