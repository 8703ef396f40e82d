package beyondidentity

import (
	"context"
	"sync"
	"time"
)

const (
	// renewMargin is how long before its end a token is renewed, and
	// renewFraction the part of a shorter life: in that time the API that gives
	// tokens may be away without any call noticing.
	renewMargin   = 5 * time.Minute
	renewFraction = 5
	// renewPause is the least time from one renewal that failed to the next,
	// while the token still lives.
	renewPause = 10 * time.Second
	// refusalPause is how long a token that came in place of a refused one, and
	// was refused as well, is not replaced again: it is the client that is
	// refused then, and a fetch with each call would change nothing.
	refusalPause = time.Minute
)

// grant is a token of the client-credentials grant.
type grant struct {
	token      Token
	asked      time.Time // before it was fetched
	renew, end time.Time
	accepted   bool // a call was let in with it
	successor  bool // of one that was refused
}

// fetch is the getting of a grant under way. The result counts once done is
// closed.
type fetch struct {
	done chan struct{}
	got  *grant
	err  error
}

// grants keeps the token of the client-credentials grant: in memory only, and
// for all calls the same.
//
//	no token, or a dead one       a fetch, for which everybody waits
//	in the margin before its end  a fetch, for which nobody waits
//	refused by the API (401, 403) a fetch, once; whoever was refused with an
//	                              older one gets the present one
//
// There is one fetch at a time, however many callers need it. It ends by
// itself and not with the caller who began it: the others wait for it too.
type grants struct {
	// get fetches a token and says how long it lives. Its error is an *Error.
	get func(context.Context) (Token, time.Duration, error)
	now func() time.Time

	mu      sync.Mutex
	current *grant
	pending *fetch
	rest    time.Time // no renewal before this
}

// take returns the grant to be used now. Its error is that of the fetch, or
// ctx's.
func (g *grants) take(ctx context.Context) (*grant, error) {
	g.mu.Lock()
	now := g.now()
	if held := g.current; held != nil && now.Before(held.end) {
		if !now.Before(held.renew) && !now.Before(g.rest) {
			g.begin(ctx, false)
		}
		g.mu.Unlock()
		return held, nil
	}
	pending := g.begin(ctx, false)
	g.mu.Unlock()
	return pending.wait(ctx)
}

// replace returns the grant to be used after the API has refused one, and nil
// where another fetch would be in vain. Its error is that of the fetch, or
// ctx's.
func (g *grants) replace(ctx context.Context, refused *grant) (*grant, error) {
	g.mu.Lock()
	if g.current == refused {
		if refused.successor && !refused.accepted && g.now().Sub(refused.asked) < refusalPause {
			g.mu.Unlock()
			return nil, nil //nolint:nilnil // neither a grant nor a failure: the refusal stands
		}
		g.current = nil
	}
	if held := g.current; held != nil {
		g.mu.Unlock()
		return held, nil
	}
	pending := g.begin(ctx, true)
	g.mu.Unlock()
	return pending.wait(ctx)
}

// accept notes that the API has let a call in.
func (g *grants) accept(held *grant) {
	g.mu.Lock()
	held.accepted = true
	g.mu.Unlock()
}

// begin returns the fetch under way, and starts one if there is none. It is
// called with the lock held.
func (g *grants) begin(ctx context.Context, successor bool) *fetch {
	if g.pending != nil {
		return g.pending
	}
	f := &fetch{done: make(chan struct{})}
	g.pending = f
	go g.carry(context.WithoutCancel(ctx), f, successor)
	return f
}

func (g *grants) carry(ctx context.Context, f *fetch, successor bool) {
	asked := g.now()
	token, life, err := g.get(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pending = nil
	if err != nil {
		f.err = err
		pause := renewPause
		if e, ok := err.(*Error); ok { //nolint:errorlint // the fetch's own, unwrapped
			pause = max(pause, e.RetryAfter)
		}
		g.rest = g.now().Add(pause)
	} else {
		end := asked.Add(life)
		f.got = &grant{
			token: token, asked: asked, end: end, renew: end.Add(-min(renewMargin, life/renewFraction)), successor: successor,
		}
		g.current = f.got
	}
	close(f.done)
}

func (f *fetch) wait(ctx context.Context) (*grant, error) {
	select {
	case <-f.done:
		return f.got, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
