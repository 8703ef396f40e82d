package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
)

const (
	apiToken     = "canary-api-token-6f1d2c3b"
	clientSecret = "canary-client-secret-9a8b7c6d"
)

// provider is the simulator in this process: its ledger survives whatever
// happens to the processes under test.
type provider struct {
	address string
	sim     *simulator.Simulator
	options options

	mu        sync.Mutex
	server    *http.Server // nil while nobody listens
	uprisings uint64       // how often it has begun to be hostile
}

// newProvider makes the provider; up lets it listen.
func newProvider(address string, o options) (*provider, error) {
	base := "http://" + address
	sim, err := simulator.New(simulator.Config{
		BaseURL:                 base,
		APIToken:                apiToken,
		ClientID:                "portico",
		ClientSecret:            clientSecret,
		RedirectURIs:            []string{publicURL + "/callback"},
		RegistrationRedirectURI: publicURL + "/login",
		Modes:                   simulator.Modes{Uniqueness: simulator.Uniqueness(o.uniqueness), Lookup: true},
	})
	if err != nil {
		return nil, err
	}
	return &provider{address: address, sim: sim, options: o}, nil
}

// up listens, if nobody does, and misbehaves if it is to be hostile.
func (p *provider) up(ctx context.Context, hostile bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sim.ClearFaults()
	if err := p.behave(hostile); err != nil {
		return err
	}
	if p.server != nil {
		return nil
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", p.address)
	if err != nil {
		return fmt.Errorf("provider: %w", err)
	}
	p.server = &http.Server{Handler: p.sim, ReadHeaderTimeout: time.Minute}
	go func(s *http.Server) { _ = s.Serve(listener) }(p.server)
	return nil
}

// levels are the probability that a call meets a misfortune, by -hostility.
//
//nolint:gochecknoglobals // a table
var levels = []float64{0, 0.05, 0.2, 0.5}

// behave sets how the provider behaves while it is there: as the profile of a
// seeded bug wants it, or as hostile as it is to be.
func (p *provider) behave(hostile bool) error {
	if !hostile {
		p.sim.BePeaceful()
		return nil
	}
	for _, fault := range p.options.faults {
		if _, err := p.sim.AddFault(fault); err != nil {
			return err
		}
	}
	if p.options.hostility == 0 {
		return nil
	}
	for _, effect := range []simulator.Effect{
		{Drop: true, Commit: simulator.CommitBefore}, // it was taken, and nobody was told
		{Status: 451, Commit: simulator.CommitNever}, // later, perhaps
	} {
		fault := simulator.Fault{
			Match: simulator.Match{Method: "SMTP", Path: "data"}, Effect: effect, Probability: levels[p.options.hostility] / 2,
		}
		if _, err := p.sim.AddFault(fault); err != nil {
			return err
		}
	}
	p.uprisings++
	return p.sim.BeHostile(simulator.Hostility{
		Seed: p.options.seed + p.uprisings, Level: levels[p.options.hostility], Lateness: p.options.late,
		Unauthorized: p.options.hostility == len(levels)-1,
	})
}

// down refuses connections and breaks those that are open. Creates that were
// to be committed late still are.
func (p *provider) down() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil {
		_ = p.server.Close()
		p.server = nil
	}
}

// failing puts up with one of the ways in which a provider is away while it still answers:
// everything fails, is refused for now, or hangs and breaks.
func (p *provider) failing(how int) {
	effects := []simulator.Effect{
		{Status: http.StatusServiceUnavailable},
		{Status: http.StatusTooManyRequests, Headers: map[string]string{"Retry-After": "1"}},
		{Drop: true, DelayMS: 500, Commit: simulator.CommitNever},
		{Drop: true, DelayMS: 50, Commit: simulator.CommitBefore},
	}
	p.sim.ClearFaults()
	for _, path := range everyCall {
		fault := simulator.Fault{Match: simulator.Match{Path: path}, Effect: effects[how%len(effects)]}
		if _, err := p.sim.AddFault(fault); err != nil {
			panic(err) // a constant of ours
		}
	}
}

// foreigners makes users at the provider that are none of ours, and returns
// their external_ids and addresses.
func (p *provider) foreigners(ctx context.Context, addresses []string) (map[string]bool, error) {
	external := make(map[string]bool)
	for i, address := range addresses {
		id := fmt.Sprintf("somebody-else-%d", i)
		body := fmt.Sprintf(`{"external_id":%q,"email":%q,"user_name":%q,"display_name":"Somebody Else",`+
			`"binding_token_delivery_method":"email"}`, id, address, address)
		target := "http://" + p.address + "/v1/manage/users"
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(body)) //nolint:gosec // the simulator
		if err != nil {
			return nil, err
		}
		request.Header.Set("Authorization", "Bearer "+apiToken)
		request.Header.Set("Content-Type", "application/json")
		client := http.Client{Timeout: 10 * time.Second}
		response, err := client.Do(request) //nolint:gosec // the simulator
		if err != nil {
			return nil, err
		}
		_ = response.Body.Close()
		if response.StatusCode >= http.StatusMultipleChoices {
			return nil, fmt.Errorf("provider: foreign user: status %d", response.StatusCode)
		}
		external[id] = true
	}
	return external, nil
}

// everyCall matches what Portico calls.
//
//nolint:gochecknoglobals // a constant, but for its type
var everyCall = []string{"/v1/*", "/v2/*"}

// lateCreates are creates that are never answered and take effect up to late
// afterwards.
func lateCreates(late time.Duration) []simulator.Fault {
	create := simulator.Match{Method: http.MethodPost, Path: "/v1/manage/users"}
	fault := func(part, probability float64) simulator.Fault {
		return simulator.Fault{Match: create, Probability: probability, Effect: simulator.Effect{
			Drop: true, Commit: simulator.CommitLate, DelayMS: int(part * float64(late.Milliseconds())),
		}}
	}
	return []simulator.Fault{fault(1, 0.15), fault(0.9, 0.15), fault(0.6, 0.1), fault(0.2, 0.1)}
}

// lostAnswers are creates that take effect, and whose answer does not come.
func lostAnswers() []simulator.Fault {
	return []simulator.Fault{{
		Match:       simulator.Match{Method: http.MethodPost, Path: "/v1/manage/users"},
		Effect:      simulator.Effect{Drop: true, Commit: simulator.CommitBefore},
		Probability: 0.4,
	}}
}
