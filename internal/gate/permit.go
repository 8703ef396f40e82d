package gate

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity"
)

// recordLimit bounds the writing of an outcome. One that is lost is made up
// for by the next call's.
const recordLimit = 5 * time.Second

// Permit allows one call.
type Permit struct {
	gate   *Gate
	token  string // in use when it was given
	again  bool   // with a token that this replica alone is refused with
	probe  bool
	probed closure
	hold   time.Time // end of the probe's hold on the gate
}

// Done says how the call went: err is its *beyondidentity.Error, or nil. That
// the provider refused what was asked for is an answer like any other. It is
// written even if ctx has ended.
func (p Permit) Done(ctx context.Context, err error) {
	result, known := p.outcome(err)
	if !known {
		p.Unused(ctx)
		return
	}
	g := p.gate
	switch {
	case result.reason.needsOperator():
		if g.Token() != p.token {
			// It says nothing of the token that has taken its place.
			p.Unused(ctx)
			return
		}
		g.local.noteRefused(p.token)
	case result.reason == "":
		g.local.noteAccepted(p.token)
	}
	before, after, written := g.record(ctx, func(s State) State { return s.after(result) })
	switch {
	case written:
		g.report(ctx, before, after, err)
	case p.again && result.reason.needsOperator():
		g.Log.ErrorContext(ctx, "provider refuses the token of this replica, and takes that of another: replace it; "+
			"its file is read again", slog.Any("error", err))
	}
}

// Unused says that no call was made, or that it was given up and proves
// nothing. If it was to be a probe, another caller may make it.
func (p Permit) Unused(ctx context.Context) {
	if !p.probe {
		return
	}
	now := p.gate.now()
	p.gate.record(ctx, func(s State) State {
		if !s.Open() && s.is(p.probed) && s.Until.Equal(p.hold) {
			s.Until = now
		}
		return s
	})
}

// outcome says what err proves of the provider, if it proves anything.
func (p Permit) outcome(err error) (result outcome, known bool) {
	result = outcome{at: p.gate.now(), token: p.token, probe: p.probe, probed: p.probed}
	if errors.Is(err, context.Canceled) {
		return result, false // we gave up, most likely because the program stops
	}
	failure, _ := errors.AsType[*beyondidentity.Error](err)
	if failure != nil {
		result.retryAfter = failure.RetryAfter
	}
	switch class := beyondidentity.ClassOf(err); class {
	case beyondidentity.Rejected:
		// Without a status it was us who refused to send it.
		return result, failure.Status != 0
	case beyondidentity.Unreachable, beyondidentity.Ambiguous:
		result.reason = Failing
	case beyondidentity.RateLimited:
		result.reason = RateLimited
	case beyondidentity.Unauthorized:
		result.reason = Unauthorized
	case beyondidentity.Misconfigured:
		result.reason = Misconfigured
	case "", beyondidentity.NotFound, beyondidentity.Conflict, beyondidentity.Duplicate:
	}
	return result, true
}

// record applies change to the state, whatever other callers do meanwhile. It
// returns the state before and after, and whether it was this that changed it.
func (g *Gate) record(ctx context.Context, change func(State) State) (before, after State, written bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordLimit)
	defer cancel()
	var err error
	for err == nil && !written {
		if before, err = g.Store.LoadGate(ctx); err != nil {
			break
		}
		if after = change(before); after == before {
			return before, after, false
		}
		written, err = g.Store.SwapGate(ctx, before, after)
	}
	if err != nil {
		g.Log.WarnContext(ctx, "outcome of a call to the provider was not recorded", slog.Any("error", err))
	}
	return before, after, written
}

// report logs what has become of the gate: once, by the replica that changed
// it.
func (g *Gate) report(ctx context.Context, before, after State, err error) {
	now := g.now()
	about := []any{
		slog.String("because", string(after.Because)),
		slog.Float64("probe_in_s", after.Until.Sub(now).Seconds()),
		slog.Any("error", err),
	}
	news := before.Because != after.Because || before.RefusedToken != after.RefusedToken
	switch {
	case after.Open() && !before.Open():
		g.Log.InfoContext(ctx, "provider is back",
			slog.String("because", string(before.Because)),
			slog.Float64("closed_for_s", now.Sub(before.Since).Seconds()))
	case after.Open(): // failures were counted, or a token is accepted again
	case news && after.Because == Unauthorized:
		g.Log.ErrorContext(ctx, "provider refuses our token, and no calls are made: replace it, or give it its permissions back; "+
			"its file is read again", about...)
	case news && after.Because == Misconfigured:
		g.Log.ErrorContext(ctx, "what answers is not the provider's API, and no calls are made: check its configured address", about...)
	case before.Open():
		g.Log.WarnContext(ctx, "no calls are made to the provider", about...)
	default:
		g.Log.WarnContext(ctx, "still no calls are made to the provider", about...)
	}
}
