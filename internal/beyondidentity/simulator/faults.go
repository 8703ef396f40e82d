package simulator

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Commit says what becomes of a faulty request's effect; see the package's
// documentation.
type Commit string

// The four fates of an effect.
const (
	CommitBefore Commit = "before"
	CommitAfter  Commit = "after"
	CommitLate   Commit = "late"
	CommitNever  Commit = "never"
)

// maxDelay bounds a fault's delay, in milliseconds, and maxAnswer what it counts
// of an answer, in bytes.
const (
	maxDelay  = 10 * 60 * 1000
	maxAnswer = 16 << 20
)

// Match says which requests a fault hits.
type Match struct {
	// Method is an HTTP method; empty matches any. "SMTP" is the mail sink's,
	// and empty does not match it.
	Method string `json:"method,omitempty"`
	// Path is compared whole, or up to a trailing *. At the mail sink it is
	// "rcpt" or "data".
	Path string `json:"path"`
}

func (m Match) hits(method, path string) bool {
	if m.Method != method && (m.Method != "" || method == methodSMTP) {
		return false
	}
	if prefix, ok := strings.CutSuffix(m.Path, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return path == m.Path
}

// Effect is what a fault does to a request it hits.
type Effect struct {
	// Status of the faulty answer; 0 keeps the true one.
	Status int `json:"status,omitempty"`
	// Body of the faulty answer: a JSON string is sent as the text it holds,
	// any other value as JSON.
	Body jsontext.Value `json:"body,omitempty"`
	// BodyKind names a malformed or foreign body, made of the true one.
	BodyKind BodyKind `json:"body_kind,omitempty"`
	// LimitKind answers that there have been too many calls, with one of the
	// ways to say for how long; without Status it is a 429.
	LimitKind LimitKind `json:"limit_kind,omitempty"`
	// LimitSeconds is for how long, where the kind can say so; 0 means 1.
	LimitSeconds int `json:"limit_seconds,omitempty"`
	// Headers are set on the answer.
	Headers map[string]string `json:"headers,omitempty"`
	DelayMS int               `json:"delay_ms,omitempty"`
	Commit  Commit            `json:"commit,omitempty"`
	// Drop closes the connection instead of answering.
	Drop bool `json:"drop,omitempty"`
	// DropAfter closes the connection after so many bytes of the answer, the
	// status line and the headers included.
	DropAfter *int `json:"drop_after,omitempty"`
	// Reset makes a TCP reset of the close.
	Reset bool `json:"reset,omitempty"`
	// DripMS is the pause after each DripBytes of the answer, headers included.
	DripMS int `json:"drip_ms,omitempty"`
	// DripBytes is 64 unless it is said.
	DripBytes int `json:"drip_bytes,omitempty"`
}

func (e Effect) delay() time.Duration { return time.Duration(e.DelayMS) * time.Millisecond }

// answers tells an effect that changes the answer's status, headers or body.
func (e Effect) answers() bool {
	return e.Status != 0 || len(e.Body) > 0 || len(e.Headers) > 0 || e.BodyKind != ""
}

// silent tells an effect of which not one byte goes out.
func (e Effect) silent() bool { return e.Drop || e.DropAfter != nil && *e.DropAfter == 0 }

// Fault is an Effect for the requests that match.
type Fault struct {
	ID     string `json:"id"`
	Match  Match  `json:"match"`
	Effect Effect `json:"fault"`
	// Times is how many requests it hits; 0 means until it is cleared.
	Times int `json:"times,omitempty"`
	// Probability that a matching request is hit; 0 means always.
	Probability float64 `json:"probability,omitempty"`
	// Flap lets the fault act in its down periods only; nil means always.
	Flap *Flap `json:"flap,omitempty"`
	// Hits counts the requests it has hit. Along with ID, it is given back and
	// not taken.
	Hits int `json:"hits"`

	since time.Time // when it was armed
	met   int       // how many requests matched while it could act
}

// FaultError says why a fault could never act as it says.
type FaultError struct{ Field, Reason string }

func (e *FaultError) Error() string { return e.Field + ": " + e.Reason }

// normalise gives a fault its defaults and checks it. It returns a *FaultError.
func (f *Fault) normalise() error {
	f.Effect.normalise()
	switch {
	case f.Times < 0:
		return wrong("times", "cannot be negative")
	case f.Probability < 0 || f.Probability > 1:
		return wrong("probability", "is not between 0 and 1")
	}
	e := f.Effect
	checks := []func() error{f.Match.check, f.Flap.check, e.checkRanges, e.checkNames, e.checkSense, e.checkPairs}
	if f.Match.Method == methodSMTP {
		checks = append(checks, e.checkSMTP)
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (e *Effect) normalise() {
	if e.LimitKind != "" && e.Status == 0 {
		e.Status = http.StatusTooManyRequests
	}
	if e.Commit == "" {
		e.Commit = CommitBefore
		if e.Drop || e.Status >= 400 {
			e.Commit = CommitNever
		}
	}
}

func wrong(field, format string, args ...any) error {
	return &FaultError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

func (m Match) check() error {
	switch {
	case m.Method == methodSMTP:
		if m.Path != smtpRcpt && m.Path != smtpData {
			return wrong("match.path", "the mail sink has %q and %q", smtpRcpt, smtpData)
		}
	case m.Path == "":
		return wrong("match.path", `required; "*" matches every path`)
	case m.Path != "*" && m.Path != "/*" && !isVendorPath(m.Path):
		return wrong("match.path", "faults apply below /v1/ and /v2/ only")
	case strings.Contains(strings.TrimSuffix(m.Path, "*"), "*"):
		return wrong("match.path", "takes one * and only at its end")
	case m.Method != strings.ToUpper(m.Method):
		return wrong("match.method", "methods are written in capitals")
	}
	return nil
}

func (e Effect) checkRanges() error {
	if e.Status != 0 && (e.Status < 200 || e.Status > 599) {
		return wrong("fault.status", "%d is not between 200 and 599", e.Status)
	}
	after := 0
	if e.DropAfter != nil {
		after = *e.DropAfter
	}
	for _, r := range []struct {
		field      string
		value, max int
	}{
		{"fault.delay_ms", e.DelayMS, maxDelay},
		{"fault.drop_after", after, maxAnswer},
		{"fault.drip_ms", e.DripMS, maxDelay},
		{"fault.drip_bytes", e.DripBytes, maxAnswer},
		{"fault.limit_seconds", e.LimitSeconds, maxDelay},
	} {
		if r.value < 0 || r.value > r.max {
			return wrong(r.field, "%d is not between 0 and %d", r.value, r.max)
		}
	}
	return nil
}

func (e Effect) checkNames() error {
	switch {
	case !slices.Contains([]Commit{CommitBefore, CommitAfter, CommitLate, CommitNever}, e.Commit):
		return wrong("fault.commit", "%q is none of before, after, late, never", e.Commit)
	case e.BodyKind != "" && !slices.Contains(BodyKinds(), e.BodyKind):
		return wrong("fault.body_kind", "%q is none of %q", e.BodyKind, BodyKinds())
	case e.LimitKind != "" && !slices.Contains(LimitKinds(), e.LimitKind):
		return wrong("fault.limit_kind", "%q is none of %q", e.LimitKind, LimitKinds())
	}
	for name, value := range e.Headers {
		if name == "" || strings.ContainsAny(name, " :\t\r\n\x00") || strings.ContainsAny(value, "\r\n\x00") {
			return wrong("fault.headers", "%q is no header", name)
		}
	}
	return nil
}

// checkSense refuses what would do nothing or contradicts itself.
func (e Effect) checkSense() error {
	answers := e.answers()
	breaks := e.Drop || e.DropAfter != nil
	switch {
	case e.Drop && (answers || e.DropAfter != nil || e.DripMS > 0):
		return wrong("fault.drop", "a dropped connection carries no status, body or headers")
	case e.Reset && !breaks:
		return wrong("fault.reset", "is a way to drop: it needs drop or drop_after")
	case !breaks && !answers && e.DelayMS == 0 && e.DripMS == 0:
		return wrong("fault", "does nothing: give it a status, body, headers, delay_ms, drip_ms or drop")
	}
	return nil
}

// checkPairs refuses one field without, or beside, another.
func (e Effect) checkPairs() error {
	switch {
	case !e.silent() && e.Status == 0 && (e.Commit == CommitLate || e.Commit == CommitNever):
		return wrong("fault.commit", "%q needs a status or drop, since there is no true answer", e.Commit)
	case e.DripBytes > 0 && e.DripMS == 0:
		return wrong("fault.drip_bytes", "needs drip_ms")
	case e.BodyKind != "" && len(e.Body) > 0:
		return wrong("fault.body_kind", "goes without a body of your own")
	case e.LimitSeconds > 0 && e.LimitKind == "":
		return wrong("fault.limit_seconds", "needs limit_kind")
	}
	return nil
}

// text is the body as it goes out, and its default content type.
func (e Effect) text() (body []byte, contentType string) {
	var s string
	if json.Unmarshal(e.Body, &s) == nil && e.Body.Kind() == '"' {
		return []byte(s), "text/plain; charset=utf-8"
	}
	return e.Body, "application/json"
}

// faultList holds the armed faults, oldest first.
type faultList struct {
	mu   sync.Mutex
	next int
	list []Fault
}

func (l *faultList) add(f Fault, now time.Time) (string, error) {
	if err := f.normalise(); err != nil {
		return "", err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	f.ID, f.Hits, f.since, f.met = strconv.Itoa(l.next), 0, now, 0
	l.list = append(l.list, f)
	return f.ID, nil
}

func (l *faultList) all() []Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Fault{}, l.list...)
}

func (l *faultList) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = nil
}

// take gives the fault that hits this request and counts the hit.
func (l *faultList) take(method, path string, now time.Time) (Fault, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.list {
		f := &l.list[i]
		if f.Times > 0 && f.Hits >= f.Times || !f.Match.hits(method, path) {
			continue
		}
		f.met++
		switch {
		case !f.Flap.isDown(f.met, now.Sub(f.since)):
		case f.Probability > 0 && rand.Float64() >= f.Probability: //nolint:gosec,forbidigo // chance, not a secret
		default:
			f.Hits++
			return *f, true
		}
	}
	return Fault{}, false
}
