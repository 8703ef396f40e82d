package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/portico-id/portico/cmd/internal/program"
)

// provider is a stand-in for Beyond Identity that takes so long to create
// anybody. It is no simulator: it costs as little as it can.
func provider(latency time.Duration) contestant {
	return contestant{
		id: fmt.Sprintf("provider-%s", latency), title: fmt.Sprintf("a provider that takes %s", latency), role: bystander,
		serve: func(ctx context.Context, _ setting, ready func(address string)) error {
			mux := http.NewServeMux()
			mux.HandleFunc("POST /v1/manage/users", func(w http.ResponseWriter, r *http.Request) {
				var user struct {
					ExternalID string `json:"external_id"`
				}
				if err := json.NewDecoder(r.Body).Decode(&user); err != nil {
					w.WriteHeader(http.StatusBadRequest)
					return
				}
				select {
				case <-time.After(latency):
				case <-r.Context().Done():
					return
				}
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprintf(w, `{"internal_id":"int-%s","external_id":%q}`, user.ExternalID, user.ExternalID)
			})
			return serveHandler(ctx, mux, ready)
		},
	}
}

// latencies are what the provider takes, and the share of the ideal, which is
// creates at once ÷ latency, that provisioning must reach.
func latencies() map[time.Duration]float64 {
	return map[time.Duration]float64{0: 0, 50 * time.Millisecond: 0.8}
}

// carrier is Portico where provisioning is measured.
func carrier() contestant {
	return contestant{id: "carrier", title: "Portico", role: ours, serve: servePortico(
		// The stand-in speaks plain http, which is for this machine only.
		"PORTICO_PUBLIC_URL=http://localhost:8080", "PORTICO_FRONTEND_ORIGINS=http://localhost:3000",
		"PORTICO_ALLOW_INSECURE_LOCALHOST=true", "PORTICO_BEYOND_LOOKUP=none",
	)}
}

// provisioned is the outcome at one latency.
type provisioned struct {
	latency   time.Duration
	perSecond float64
	cpu       time.Duration // of Portico, for each user
}

// ratio is to the ideal, or 0 where there is none.
func (p provisioned) ratio() float64 {
	return p.perSecond * p.latency.Seconds() / program.CreatesAtOnce
}

// measureProvisioning lets sign-ups go that have waited, and sees how long the
// last takes longer than the first.
func measureProvisioning(ctx context.Context, o options, latency time.Duration) (p provisioned, err error) {
	db, err := newDatabase(ctx, o.sessions)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, db.close(ctx)) }()
	if err := db.exec(ctx, fmt.Sprintf(waitingSignups, o.signups), waitingJobs, `ANALYZE signups, river_job`,
		`UPDATE river_queue SET paused_at = NULL`); err != nil {
		return p, err
	}
	there, err := start(ctx, provider(latency), setting{}, "")
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, there.stop()) }()
	portico, err := start(ctx, carrier(), setting{DatabaseURL: db.url, ProviderURL: "http://" + there.address}, o.profile)
	if err != nil {
		return p, err
	}
	took, err := db.carried(ctx, o.signups)
	if err = errors.Join(err, portico.stop()); err != nil {
		return p, err
	}
	return provisioned{latency, float64(o.signups) / took.Seconds(), portico.spent().cpu / time.Duration(o.signups)}, nil
}

const (
	waitingSignups = `INSERT INTO signups (id, receipt_hash, locale, terms_version, created_at, candidate_id, email, email_canonical,
			display_name, resend_after)
		SELECT CAST('019d2c5e-7c1b-7b7e-9f3c-' || lpad(i::text, 12, '0') AS uuid), sha256(convert_to('receipt ' || i, 'UTF8')), '', '',
			now(), CAST('019d2c5e-7c1c-7b7e-9f3c-' || lpad(i::text, 12, '0') AS uuid), 'new' || i || '@example.com',
			'new' || i || '@example.com', 'New ' || i, now() + interval '1 minute'
		FROM generate_series(1, %d) i`
	waitingJobs = `INSERT INTO river_job (args, kind, max_attempts, metadata, priority, queue, scheduled_at, state, tags)
		SELECT jsonb_build_object('signup_id', id), 'signup', 10000, '{}', 1, 'default', now(), 'available', '{}' FROM signups`
)

// carried waits for the users and returns how long they took, from the first to
// the last.
func (d *database) carried(ctx context.Context, users int) (time.Duration, error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); wait(ctx, 100*time.Millisecond) {
		var done int
		var took float64
		err := conn.QueryRow(ctx, `SELECT count(*), COALESCE(extract(epoch FROM max(updated_at) - min(updated_at)), 0)::float8
			FROM users WHERE status = 'invited'`).Scan(&done, &took)
		if err != nil {
			return 0, err
		}
		if done == users {
			return time.Duration(took * float64(time.Second)), nil
		}
	}
	return 0, errors.New("provisioning: not all users have arrived")
}

// printProvisioning measures and prints provisioning. It reports whether a rate
// is below half its target, which is a share of the ideal or, where others take
// so much of the machine that this is out of reach, of what the machine can do:
// a user who is carried is the work of some six sign-ups by hand.
func printProvisioning(ctx context.Context, o options, databaseURL string, all *summary, out io.Writer) (slow bool, err error) {
	most := math.Inf(1)
	if o.check {
		byHand, err := signupsByHand(ctx, o, databaseURL)
		if err != nil {
			return false, err
		}
		most = byHand / 6
	}
	fmt.Fprintf(out, "\nprovisioning of %d sign-ups that wait, %d creates at once\n  %-34s%12s%12s%12s%12s\n",
		o.signups, program.CreatesAtOnce, "provider's latency", "users/s", "of ideal", "target", "CPU, ms")
	for _, latency := range []time.Duration{0, 50 * time.Millisecond} {
		p, err := measureProvisioning(ctx, o, latency)
		if err != nil {
			return slow, err
		}
		share, target := "", ""
		if want := latencies()[latency]; want > 0 {
			share, target = fmt.Sprintf("%.2f", p.ratio()), fmt.Sprintf("%.2f", want)
			reachable := min(program.CreatesAtOnce/latency.Seconds(), most)
			slow = slow || p.perSecond < reachable*want/2
		}
		l := line{what: fmt.Sprintf("provisioning at %s, users a second", latency), ours: thousands(p.perSecond), ratio: share, target: target}
		if latency > 0 {
			l.theirs = thousands(program.CreatesAtOnce/latency.Seconds()) + ", the ideal"
		}
		all.put(l)
		fmt.Fprintf(out, "  %-34s%12.0f%12s%12s%12.2f\n", latency, p.perSecond, share, target, p.cpu.Seconds()*1000)
	}
	return slow, nil
}

// signupsByHand is how many sign-ups a second the best of those by hand stores
// just now.
func signupsByHand(ctx context.Context, o options, databaseURL string) (best float64, err error) {
	c := signupContest()
	c.connections = []int{64}
	c.contestants = slices.DeleteFunc(c.contestants, func(c contestant) bool { return c.role != baseline })
	t, err := c.run(ctx, o, databaseURL)
	if err != nil {
		return 0, err
	}
	for _, contestant := range c.contestants {
		best = max(best, t.perSecond(contestant, c.connections[0]))
	}
	return best, nil
}
