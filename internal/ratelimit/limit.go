package ratelimit

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Bounds of a limit. Within them a token is never less than a microsecond
// apart from the next, which is what the database's times tell apart.
const (
	maxCount = 1_000_000
	minPer   = time.Second
	maxPer   = 24 * time.Hour
)

// Limit is a burst of Count that drains at Count per Per. The zero value does
// not limit.
type Limit struct {
	Count int
	Per   time.Duration
}

// Off reports whether nothing is limited.
func (l Limit) Off() bool { return l == Limit{} }

// String is the limit as ParseLimits reads it, like 30/1m.
func (l Limit) String() string {
	if l.Off() {
		return off
	}
	per := l.Per.String()
	if whole, ok := strings.CutSuffix(per, "m0s"); ok {
		per = whole + "m"
	}
	if whole, ok := strings.CutSuffix(per, "h0m"); ok {
		per = whole + "h"
	}
	return strconv.Itoa(l.Count) + "/" + per
}

// parseLimit reads a limit like 30/1m, or off.
func parseLimit(text string) (Limit, error) {
	if text == off {
		return Limit{}, nil
	}
	count, per, ok := strings.Cut(text, "/")
	if !ok {
		return Limit{}, fmt.Errorf("%q is neither off nor like 30/1m", text)
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > maxCount {
		return Limit{}, fmt.Errorf("%q is not a number from 1 to %d", count, maxCount)
	}
	d, err := time.ParseDuration(per)
	if err != nil || d < minPer || d > maxPer {
		return Limit{}, fmt.Errorf("%q is not a time from 1s to 24h", per)
	}
	return Limit{Count: n, Per: d}, nil
}

// interval is the time in which one token comes back: to the microsecond, and
// never sooner than the limit says.
func (l Limit) interval() time.Duration {
	each := (l.Per + time.Duration(l.Count) - 1) / time.Duration(l.Count)
	return (each + time.Microsecond - 1).Truncate(time.Microsecond)
}

// Latest is the latest time for a bucket to have drained at that leaves room
// for another token now.
func (l Limit) Latest(now time.Time) time.Time {
	return now.Add(time.Duration(l.Count-1) * l.interval())
}

// Take returns when a bucket that will have drained at emptyAt will have if a
// token is taken now.
func (l Limit) Take(emptyAt, now time.Time) time.Time {
	if emptyAt.Before(now) {
		emptyAt = now
	}
	return emptyAt.Add(l.interval())
}

// wait is how long a bucket that will have drained at emptyAt gives no token.
// It is not positive when it gives one now.
func (l Limit) wait(emptyAt, now time.Time) time.Duration {
	return emptyAt.Sub(l.Latest(now))
}

// quota is what is left now in a bucket that will have drained at emptyAt.
func (l Limit) quota(emptyAt, now time.Time) Quota {
	debt := max(0, emptyAt.Sub(now))
	each := l.interval()
	used := int((debt + each - 1) / each) // a token that has drained in part is not back
	quota := Quota{Limit: l.Count, Remaining: max(0, l.Count-used)}
	if debt > 0 {
		quota.Reset = seconds(debt - time.Duration(min(used, l.Count)-1)*each)
	}
	return quota
}

// seconds rounds up to whole ones, of which there is at least one: whoever
// comes back then is not refused for a fraction.
func seconds(d time.Duration) time.Duration {
	return max(time.Second, (d + time.Second - 1).Truncate(time.Second))
}
