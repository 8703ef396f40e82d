package simulator

import (
	"context"
	"io"
	"maps"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
)

// Kind says what happened at the provider.
type Kind string

// The kinds.
const (
	KindCreated   Kind = "created"   // a user came to be
	KindMailed    Kind = "mailed"    // an enrolment mail went out
	KindRecovered Kind = "recovered" // recover-user found the user
	KindPatched   Kind = "patched"   // a user changed, or became active or suspended
	KindDeleted   Kind = "deleted"   // a user was deleted
	KindEnrolled  Kind = "enrolled"  // a passkey was registered
	KindRefused   Kind = "refused"   // a create, recover, change or delete met a rule of the tenant's
	KindDelivered Kind = "delivered" // somebody's mail arrived over SMTP
	KindReset     Kind = "reset"     // all was forgotten; in the file only
)

// When an effect was committed: while its request waited and undelayed, or
// later.
const (
	AtOnce = "at once"
	Late   = "late"
)

// Entry is one thing that happened.
type Entry struct {
	// Seq counts from 1 and goes on through resets.
	Seq        int64     `json:"seq"`
	Time       time.Time `json:"time"`
	Kind       Kind      `json:"kind"`
	ExternalID string    `json:"external_id,omitempty"`
	InternalID string    `json:"internal_id,omitempty"`
	Email      string    `json:"email,omitempty"`
	// DisplayName and Status are what a change left behind.
	DisplayName string `json:"display_name,omitempty"`
	Status      string `json:"status,omitempty"`
	// Cause is what befell the request: "fault 3" for the fault with that id,
	// "hostility 17 drop_late" for what the 17th call met, "control" for what
	// a test asked of the simulator, and "" for an ordinary request.
	Cause  string `json:"cause,omitempty"`
	Commit string `json:"commit"`
	// Reason is why something was refused, or the subject of what was delivered.
	Reason string `json:"reason,omitempty"`
}

// Ledger is what really happened at the provider, whatever it answered.
type Ledger struct {
	// Entries are in the order of their effects.
	Entries []Entry `json:"entries"`
	// Counts are of all entries, also those that were not asked for.
	Counts map[Kind]int `json:"counts"`
	// Creates counts the users that were created with an external id, for each
	// that Entries create: more than one is a doubled user.
	Creates map[string]int `json:"creates"`
}

// origin is where an effect comes from. It travels in the request's context.
type origin struct {
	cause string
	late  bool
	// letIn says that the token was good when the request arrived: what is
	// carried out later needs none that still lives.
	letIn bool
}

type originKey struct{}

func withOrigin(ctx context.Context, o origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// deed is an effect about to be committed: when, and where it comes from.
type deed struct {
	origin

	at time.Time
}

// deed is what the request is about to do, now.
func (s *Simulator) deed(r *http.Request) deed {
	o, _ := r.Context().Value(originKey{}).(origin)
	return deed{origin: o, at: s.now()}
}

func (d deed) entry(kind Kind) Entry {
	e := Entry{Time: d.at.UTC(), Kind: kind, Cause: d.cause, Commit: AtOnce}
	if d.late {
		e.Commit = Late
	}
	return e
}

func (d deed) about(kind Kind, a *account) Entry {
	e := d.entry(kind)
	e.ExternalID, e.InternalID, e.Email = a.externalID, a.internalID, a.email
	if kind == KindPatched || kind == KindDeleted {
		e.DisplayName, e.Status = a.displayName, a.status
	}
	return e
}

func (d deed) refusedOf(internalID string, reason error) Entry {
	e := d.entry(KindRefused)
	e.InternalID, e.Reason = internalID, reason.Error()
	return e
}

func (d deed) refused(p profile, reason error) Entry {
	e := d.entry(KindRefused)
	e.ExternalID, e.Email, e.Reason = p.externalID, p.email, reason.Error()
	return e
}

// ledger is the state's record of effects, kept under the state's lock.
type ledger struct {
	seq     int64
	entries []Entry
	counts  map[Kind]int
	of      map[string][]int // external id to indexes of entries
	out     io.Writer
	failed  func(error)
}

// add keeps an entry, and has written it out before anybody can be told of the
// effect: a checker that reads the file may outlive us.
func (l *ledger) add(e Entry) {
	e = l.write(e)
	l.entries = append(l.entries, e)
	l.counts[e.Kind]++
	if e.ExternalID != "" {
		l.of[e.ExternalID] = append(l.of[e.ExternalID], len(l.entries)-1)
	}
}

func (l *ledger) write(e Entry) Entry {
	l.seq++
	e.Seq = l.seq
	if l.out == nil {
		return e
	}
	line, err := json.Marshal(e)
	if err == nil {
		_, err = l.out.Write(append(line, '\n'))
	}
	if err != nil && l.failed != nil {
		l.failed(err)
	}
	return e
}

// reset forgets. The file keeps all, and says that there was a reset.
func (l *ledger) reset(now time.Time) {
	if l.seq > 0 {
		l.write(deed{at: now}.entry(KindReset))
	}
	l.entries, l.counts, l.of = nil, map[Kind]int{}, map[string][]int{}
}

// after is what happened after an entry, to one external id unless it is "".
func (l *ledger) after(seq int64, externalID string) []Entry {
	if externalID == "" {
		// Sequence numbers have no gaps, and entries never change: a part of
		// the slice is as good as a copy.
		gone := 0
		if len(l.entries) > 0 {
			gone = int(min(max(seq-l.entries[0].Seq+1, 0), int64(len(l.entries))))
		}
		return l.entries[gone:len(l.entries):len(l.entries)]
	}
	var found []Entry
	for _, i := range l.of[externalID] {
		if e := l.entries[i]; e.Seq > seq {
			found = append(found, e)
		}
	}
	return found
}

func (s *state) ledgerAfter(seq int64, externalID string) Ledger {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := Ledger{Entries: s.ledger.after(seq, externalID), Counts: maps.Clone(s.ledger.counts), Creates: map[string]int{}}
	for _, e := range l.Entries {
		if e.Kind == KindCreated {
			l.Creates[e.ExternalID] = s.creates[e.ExternalID]
		}
	}
	return l
}
