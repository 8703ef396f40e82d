package simulator

import (
	"fmt"
	"math/rand/v2"
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

// maxDelay bounds a fault's delay, in milliseconds.
const maxDelay = 10 * 60 * 1000

// Match says which requests a fault hits.
type Match struct {
	// Method is an HTTP method; empty matches any.
	Method string `json:"method,omitempty"`
	// Path is compared whole, or up to a trailing *.
	Path string `json:"path"`
}

func (m Match) hits(method, path string) bool {
	if m.Method != "" && m.Method != method {
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
	// Headers are set on the answer.
	Headers map[string]string `json:"headers,omitempty"`
	DelayMS int               `json:"delay_ms,omitempty"`
	Commit  Commit            `json:"commit,omitempty"`
	// Drop closes the connection instead of answering.
	Drop bool `json:"drop,omitempty"`
}

func (e Effect) delay() time.Duration { return time.Duration(e.DelayMS) * time.Millisecond }

// Fault is an Effect for the requests that match.
type Fault struct {
	ID     string `json:"id"`
	Match  Match  `json:"match"`
	Effect Effect `json:"fault"`
	// Times is how many requests it hits; 0 means until it is cleared.
	Times int `json:"times,omitempty"`
	// Probability that a matching request is hit; 0 means always.
	Probability float64 `json:"probability,omitempty"`
	// Hits counts the requests it has hit. Along with ID, it is given back and
	// not taken.
	Hits int `json:"hits"`
}

// FaultError says why a fault could never act as it says.
type FaultError struct{ Field, Reason string }

func (e *FaultError) Error() string { return e.Field + ": " + e.Reason }

// normalise gives a fault its defaults and checks it. It returns a *FaultError.
func (f *Fault) normalise() error {
	e := &f.Effect
	if e.Commit == "" {
		e.Commit = CommitBefore
		if e.Drop || e.Status >= 400 {
			e.Commit = CommitNever
		}
	}
	switch {
	case f.Times < 0:
		return wrong("times", "cannot be negative")
	case f.Probability < 0 || f.Probability > 1:
		return wrong("probability", "is not between 0 and 1")
	}
	for _, check := range []func() error{f.Match.check, e.checkRanges, e.checkSense} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func wrong(field, format string, args ...any) error {
	return &FaultError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

func (m Match) check() error {
	switch {
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
	switch {
	case e.Status != 0 && (e.Status < 200 || e.Status > 599):
		return wrong("fault.status", "%d is not between 200 and 599", e.Status)
	case e.DelayMS < 0 || e.DelayMS > maxDelay:
		return wrong("fault.delay_ms", "%d is not between 0 and %d", e.DelayMS, maxDelay)
	case !slices.Contains([]Commit{CommitBefore, CommitAfter, CommitLate, CommitNever}, e.Commit):
		return wrong("fault.commit", "%q is none of before, after, late, never", e.Commit)
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
	answers := e.Status != 0 || len(e.Body) > 0 || len(e.Headers) > 0
	switch {
	case e.Drop && answers:
		return wrong("fault.drop", "a dropped connection carries no status, body or headers")
	case !e.Drop && e.Status == 0 && (e.Commit == CommitLate || e.Commit == CommitNever):
		return wrong("fault.commit", "%q needs a status or drop, since there is no true answer", e.Commit)
	case !e.Drop && !answers && e.DelayMS == 0:
		return wrong("fault", "does nothing: give it a status, body, headers, delay_ms or drop")
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

func (l *faultList) add(f Fault) (string, error) {
	if err := f.normalise(); err != nil {
		return "", err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	f.ID, f.Hits = strconv.Itoa(l.next), 0
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

// take gives the effect of the fault that hits this request and counts the hit.
func (l *faultList) take(method, path string) (Effect, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.list {
		f := &l.list[i]
		switch {
		case f.Times > 0 && f.Hits >= f.Times:
		case !f.Match.hits(method, path):
		case f.Probability > 0 && rand.Float64() >= f.Probability: //nolint:gosec,forbidigo // chance, not a secret
		default:
			f.Hits++
			return f.Effect, true
		}
	}
	return Effect{}, false
}
