package gate

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Store keeps the state that all replicas share. Every method may return
// directory.ErrUnavailable.
type Store interface {
	// LoadGate returns the state.
	LoadGate(ctx context.Context) (State, error)
	// DrawCall does Draw.From, in one step, and reports what it does.
	DrawCall(ctx context.Context, draw Draw) (bool, error)
	// SwapGate puts to in from's place and reports whether it was still
	// there. EmptyAt, which moves with every call, is compared and written
	// only where the two differ in it.
	SwapGate(ctx context.Context, from, to State) (bool, error)
}

// Gate lets calls to the provider pass. Its exported fields are set before use.
type Gate struct {
	Store     Store
	PerMinute int // calls a minute over all replicas; 0 for as many as there are
	// Token names the token in use without giving it away: part of a hash,
	// over the API's address as well where replicas may differ in it. It is
	// "" while there is no token.
	Token func() string
	Now   func() time.Time
	Log   *slog.Logger

	local local
}

// ClosedError says that no call may be made now, and when to ask again.
type ClosedError struct {
	Wait    time.Duration
	Because Reason
}

// Error returns the reason and the wait.
func (e *ClosedError) Error() string {
	return fmt.Sprintf("no call to the provider for %s: %s", e.Wait, e.Because)
}

// Admit returns a permit for one call, to be followed by Permit.Done or
// Permit.Unused. It returns a *ClosedError when none may be made now,
// directory.ErrUnavailable, or ctx's error.
//
// Nothing is remembered from one call to the next: it is one statement for a
// call that passes, with or without a budget, so that a closure is seen by the
// very next call on every replica. A call to the provider takes a thousand
// times as long.
func (g *Gate) Admit(ctx context.Context, lane Lane) (Permit, error) {
	if b := budgetOf(g.PerMinute); b.limited() {
		token := g.Token()
		drawn, err := g.Store.DrawCall(ctx, b.draw(lane, g.now(), token))
		if err != nil {
			return Permit{}, err
		}
		if drawn {
			return Permit{gate: g, token: token}, nil
		}
	}
	for {
		permit, decided, err := g.admit(ctx, lane)
		if decided || err != nil {
			return permit, err
		}
		// Another caller was faster: the state is not what it was.
	}
}

// Limited reports whether calls are counted against a budget, from which every
// permit takes one, used or not.
func (g *Gate) Limited() bool { return budgetOf(g.PerMinute).limited() }

// admit decides on the state as it is. It decides nothing when the state has
// changed meanwhile.
func (g *Gate) admit(ctx context.Context, lane Lane) (permit Permit, decided bool, err error) {
	state, err := g.Store.LoadGate(ctx)
	if err != nil {
		return Permit{}, false, err
	}
	b, now, token := budgetOf(g.PerMinute), g.now(), g.Token()
	draw := b.draw(lane, now, token)
	permit = Permit{gate: g, token: token}
	if state.refuses(token) {
		g.local.noteRefused(token)
	}
	switch {
	case !state.Open() && !state.probeDue(now, token, g.local.fresh(token)):
		return Permit{}, true, g.closed(lane, state.Because, now, waitClosed(state, now))
	case b.limited() && b.broken(state.EmptyAt, now):
		repaired := state
		repaired.EmptyAt = now.Add(b.depth)
		_, err := g.Store.SwapGate(ctx, state, repaired)
		return Permit{}, false, err
	case b.limited() && state.EmptyAt.After(draw.Latest):
		return Permit{}, true, g.closed(lane, OverBudget, now, state.EmptyAt.Sub(draw.Latest))
	case !state.Open():
		return g.probe(ctx, state, draw)
	case state.refuses(token):
		if !g.local.mayTry(now) {
			return Permit{}, true, g.closed(lane, Unauthorized, now, operatorWait)
		}
		draw.Token, permit.again = "", true
	}
	if b.limited() {
		decided, err = g.Store.DrawCall(ctx, draw)
		return permit, decided, err
	}
	return permit, true, nil
}

// probe takes hold of the closed gate. Of all callers on all replicas that
// have seen the same state, one succeeds.
func (g *Gate) probe(ctx context.Context, state State, draw Draw) (Permit, bool, error) {
	held := state
	held.Until = draw.Now.Add(probeLimit)
	held.EmptyAt = draw.after(state)
	mine, err := g.Store.SwapGate(ctx, state, held)
	return Permit{gate: g, token: draw.Token, probe: true, probed: held.closure(), hold: held.Until}, mine, err
}

func (g *Gate) closed(lane Lane, because Reason, now time.Time, earliest time.Duration) error {
	wait := g.local.wait(lane, now, earliest, budgetOf(g.PerMinute).step)
	return &ClosedError{Wait: wait, Because: because}
}

// State returns the gate as this replica finds it: Because is Unauthorized
// also where only this replica's token is refused, and Since and Until are
// then zero. It returns directory.ErrUnavailable.
func (g *Gate) State(ctx context.Context) (State, error) {
	state, err := g.Store.LoadGate(ctx)
	if err != nil {
		return State{}, err
	}
	if state.Open() && state.refuses(g.Token()) {
		state.Because = Unauthorized
	}
	return state, nil
}

// now is the time as it is stored.
func (g *Gate) now() time.Time { return g.Now().UTC().Truncate(time.Microsecond) }
