package gate_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/gate"
	"github.com/portico-id/portico/internal/store/storetest"
)

// model is the package comment's table, told as plainly as can be: nothing in
// it is concurrent or stored. Times are microseconds since the walk began.
type model struct {
	perMinute int
	now       int64
	level     int64   // of the bucket: a call takes perCall out of it
	granted   []int64 // when calls were let through
	because   gate.Reason
	until     int64
	failures  int
	closures  int
	epoch     int // of what a probe can open
	refused   string
	knows     []string // by replica: the token that it was last refused with
	triedAt   []int64  // by replica: when it last tried a refused token
	permits   []modelPermit
}

type modelPermit struct {
	permit  gate.Permit
	replica int
	token   string
	probe   bool
	epoch   int
	hold    int64
}

const (
	second = int64(1_000_000)
	minute = 60 * second
)

func (m *model) burst() int64 { return int64(min(m.perMinute, max(2, m.perMinute/10))) }

// perCall is how long the bucket takes to win back one call.
func (m *model) perCall() int64 {
	if m.perMinute == 0 {
		return 0
	}
	steady := int64(m.perMinute) - m.burst() + 1
	return (minute + steady - 1) / steady
}

func (m *model) pass(d int64) {
	m.now += d
	m.level = min(m.burst()*m.perCall(), m.level+d)
}

// enough reports whether the lane finds its call in the bucket, and what it
// leaves to those above.
func (m *model) enough(lane gate.Lane) bool {
	spare := (m.burst() - 1) * m.perCall()
	return m.level >= m.perCall()+spare-spare*int64(gate.Reconcile-lane)/4
}

// admit says who may pass. The reason is "" for a permit.
func (m *model) admit(replica int, token string, lane gate.Lane) (because gate.Reason, probe bool) {
	if m.refused == token {
		m.knows[replica] = token
	}
	operator := m.because == gate.Unauthorized || m.because == gate.Misconfigured
	if m.because != "" {
		left := m.until - m.now
		newToken := operator && token != m.refused && token != m.knows[replica] && left > 15*second
		if left > 0 && !newToken {
			return m.because, false
		}
	}
	if !m.enough(lane) {
		return gate.OverBudget, false
	}
	if m.because == "" && m.refused == token {
		if m.triedAt[replica] >= 0 && m.now-m.triedAt[replica] < minute {
			return gate.Unauthorized, false
		}
		m.triedAt[replica] = m.now
	}
	if m.because != "" {
		m.until = m.now + 15*second
	}
	m.level -= m.perCall()
	m.granted = append(m.granted, m.now)
	return "", m.because != ""
}

func (m *model) done(p modelPermit, inUse string, class beyondidentity.Class, retryAfter int64) {
	deciding := p.probe && m.because != "" && p.epoch == m.epoch
	switch class {
	case beyondidentity.Unauthorized, beyondidentity.Misconfigured:
		if inUse != p.token {
			m.unused(p)
			return
		}
		m.knows[p.replica] = p.token
		if m.because == "" && m.refused == p.token {
			return
		}
		if m.because == gate.Unauthorized || m.because == gate.Misconfigured {
			if !deciding {
				return
			}
		}
		m.close(gate.Reason(class), m.now+minute, deciding)
		m.refused = p.token
	case beyondidentity.RateLimited:
		wait, limit := retryAfter, minute
		closures := m.closures
		if m.because != "" && !deciding {
			closures = max(closures-1, 0)
		}
		if wait == 0 {
			wait = 10 * second
			for range closures {
				wait = min(2*wait, limit)
			}
		}
		switch {
		case m.because == "" || deciding:
			m.close(gate.RateLimited, m.now+wait, deciding)
		case m.because != gate.Unauthorized && m.because != gate.Misconfigured && m.now+wait > m.until:
			if m.because != gate.RateLimited {
				m.epoch++
			}
			m.because, m.until = gate.RateLimited, m.now+wait
		}
	case beyondidentity.Unreachable, beyondidentity.Ambiguous:
		if m.because == "" {
			m.failures++
			if m.failures < 5 {
				return
			}
		} else if !deciding {
			return
		}
		wait := second
		for range m.closures {
			wait = min(2*wait, 30*second)
		}
		m.close(gate.Failing, m.now+wait, deciding)
	default: // an answer
		if m.knows[p.replica] == p.token {
			m.knows[p.replica] = "none"
		}
		if m.because == "" || deciding {
			m.because, m.failures, m.closures = "", 0, 0
			m.epoch++
			if m.refused == p.token {
				m.refused = ""
			}
		}
	}
}

func (m *model) close(because gate.Reason, until int64, probe bool) {
	if m.because != "" && !probe {
		until = max(until, m.until)
	}
	m.because, m.until = because, until
	m.closures++
	m.epoch++
}

func (m *model) unused(p modelPermit) {
	if p.probe && m.because != "" && p.epoch == m.epoch && p.hold == m.until {
		m.until = m.now
	}
}

func TestTheGateDoesWhatItsTableSays(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL, 3, 0)
		walks := 0
		rapid.Check(t, func(rt *rapid.T) {
			walks++
			if walks <= 5 || !testing.Short() {
				walk(t, rt, w)
			}
		})
	})
}

