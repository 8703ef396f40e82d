package main

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/portico-id/portico/cmd/gauntlet/check"
)

// ledger is what the clients know: what they sent, and what they were told.
type ledger struct {
	mu       sync.Mutex
	people   []person
	receipts []receipt
	keys     int
	keyed    []keyedRequest // the latest of them, to be sent again
	next     int            // where the oldest of them is replaced
	found    []check.Violation
}

// person is an address, whatever its spelling.
type person struct{ unkeyed, keys, resends int32 }

// receipt is a 202.
type receipt struct {
	person int32
	key    int32
	hash   check.Hash
}

// keyedRequest is a request that may be sent again as it was.
type keyedRequest struct {
	person int
	key    int
	body   string
}

// maxKeyed bounds how far back a request is repeated.
const maxKeyed = 4096

// newPerson returns the number of an address that nobody has used.
func (l *ledger) newPerson() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.people = append(l.people, person{})
	return len(l.people) - 1
}

// somebody returns one of the addresses that have been used, most of the time
// a recent one.
func (l *ledger) somebody(r dice) (int, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.people)
	if n == 0 {
		return 0, false
	}
	if r.IntN(2) == 0 {
		return n - 1 - r.IntN(min(n, 64)), true
	}
	return r.IntN(n), true
}

// newKey counts an Idempotency-Key for a person.
func (l *ledger) newKey(who int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys++
	l.people[who].keys++
	return l.keys
}

// keyText is the key as it is sent.
func keyText(key int) string { return "gauntlet-" + strconv.Itoa(key) }

// sends counts a request that is about to leave.
func (l *ledger) sends(who, key int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if key == 0 {
		l.people[who].unkeyed++
	}
}

// sendsResend counts a request for the enrolment mail.
func (l *ledger) sendsResend(who int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.people[who].resends++
}

var errReceipt = errors.New("not 16 bytes of base64url")

// accepted notes a 202.
func (l *ledger) accepted(who, key int, signupID, body string) error {
	raw, err := base64.RawURLEncoding.DecodeString(signupID)
	if err != nil || len(raw) != 16 {
		return errReceipt
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.receipts = append(l.receipts, receipt{int32(who), int32(key), sha256.Sum256(raw)}) //nolint:gosec // there are fewer
	if key == 0 {
		return nil
	}
	sent := keyedRequest{who, key, body}
	if len(l.keyed) < maxKeyed {
		l.keyed = append(l.keyed, sent)
	} else {
		l.keyed[l.next] = sent
		l.next = (l.next + 1) % maxKeyed
	}
	return nil
}

// sentBefore returns a request with a key that was accepted.
func (l *ledger) sentBefore(r dice) (keyedRequest, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.keyed) == 0 {
		return keyedRequest{}, false
	}
	return oneOf(r, l.keyed), true
}

// observes notes a contradiction.
func (l *ledger) observes(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.found = appendBounded(l.found, check.Violation{Rule: check.Answer, Text: fmt.Sprintf(format, args...)})
}

// evidence adds what the clients know.
func (l *ledger) evidence(e *check.Evidence) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Sent = make(map[string]check.Wishes, len(l.people))
	addresses := make([]string, len(l.people))
	for i, p := range l.people {
		addresses[i] = canonical(i)
		e.Sent[addresses[i]] = check.Wishes{Unkeyed: int(p.unkeyed), Keys: int(p.keys), Resends: int(p.resends)}
	}
	e.Receipts = make([]check.Receipt, len(l.receipts))
	for i, r := range l.receipts {
		e.Receipts[i] = check.Receipt{Address: addresses[r.person], Hash: r.hash, Key: int(r.key)}
	}
	e.Observed = append(e.Observed, l.found...)
}

// domains are those of the people, as typed in Unicode and as the DNS has them.
//
//nolint:gochecknoglobals // a table
var domains = []struct{ typed, ascii string }{
	{"example.com", "example.com"},
	{"mail.example.org", "mail.example.org"},
	{"bücher.example.net", "xn--bcher-kva.example.net"},
}

// canonical is the address of a person as Portico and the DNS compare it.
func canonical(who int) string {
	return local(who) + "@" + domains[who%len(domains)].ascii
}

func local(who int) string { return "grace.h" + strconv.Itoa(who) }

// spelling is one of the ways to type a person's address.
func spelling(who int, r dice) string {
	name, domain := local(who), domains[who%len(domains)]
	host := domain.typed
	switch r.IntN(5) {
	case 0:
		name = strings.ToUpper(name)
	case 1:
		host = strings.ToUpper(host)
	case 2:
		name = strings.ToUpper(name[:1]) + name[1:]
		host = domain.ascii
	case 3:
		name = strings.Replace(name, "grace", "ｇrace", 1) // a full-width letter
	default:
	}
	return name + "@" + host
}
