package program

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/challenge"
	"github.com/portico-id/portico/internal/gate"
	"github.com/portico-id/portico/internal/store"
)

type checkCmd struct {
	Config `embed:""`

	Output string `help:"How the findings are shown: table or json." enum:"table,json" default:"table"`
}

// The results of a check. Only a failed one keeps serve from its work, and only
// it makes check end with an error.
const (
	resultOK      = "ok"
	resultWarning = "warning"
	resultFailed  = "FAILED"
	resultUnknown = "unknown"
)

// finding is what came of one check.
type finding struct {
	Check  string `json:"check"`
	Result string `json:"result"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"` // what to do about it, where it is not ok
}

// found is ok with the detail, or failed with what the error is and its fix.
func found(what string, err error, detail string, fix func(error) string) finding {
	if err != nil {
		return finding{what, resultFailed, err.Error(), fix(err)}
	}
	return finding{what, resultOK, detail, ""}
}

// checkLimit bounds each thing that is tried.
const checkLimit = 15 * time.Second

// Run tries everything that serve needs and changes nothing, here or there.
func (cmd checkCmd) Run(ctx context.Context, env environment, out streams) error {
	config := cmd.Config
	env.files(&config)
	p, err := config.check()
	findings := []finding{found("settings", err, "consistent", fixSetting)}
	if err == nil {
		findings = append(findings, config.warned(p)...)
		findings = append(findings, config.tryDatabase(ctx, p)...)
		findings = append(findings, config.tryProvider(ctx, p)...)
		findings = append(findings, config.tryAPI(ctx)...)
		if p.challenge != nil {
			findings = append(findings, config.tryChallenge(ctx, p))
		}
		if p.mailer != nil {
			findings = append(findings, config.tryMail(ctx, p))
		}
	}
	if err := printChecks(out.stdout, cmd.Output, findings); err != nil {
		return err
	}
	if slices.ContainsFunc(findings, func(f finding) bool { return f.Result == resultFailed }) {
		return errNotReady
	}
	return nil
}

// printChecks shows what was found; a fix has a line of its own, since
// neither fits beside the other on a terminal.
func printChecks(out io.Writer, output string, findings []finding) error {
	if output == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(findings)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "CHECK\tRESULT\tDETAIL")
	for _, f := range findings {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", f.Check, f.Result, f.Detail)
		if f.Fix != "" {
			_, _ = fmt.Fprintf(table, "\tfix:\t%s\n", f.Fix)
		}
	}
	return table.Flush()
}

func (c Config) tryDatabase(ctx context.Context, p plan) []finding {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	db, err := openDatabase(ctx, c)
	if err != nil {
		return []finding{found("database", err, "", fixDatabase)}
	}
	defer func() { _ = db.Close() }()
	findings := []finding{found("database", db.Ping(ctx), string(db.Dialect()), fixDatabase)}
	if findings[0].Result != resultOK {
		return findings
	}
	ok, err := current(ctx, db)
	if err == nil && !ok {
		err = errOutdated
	}
	findings = append(findings, lookAtWay(db.Way()), found("schema", err, "up to date", fixDatabase))
	if err != nil {
		return findings
	}
	findings = append(findings, c.tryRole(ctx, db))
	return append(findings, c.tryGate(ctx, db), c.tryWebhooks(ctx, db, p))
}

// tryGate says whether the replicas that run let calls to the provider pass.
func (c Config) tryGate(ctx context.Context, db *store.DB) finding {
	const what = "gate to the provider"
	state, err := (&gate.Gate{
		Store: store.New(db, nil), Token: func() string { return fingerprint(c) }, Now: time.Now,
	}).State(ctx)
	if err == nil && !state.Open() {
		return finding{
			what, resultWarning, fmt.Sprintf("closed since %s: %s", state.Since.Format(time.RFC3339), state.Because),
			"it opens by itself when the provider answers again; with refused, replace the token or client secret first",
		}
	}
	return found(what, err, "open", fixDatabase)
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
	return found(what, err, "secret accepted", fixChallenge)
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
		return []finding{found(what, fmt.Errorf("%s: %w", c.beyondAs(), err), "", c.fixAPI)}
	}
	if c.BeyondLookup != "v2" {
		return []finding{
			{
				what, resultUnknown, c.beyondAs() + "; manage-v1 has no call without an effect",
				"sign somebody up to see whether it is accepted",
			},
			{
				"users at the provider", resultWarning, "PORTICO_BEYOND_LOOKUP=none: they can be neither listed nor changed",
				"set PORTICO_BEYOND_LOOKUP=v2 where the tenant has workforce v2 beside manage-v1",
			},
		}
	}
	_, err = client.FindUser(ctx, "portico-check")
	switch beyondidentity.ClassOf(err) {
	case "", beyondidentity.NotFound:
		return []finding{
			found(what, nil, c.beyondAs()+" accepted, users can be looked up by external_id", c.fixAPI), c.tryUsers(ctx, client),
		}
	case beyondidentity.Unauthorized:
		err = fmt.Errorf("%s refused for look-ups: %w", c.beyondAs(), err)
		return []finding{found(what, err, "", c.fixLookup)}
	default:
		return []finding{found(what, err, "", c.fixLookup)}
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
			return found(what, call.err, "", c.fixLookup)
		}
	}
	if len(refused) > 0 {
		return finding{
			what, resultWarning, fmt.Sprintf("%s may not have them %s", c.beyondAs(), strings.Join(refused, " and ")),
			"give it users:read in the provider's console: without it nothing is reconciled, and no change is followed up",
		}
	}
	return found(what, nil, "can be listed and looked up by internal_id; whether they can be changed shows with the first change", c.fixLookup)
}
