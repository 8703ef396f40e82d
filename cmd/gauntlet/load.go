package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// load is the clients: a bounded number of them, at a bounded pace.
type load struct {
	options  options
	count    *counters
	balancer *balancer
	ledger   *ledger
	pace     *rate.Limiter
	foreign  []int // people whose address somebody else has at the provider

	mu   sync.Mutex
	open []openReceipt // the latest receipts, to be asked about
	next int
}

// openReceipt is a receipt as its holder knows it.
type openReceipt struct {
	id     string
	person int
	status string
	resend time.Time // before it the mail is not sent again
}

// maxOpen bounds how many receipts are asked about.
const maxOpen = 2048

// run lets the clients work until ctx ends.
func (l *load) run(ctx context.Context) {
	var clients sync.WaitGroup
	for i := range l.options.clients {
		r := l.options.random(fmt.Sprintf("client %d", i))
		clients.Go(func() {
			for ctx.Err() == nil {
				l.step(ctx, r)
			}
		})
	}
	clients.Wait()
}

// step is one thing that a client does.
func (l *load) step(ctx context.Context, r dice) {
	switch n := r.IntN(100); {
	case n < 40:
		l.signUp(ctx, r, l.ledger.newPerson())
	case n < 50:
		l.crowd(ctx, r)
	case n < 70:
		if who, ok := l.ledger.somebody(r); ok {
			l.signUp(ctx, r, who)
		}
	case n < 78:
		l.again(ctx, r)
	case n < 92:
		l.ask(ctx, r)
	default:
		l.resend(ctx, r)
	}
}

// crowd is one person in several places at once, in different spellings.
func (l *load) crowd(ctx context.Context, r dice) {
	who := l.ledger.newPerson()
	if len(l.foreign) > 0 && r.IntN(2) == 0 {
		who = oneOf(r, l.foreign)
	}
	var all sync.WaitGroup
	for range 2 + r.IntN(5) {
		mine := newDice(r.Uint64(), r.Uint64())
		all.Go(func() { l.signUp(ctx, mine, who) })
	}
	all.Wait()
}

// signUp sends a wish until it is accepted or the client has enough.
func (l *load) signUp(ctx context.Context, r dice, who int) {
	key := 0
	if r.IntN(2) == 0 {
		key = l.ledger.newKey(who)
	}
	address := spelling(who, r)
	if len(l.foreign) > 0 {
		address = canonical(who) // as the provider compares addresses: character by character
	}
	body := fmt.Sprintf(`{"email":%q,"display_name":%q}`, address, canaryName)
	if r.IntN(4) == 0 {
		body = fmt.Sprintf(`{"email":%q,"locale":"de"}`, address)
	}
	for attempt := range 4 {
		if l.pace.Wait(ctx) != nil {
			return
		}
		a := l.post(ctx, r, who, key, body)
		if a.status == http.StatusAccepted || a.status == http.StatusUnprocessableEntity || a.status == http.StatusBadRequest {
			return
		}
		pause(ctx, time.Duration(20<<attempt)*time.Millisecond)
	}
}

// again repeats an accepted request with its key, or the key with another
// body, which must not be accepted.
func (l *load) again(ctx context.Context, r dice) {
	sent, ok := l.ledger.sentBefore(r)
	if !ok || l.pace.Wait(ctx) != nil {
		return
	}
	if r.IntN(8) > 0 {
		l.post(ctx, r, sent.person, sent.key, sent.body)
		return
	}
	other := strings.Replace(sent.body, "{", `{"terms_version":"2",`, 1)
	a := l.balancer.do(ctx, call{
		method: http.MethodPost, path: "/signup", body: other, patience: 10 * time.Second,
		header: map[string]string{"Idempotency-Key": keyText(sent.key)},
	})
	if a.status == http.StatusAccepted {
		l.ledger.observes("Idempotency-Key %d was accepted with another body: %s", sent.key, a.body)
	}
}

// post sends one sign-up and notes what comes back.
func (l *load) post(ctx context.Context, r dice, who, key int, body string) answer {
	c := call{
		method: http.MethodPost, path: "/signup", body: body, patience: 10 * time.Second,
		header: make(map[string]string),
		sends: func() {
			l.count.requests.Add(1)
			l.ledger.sends(who, key)
		},
	}
	if key > 0 {
		c.header["Idempotency-Key"] = keyText(key)
	}
	switch r.IntN(20) {
	case 0, 1, 2:
		c.header["Prefer"] = "wait=1"
	case 3:
		// The first replica is still at work when the second gets the request.
		c.patience = time.Duration(2+r.IntN(30)) * time.Millisecond
	}
	a := l.balancer.do(ctx, c)
	l.count.answered(a.status)
	if a.status != http.StatusAccepted {
		return a
	}
	l.count.accepted.Add(1)
	if a.header.Get("Idempotency-Replayed") == "true" {
		l.count.replayed.Add(1)
	}
	var got struct {
		SignupID    string    `json:"signup_id"`
		Status      string    `json:"status"`
		ResendAfter time.Time `json:"resend_after"`
	}
	if err := json.Unmarshal(a.body, &got); err != nil {
		l.ledger.observes("a 202 with the body %.200s", a.body)
		return a
	}
	if err := l.ledger.accepted(who, key, got.SignupID, body); err != nil {
		l.ledger.observes("a 202 with signup_id %q: %v", got.SignupID, err)
		return a
	}
	l.remember(openReceipt{got.SignupID, who, got.Status, got.ResendAfter})
	return a
}

