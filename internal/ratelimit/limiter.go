package ratelimit

import (
	"context"
	"net/netip"
	"slices"
	"time"
)

// Outcome is what came of asking buckets for a token each.
type Outcome struct {
	Taken bool
	// EmptyAt is when each bucket, in the order in which they were named, will
	// have drained: after the taking, or as it stands when none was taken. It
	// may lie in the past.
	EmptyAt []time.Time
}

// Store keeps buckets. It may return directory.ErrUnavailable.
type Store interface {
	// TakeTokens takes one token from each of the buckets, whose keys differ,
	// or none from any. Whatever the callers' clocks, a bucket drains later
	// and never sooner for it.
	TakeTokens(ctx context.Context, now time.Time, buckets []Bucket) (Outcome, error)
}

// Quota is what a bucket holds for whom it is for: the figures of RateLimit-Limit,
// RateLimit-Remaining and RateLimit-Reset (draft-ietf-httpapi-ratelimit-headers-06).
type Quota struct {
	Limit     int
	Remaining int
	Reset     time.Duration // whole seconds until another token is back; 0 when none is out
}

// Decision is whether something may be done now.
type Decision struct {
	Allowed    bool
	Refused    string        // the kind of bucket that refused, the one with the longest wait
	RetryAfter time.Duration // when refused: whole seconds, at least one
	Quota      Quota         // of the client's bucket; zero when that is off or was not asked
}

// Limiter decides how often something may be done. Its fields are set before
// use.
type Limiter struct {
	Store  Store
	Limits Limits
	Now    func() time.Time
	// Refused is told the kind of each bucket that refuses; nil for nobody.
	Refused func(kind string)

	refusals refusals
}

// Signup asks whether the client may sign the address up now. It returns
// directory.ErrUnavailable.
func (l *Limiter) Signup(ctx context.Context, client netip.Addr, canonical, domain string) (Decision, error) {
	return l.take(ctx,
		signup.client(client, l.Limits.Client),
		signup.address(canonical, l.Limits.Address),
		signup.domain(domain, l.Limits.Domain),
		signup.global(l.Limits.Global))
}

// Resend asks whether the client may wish for another mail now. It returns
// directory.ErrUnavailable.
func (l *Limiter) Resend(ctx context.Context, client netip.Addr) (Decision, error) {
	return l.take(ctx,
		resend.client(client, l.Limits.Client),
		resend.global(l.Limits.Global))
}

// Login asks whether the client may begin a login, or redeem a code, now. It
// returns directory.ErrUnavailable.
func (l *Limiter) Login(ctx context.Context, client netip.Addr) (Decision, error) {
	return l.take(ctx, login.clientBy(Login, client, l.Limits.Login))
}

// Logout asks whether the client may send a logout token now. It returns
// directory.ErrUnavailable.
func (l *Limiter) Logout(ctx context.Context, client netip.Addr) (Decision, error) {
	return l.take(ctx, logout.clientBy(Logout, client, l.Limits.Logout))
}

// Email asks whether the user may ask for another e-mail address now, and
// whether it may be mailed. It returns directory.ErrUnavailable.
func (l *Limiter) Email(ctx context.Context, user, canonical string) (Decision, error) {
	return l.take(ctx, email.user(user, l.Limits.Email), email.address(canonical, l.Limits.Address))
}

// AdminFailure asks whether the client may be told once more that its
// administrator's token is none. It returns directory.ErrUnavailable.
func (l *Limiter) AdminFailure(ctx context.Context, client netip.Addr) (Decision, error) {
	return l.take(ctx, admin.clientBy(Admin, client, l.Limits.Admin))
}

// take asks the buckets, and says which of them has refused.
func (l *Limiter) take(ctx context.Context, buckets ...Bucket) (Decision, error) {
	d, err := l.ask(ctx, buckets)
	if err == nil && !d.Allowed && l.Refused != nil {
		l.Refused(d.Refused)
	}
	return d, err
}

// ask takes a token from each of the buckets that limit, or none.
func (l *Limiter) ask(ctx context.Context, buckets []Bucket) (Decision, error) {
	buckets = slices.DeleteFunc(buckets, func(b Bucket) bool { return b.Limit.Off() })
	if len(buckets) == 0 {
		return Decision{Allowed: true}, nil
	}
	now := l.Now()
	if d, refused := l.remembered(now, buckets); refused {
		return d, nil
	}
	outcome, err := l.Store.TakeTokens(ctx, now, buckets)
	if err != nil {
		return Decision{}, err
	}
	d := Decision{Allowed: outcome.Taken}
	var longest time.Duration
	for i, b := range buckets {
		emptyAt := outcome.EmptyAt[i]
		if b.ofClient() {
			d.Quota = b.Limit.quota(emptyAt, now)
		}
		if outcome.Taken {
			continue
		}
		if wait := b.Limit.wait(emptyAt, now); wait > 0 {
			l.refusals.add(refusal{key: b.Key, until: now.Add(wait), emptyAt: emptyAt}, now)
			d.refuse(b, wait, &longest)
		}
	}
	return d, nil
}

// remembered refuses what the database refused before, for as long as it would.
func (l *Limiter) remembered(now time.Time, buckets []Bucket) (Decision, bool) {
	var d Decision
	var longest time.Duration
	for _, b := range buckets {
		known, ok := l.refusals.find(b.Key, now)
		if !ok {
			continue
		}
		if b.ofClient() {
			d.Quota = b.Limit.quota(known.emptyAt, now)
		}
		d.refuse(b, known.until.Sub(now), &longest)
	}
	return d, d.Refused != ""
}

// refuse notes that the bucket has no token for so long.
func (d *Decision) refuse(b Bucket, wait time.Duration, longest *time.Duration) {
	if wait <= *longest {
		return
	}
	*longest = wait
	if b.Kind == Address {
		// The exact time would tell to the second when others asked for the
		// address. In whole tokens it is the same whenever they did.
		each := b.Limit.interval()
		wait = (wait + each - 1).Truncate(each)
	}
	d.Refused, d.RetryAfter = b.Kind, seconds(wait)
}