// walk takes a random walk and holds every answer against the model's.
func walk(t *testing.T, rt *rapid.T, w *world) {
	t.Helper()
	start := w.clock.now().UTC().Truncate(time.Microsecond)
	last, err := w.replicas[0].Store.LoadGate(t.Context())
	if err != nil {
		rt.Fatal(err)
	}
	if ok, err := w.replicas[0].Store.SwapGate(t.Context(), last, gate.State{EmptyAt: start.Add(-time.Hour)}); !ok || err != nil {
		rt.Fatal(ok, err)
	}
	m := &model{perMinute: rapid.SampledFrom([]int{0, 0, 0, 1, 5, 60, 600}).Draw(rt, "a minute")}
	m.level = m.burst() * m.perCall()
	for _, r := range w.replicas {
		fresh := &gate.Gate{Store: r.Store, PerMinute: m.perMinute, Token: r.inUse, Now: r.Now, Log: r.Log}
		r.Gate = fresh
		r.replace("token-1")
		m.knows = append(m.knows, "none")
		m.triedAt = append(m.triedAt, -1)
	}
	steps := map[string]func(*rapid.T){
		"pass": func(rt *rapid.T) {
			d := rapid.OneOf(
				rapid.Int64Range(0, second), rapid.Int64Range(0, 20*second), rapid.SampledFrom([]int64{second, 10 * second, 15 * second, minute}),
			).Draw(rt, "time")
			w.clock.advance(time.Duration(d) * time.Microsecond)
			m.pass(d)
		},
		"wait for the probe": func(*rapid.T) {
			if d := m.until - m.now; m.because != "" && d > 0 {
				w.clock.advance(time.Duration(d) * time.Microsecond)
				m.pass(d)
			}
		},
		"replace": func(rt *rapid.T) {
			r := rapid.SampledFrom(w.replicas).Draw(rt, "replica")
			r.replace(rapid.SampledFrom([]string{"token-1", "token-2", "token-3"}).Draw(rt, "token"))
		},
		"admit": func(rt *rapid.T) {
			i := rapid.IntRange(0, len(w.replicas)-1).Draw(rt, "replica")
			lane := rapid.SampledFrom([]gate.Lane{gate.Signup, gate.Signup, gate.Resend, gate.Change, gate.Import, gate.Reconcile}).Draw(rt, "lane")
			m.admits(t.Context(), rt, w.replicas[i], i, lane)
		},
		"done": func(rt *rapid.T) {
			if len(m.permits) == 0 {
				return
			}
			p := m.take(rt)
			class := rapid.SampledFrom([]beyondidentity.Class{
				"", "", beyondidentity.NotFound, beyondidentity.Conflict, beyondidentity.Rejected, beyondidentity.Duplicate,
				beyondidentity.Ambiguous, beyondidentity.Ambiguous, beyondidentity.Ambiguous, beyondidentity.Unreachable,
				beyondidentity.RateLimited, beyondidentity.Unauthorized, beyondidentity.Misconfigured,
			}).Draw(rt, "class")
			var err error
			var retryAfter time.Duration
			if class == beyondidentity.RateLimited {
				retryAfter = time.Duration(rapid.SampledFrom([]int{0, 1, 20, 3600}).Draw(rt, "retry after")) * time.Second
				err = rateLimited(retryAfter)
			} else if class != "" {
				err = failure(class)
			}
			p.permit.Done(t.Context(), err)
			m.done(p, w.replicas[p.replica].inUse(), class, retryAfter.Microseconds())
		},
		"unused": func(rt *rapid.T) {
			if len(m.permits) > 0 {
				p := m.take(rt)
				p.permit.Unused(t.Context())
				m.unused(p)
			}
		},
		"": func(rt *rapid.T) {
			s, err := w.replicas[0].Store.LoadGate(t.Context())
			if err != nil {
				rt.Fatal(err)
			}
			if s.Because != m.because || s.Closures != m.closures || s.RefusedToken != m.refused || s.Open() && s.Failures != m.failures ||
				!s.Open() && s.Until.Sub(start).Microseconds() != m.until {
				rt.Fatalf("stored %+v, until %d\nnot %+v", s, s.Until.Sub(start).Microseconds(), *m)
			}
			for i := range m.granted {
				if n := m.perMinute; n > 0 && i >= n && m.granted[i]-m.granted[i-n] < minute {
					rt.Fatalf("more than %d calls in a minute: %v", n, m.granted)
				}
			}
		},
	}
	for range 2 { // what is worth finding takes more than thirty steps
		rt.Repeat(steps)
	}
}

// admits asks the gate and the model, and compares.
func (m *model) admits(ctx context.Context, rt *rapid.T, r *replica, i int, lane gate.Lane) {
	token := r.inUse()
	want, probe := m.admit(i, token, lane)
	permit, err := r.Admit(ctx, lane)
	var got gate.Reason
	if closed, ok := errors.AsType[*gate.ClosedError](err); ok {
		got = closed.Because
		if closed.Wait <= 0 {
			rt.Fatalf("to wait for %s", closed.Wait)
		}
	} else if err != nil {
		rt.Fatal(err)
	}
	if got != want {
		rt.Fatalf("lane %d of replica %d: %q, not %q\n%+v", lane, i, got, want, *m)
	}
	if err == nil {
		m.permits = append(m.permits, modelPermit{permit: permit, replica: i, token: token, probe: probe, epoch: m.epoch, hold: m.until})
	}
}

// take takes any permit: calls overtake each other.
func (m *model) take(rt *rapid.T) modelPermit {
	i := rapid.IntRange(0, len(m.permits)-1).Draw(rt, "permit")
	p := m.permits[i]
	m.permits = append(m.permits[:i:i], m.permits[i+1:]...)
	return p
}
