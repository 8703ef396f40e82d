package beyondidentity

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds a wait that an answer asks for: a wrong header must not
// stop provisioning for a day.
const maxRetryAfter = time.Hour

// A number of seconds from here on is a moment, not a wait: 2001-09-09 in Unix
// seconds, and the same in milliseconds.
const (
	epochSeconds = 1_000_000_000
	epochMillis  = 1_000_000_000_000
)

// retryAfter returns how long an answer asks to wait, within [0, 1h], and zero
// where it does not say. Retry-After (RFC 9110 §10.2.3) goes before the reset
// of the rate limit (draft-polli-ratelimit-headers-02 §3.3), and the latter
// counts only where the limit is what refused the call: other answers carry it
// too, to say when the window ends.
func retryAfter(status int, h http.Header, now time.Time) time.Duration {
	if wait, ok := parseWait(h.Get("Retry-After"), now); ok {
		return wait
	}
	if status != http.StatusTooManyRequests {
		return 0
	}
	for _, name := range []string{"RateLimit-Reset", "X-RateLimit-Reset"} {
		if wait, ok := parseWait(h.Get(name), now); ok {
			return wait
		}
	}
	return 0
}

// parseWait reads seconds, an HTTP date, or a Unix time in seconds or
// milliseconds, and reports whether it was one of them.
func parseWait(value string, now time.Time) (time.Duration, bool) {
	if at, err := http.ParseTime(value); err == nil {
		return clampWait(at.Sub(now)), true
	}
	if i := strings.IndexAny(value, ",;"); i >= 0 {
		value = value[:i]
	}
	n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) && n > 0:
		return maxRetryAfter, true
	case errors.Is(err, strconv.ErrRange):
		return 0, true
	case err != nil:
		return 0, false
	case n >= epochMillis:
		return clampWait(time.UnixMilli(n).Sub(now)), true
	case n >= epochSeconds:
		return clampWait(time.Unix(n, 0).Sub(now)), true
	case n > int64(maxRetryAfter/time.Second):
		return maxRetryAfter, true
	default:
		return clampWait(time.Duration(n) * time.Second), true
	}
}

func clampWait(d time.Duration) time.Duration { return min(max(d, 0), maxRetryAfter) }
