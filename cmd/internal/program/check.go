package program

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/challenge"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/gate"
	"github.com/portico-id/portico/internal/store"
)

type checkCmd struct {
	Config `embed:""`
}

// finding is one line of check's table.
type finding struct {
	what   string
	result string // ok, FAILED or unknown
	detail string
}

func found(what string, err error, detail string) finding {
	if err != nil {
		return finding{what, "FAILED", err.Error()}
	}
	return finding{what, "ok", detail}
}

// checkLimit bounds each thing that is tried.
const checkLimit = 15 * time.Second

// Run tries everything that serve needs and changes nothing, here or there.
func (cmd checkCmd) Run(ctx context.Context, env environment, out streams) error {
	config := cmd.Config
	env.files(&config)
	p, err := config.check()
	findings := []finding{found("settings", err, "consistent")}
	if err == nil {
		for _, warning := range p.warnings {
			findings = append(findings, finding{"settings", "warning", warning})
		}
		findings = append(findings, config.tryDatabase(ctx, p)...)
		findings = append(findings, config.tryProvider(ctx, p)...)
		findings = append(findings, config.tryAPI(ctx)...)
		if p.challenge != nil {
			findings = append(findings, config.tryChallenge(ctx, p))
		}
	}
	table := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "CHECK\tRESULT\tDETAIL")
	failed := false
	for _, f := range findings {
		failed = failed || f.result == "FAILED"
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", f.what, f.result, f.detail)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if failed {
		return errNotReady
	}
	return nil
}

func (c Config) tryDatabase(ctx context.Context, p plan) []finding {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	db, err := openDatabase(ctx, c)
	if err != nil {
		return []finding{found("database", err, "")}
	}
	defer func() { _ = db.Close() }()
	findings := []finding{found("database", db.Ping(ctx), string(db.Dialect()))}
	if findings[0].result != "ok" {
		return findings
	}
	ok, err := current(ctx, db)
	if err == nil && !ok {
		err = errors.New("not up to date: run `portico migrate up`")
	}
	findings = append(findings, found("schema", err, "up to date"))
	if err != nil {
		return findings
	}
	return append(findings, c.tryGate(ctx, db), c.tryWebhooks(ctx, db, p))
}

// tryGate says whether the replicas that run let calls to the provider pass.
func (c Config) tryGate(ctx context.Context, db *store.DB) finding {
	const what = "gate to the provider"
	state, err := (&gate.Gate{
		Store: store.New(db, nil), Token: func() string { return fingerprint(c) }, Now: time.Now,
	}).State(ctx)
	if err == nil && !state.Open() {
		return finding{what, "warning", fmt.Sprintf("closed since %s: %s", state.Since.Format(time.RFC3339), state.Because)}
	}
	return found(what, err, "open")
}

// tryChallenge asks the challenge's service about a token that cannot be one:
// it says so only to whom it knows by the secret.
func (c Config) tryChallenge(ctx context.Context, p plan) finding {
	const what = "challenge"
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	defer p.challenge.CloseIdle()
	err := p.challenge.Verify(ctx, "portico-check", netip.Addr{})
	if errors.Is(err, challenge.ErrRefused) {
		err = nil
	}
	return found(what, err, "secret accepted")
}

// tryProvider discovers the provider and says what of it will disappoint.
func (c Config) tryProvider(ctx context.Context, p plan) []finding {
	const what = "discovery"
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	rp, err := newRelyingParty(c, p, noFlows{}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return []finding{found(what, err, "")}
	}
	meta, err := rp.Discover(ctx)
	findings := []finding{found(what, err, "issuer "+meta.Issuer)}
	for _, warning := range meta.Warnings() {
		findings = append(findings, finding{what, "warning", warning})
	}
	return findings
}

// noFlows is for a relying party that only discovers.
type noFlows struct{}

func (noFlows) UseFlow(context.Context, string, time.Time) (bool, error) {
	return false, directory.ErrUnavailable
}

// tryAPI authenticates to the management API and makes the calls of it that
// have no effect: workforce v2's look-ups. manage-v1 alone has none.
func (c Config) tryAPI(ctx context.Context) []finding {
	const what = "management API"
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	client, err := newBeyond(c)
	if err == nil {
		defer client.CloseIdle()
		err = client.Authenticate(ctx)
	}
	if err != nil {
		return []finding{found(what, fmt.Errorf("%s: %w", c.beyondAs(), err), "")}
	}
	if c.BeyondLookup != "v2" {
		return []finding{
			{what, "unknown", c.beyondAs() + "; manage-v1 has no call without an effect: sign somebody up to see"},
			{"users at the provider", "warning", "PORTICO_BEYOND_LOOKUP=none: they can be neither listed nor changed"},
		}
	}
	_, err = client.FindUser(ctx, "portico-check")
	switch beyondidentity.ClassOf(err) {
	case "", beyondidentity.NotFound:
		return []finding{
			found(what, nil, c.beyondAs()+" accepted, users can be looked up by external_id"), c.tryUsers(ctx, client),
		}
	case beyondidentity.Unauthorized:
		err = fmt.Errorf("%s refused for look-ups: replace it, or set PORTICO_BEYOND_LOOKUP=none (%w)", c.beyondAs(), err)
		return []finding{found(what, err, "")}
	default:
		return []finding{found(what, err, "")}
	}
}

// tryUsers says whether users can be listed, and be looked up by internal_id.
// What is not allowed is not needed for sign-ups, but for all that comes after.
func (c Config) tryUsers(ctx context.Context, client *beyondidentity.Client) finding {
	const what = "users at the provider"
	_, listed := client.ListUsers(ctx, beyondidentity.Page{Size: 1})
	_, got := client.GetUser(ctx, "portico-check")
	if beyondidentity.ClassOf(got) == beyondidentity.NotFound {
		got = nil
	}
	var refused []string
	for _, call := range []struct {
		name string
		err  error
	}{{"listed", listed}, {"looked up by internal_id", got}} {
		switch beyondidentity.ClassOf(call.err) {
		case "":
		case beyondidentity.Unauthorized:
			refused = append(refused, call.name)
		default:
			return found(what, call.err, "")
		}
	}
	if len(refused) > 0 {
		return finding{what, "warning", fmt.Sprintf("%s may not have them %s: give it users:read", c.beyondAs(), strings.Join(refused, " and "))}
	}
	return found(what, nil, "can be listed and looked up by internal_id; whether they can be changed shows with the first change")
}
