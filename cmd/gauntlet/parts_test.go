package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/failpoint"
)

func TestTheSameSeedIsTheSamePlan(t *testing.T) {
	t.Parallel()
	plan := func(seed uint64) (specs []string) {
		f := &fleet{options: options{seed: seed, pointChance: 0.8, points: failpoint.Points}}
		r := f.options.random("failpoints of replica 0")
		for range 50 {
			specs = append(specs, f.arm(r).String())
		}
		return specs
	}
	if !reflect.DeepEqual(plan(1), plan(1)) {
		t.Error("one seed has two plans")
	}
	if reflect.DeepEqual(plan(1), plan(2)) {
		t.Error("two seeds have one plan")
	}
	for _, spec := range plan(3) {
		if _, err := failpoint.Parse(spec); err != nil {
			t.Error(err)
		}
	}
}

func TestActorsHavePlansOfTheirOwn(t *testing.T) {
	t.Parallel()
	o := options{seed: 1}
	if o.random("a").Uint64() == o.random("b").Uint64() {
		t.Error("two actors do the same")
	}
}

func TestACalmFleetHasNoFailpoints(t *testing.T) {
	t.Parallel()
	f := &fleet{options: options{seed: 1, pointChance: 1, points: failpoint.Points}}
	f.calm.Store(true)
	if spec := f.arm(f.options.random("x")); len(spec.Rules) != 0 {
		t.Error(spec)
	}
}

func TestEverySpellingIsTheSameAddress(t *testing.T) {
	t.Parallel()
	r := newDice(1, 1)
	spellings := make(map[string]bool)
	for who := range 30 {
		for range 20 {
			typed := spelling(who, r)
			spellings[typed] = true
			if compared(typed) != canonical(who) {
				t.Errorf("%q is not %q", typed, canonical(who))
			}
		}
	}
	if len(spellings) < 60 {
		t.Errorf("only %d spellings", len(spellings))
	}
}

// echo is a server that answers each line with itself, and says what it got.
func echo(t *testing.T) (string, chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	got := make(chan string, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for lines := bufio.NewReader(conn); ; {
					line, err := lines.ReadString('\n')
					if err != nil {
						return
					}
					got <- line
					_, _ = io.WriteString(conn, line)
				}
			}()
		}
	}()
	return l.Addr().String(), got
}

func TestALostCommitArrivesAndIsNotAnswered(t *testing.T) {
	t.Parallel()
	target, got := echo(t)
	p := &dbProxy{options: options{cutCommits: 1}, count: newCounters(), target: target, random: newDice(1, 1)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go p.serve(l)

	for _, calm := range []bool{false, true} {
		p.calm.Store(calm)
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		answers := bufio.NewReader(conn)
		_, _ = io.WriteString(conn, "select\n")
		if line, err := answers.ReadString('\n'); err != nil || line != "select\n" || <-got != line {
			t.Fatal(line, err)
		}
		_, _ = io.WriteString(conn, "commit\x00\n")
		if line := <-got; line != "commit\x00\n" {
			t.Errorf("the server got %q", line)
		}
		line, err := answers.ReadString('\n')
		if calm != (err == nil) || calm != (line != "") {
			t.Errorf("calm %v: the client got %q, %v", calm, line, err)
		}
	}
	if n := p.count.lostCommits.Load(); n != 1 {
		t.Errorf("%d were counted", n)
	}
}

func TestTheBalancerHandsTheSameRequestOn(t *testing.T) {
	t.Parallel()
	answers := map[string]http.HandlerFunc{
		"breaks": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"cannot": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"is slow": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client has gone
			<-r.Context().Done()
		},
	}
	for name, bad := range answers {
		t.Run("to the next when one "+name, func(t *testing.T) {
			t.Parallel()
			good := func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				w.WriteHeader(http.StatusAccepted)
				_, _ = io.WriteString(w, r.Header.Get("Idempotency-Key")+" "+string(body))
			}
			var replicas []*replica
			for _, handler := range []http.HandlerFunc{bad, good} {
				s := httptest.NewServer(handler)
				t.Cleanup(s.Close)
				replicas = append(replicas, &replica{api: strings.TrimPrefix(s.URL, "http://")})
			}
			b := newBalancer(newCounters(), replicas, 1)
			t.Cleanup(b.client.CloseIdleConnections)
			b.turn.Store(1) // the bad one comes first
			sent := 0
			a := b.do(t.Context(), call{
				method: http.MethodPost, path: "/signup", body: "{}", patience: time.Second,
				header: map[string]string{"Idempotency-Key": "k"}, sends: func() { sent++ },
			})
			if a.status != http.StatusAccepted || string(a.body) != "k {}" || sent != 2 || b.count.replays.Load() != 1 {
				t.Errorf("%d %s after %d sent and %d replays", a.status, a.body, sent, b.count.replays.Load())
			}
		})
	}
}

func TestALogIsReadLineByLine(t *testing.T) {
	t.Parallel()
	l := newProcessLog(secrets{"the token": "canary-1"}, newCounters(), nil)
	for _, part := range []string{
		`{"msg":"rea`, "dy\"}\n", "failpoint: create.before passed\nfailpoint: create.before killed\n",
		"nothing\nhere is cana", "ry-1\npanic: at the disco\n", "half a line with canary-1",
	} {
		if n, err := l.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	select {
	case <-l.ready:
	default:
		t.Error("it is not ready")
	}
	e := l.end()
	if e.killed != "create.before" || len(e.leaks) != 1 || len(e.panics) != 1 {
		t.Errorf("%+v", e)
	}
	if unseen := l.count.unseen([]string{"create.before", "create.after"}); len(unseen) != 1 || unseen[0] != "create.after" {
		t.Errorf("not passed: %v", unseen)
	}
}