func (l *load) remember(o openReceipt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) < maxOpen {
		l.open = append(l.open, o)
		return
	}
	l.open[l.next] = o
	l.next = (l.next + 1) % maxOpen
}

// oneOpen returns a receipt for which fits holds, if it finds one soon.
func (l *load) oneOpen(r dice, fits func(openReceipt) bool) (at int, o openReceipt, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range min(16, len(l.open)) {
		if at = r.IntN(len(l.open)); fits(l.open[at]) {
			return at, l.open[at], true
		}
	}
	return 0, openReceipt{}, false
}

// later says which statuses may come after which; a final one has none.
//
//nolint:gochecknoglobals // a table
var later = map[string]string{"received": "received invited active failed", "invited": "invited active", "active": "active", "failed": "failed"}

// ask asks how a sign-up stands, waiting for news half of the time.
func (l *load) ask(ctx context.Context, r dice) {
	at, o, ok := l.oneOpen(r, func(openReceipt) bool { return true })
	if !ok {
		pause(ctx, 10*time.Millisecond)
		return
	}
	path := "/signup/" + o.id
	if r.IntN(2) == 0 {
		path += "?wait=1"
	}
	l.count.polls.Add(1)
	a := l.balancer.do(ctx, call{method: http.MethodGet, path: path, patience: 10 * time.Second})
	switch {
	case a.status == http.StatusNotFound:
		l.ledger.observes("%s: a receipt that was given out is not found: %s", canonical(o.person), a.body)
	case a.status != http.StatusOK:
		return
	}
	var got struct {
		Status string `json:"status"`
	}
	if json.Unmarshal(a.body, &got) != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.open[at]; now.id == o.id {
		l.open[at].status = got.Status
	}
	// Another client may have heard of a later status meanwhile; what counts
	// is what was known before this question.
	if !strings.Contains(later[o.status], got.Status) {
		l.ledger.observes("%s: a sign-up that was %s is %q", canonical(o.person), o.status, got.Status)
	}
}

// resend asks for the enrolment mail again, most of the time when that may be
// granted.
func (l *load) resend(ctx context.Context, r dice) {
	now := time.Now()
	_, o, ok := l.oneOpen(r, func(o openReceipt) bool { return o.resend.Before(now) || r.IntN(50) == 0 })
	if !ok || l.pace.Wait(ctx) != nil {
		return
	}
	a := l.balancer.do(ctx, call{
		method: http.MethodPost, path: "/signup/" + o.id + "/resend", patience: 10 * time.Second,
		sends: func() { l.ledger.sendsResend(o.person) },
	})
	if a.status == http.StatusAccepted {
		l.count.resends.Add(1)
	}
}

// storm lets every one of several people sign up many times at once.
func (l *load) storm(ctx context.Context, people, times int) {
	const together = 4 // people at once, so that their crowds meet
	slots := make(chan struct{}, together)
	var all sync.WaitGroup
	for range people {
		who := l.ledger.newPerson()
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			l.burst(ctx, who, times)
		})
	}
	all.Wait()
}

// burst sends one person's identical sign-ups at the same moment, each until
// it is accepted.
func (l *load) burst(ctx context.Context, who, times int) {
	start := make(chan struct{})
	var crowd sync.WaitGroup
	body := fmt.Sprintf(`{"email":%q}`, canonical(who))
	for i := range times {
		r := l.options.random(fmt.Sprintf("storm %d %d", who, i))
		crowd.Go(func() {
			<-start
			for range 20 {
				c := call{
					method: http.MethodPost, path: "/signup", body: body, patience: 30 * time.Second,
					sends: func() {
						l.count.requests.Add(1)
						l.ledger.sends(who, 0)
					},
				}
				if l.noted(who, body, l.balancer.do(ctx, c)) {
					return
				}
				pause(ctx, time.Duration(20+r.IntN(200))*time.Millisecond)
			}
		})
	}
	close(start)
	crowd.Wait()
}

// noted takes the answer to a request of a storm and reports whether it was
// accepted.
func (l *load) noted(who int, body string, a answer) bool {
	l.count.answered(a.status)
	if a.status != http.StatusAccepted {
		return false
	}
	l.count.accepted.Add(1)
	var got struct {
		SignupID string `json:"signup_id"`
	}
	if err := json.Unmarshal(a.body, &got); err != nil || l.ledger.accepted(who, 0, got.SignupID, body) != nil {
		l.ledger.observes("a 202 with the body %.200s", a.body)
	}
	return true
}
