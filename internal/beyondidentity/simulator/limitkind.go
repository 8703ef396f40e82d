package simulator

import (
	"net/http"
	"strconv"
	"time"
)

// LimitKind is one of the ways in which a service says, or fails to say, when
// to come again. The vendor documents RateLimit-Reset and no Retry-After; what
// stands between it and a client may send anything.
type LimitKind string

// The kinds. All but the ones that cannot name LimitSeconds.
const (
	LimitSeconds    LimitKind = "seconds"      // Retry-After: 1
	LimitHTTPDate   LimitKind = "http_date"    // Retry-After: a date (RFC 9110 section 10.2.3)
	LimitPastDate   LimitKind = "past_date"    // Retry-After: a date of an hour ago
	LimitEpoch      LimitKind = "epoch"        // Retry-After: a Unix time
	LimitEpochMS    LimitKind = "epoch_ms"     // Retry-After: the same in milliseconds
	LimitNegative   LimitKind = "negative"     // Retry-After: -5
	LimitGarbage    LimitKind = "garbage"      // Retry-After: soon
	LimitHuge       LimitKind = "huge"         // Retry-After: more than 64 bits hold
	LimitNone       LimitKind = "none"         // nothing
	LimitResetOnly  LimitKind = "reset_only"   // RateLimit-Reset: seconds, as documented
	LimitResetEpoch LimitKind = "reset_epoch"  // RateLimit-Reset: a Unix time
	LimitOldReset   LimitKind = "x_reset_only" // X-RateLimit-Reset: seconds
	LimitSeveral    LimitKind = "several"      // all of them, and they disagree
)

// LimitKinds lists them all.
func LimitKinds() []LimitKind {
	return []LimitKind{
		LimitSeconds, LimitHTTPDate, LimitPastDate, LimitEpoch, LimitEpochMS, LimitNegative, LimitGarbage,
		LimitHuge, LimitNone, LimitResetOnly, LimitResetEpoch, LimitOldReset, LimitSeveral,
	}
}

// set writes the kind's headers. The wait is in whole seconds.
func (k LimitKind) set(h http.Header, wait time.Duration, now time.Time) {
	const retryAfter, reset, oldReset = "Retry-After", "RateLimit-Reset", "X-RateLimit-Reset"
	seconds := strconv.Itoa(int(wait / time.Second))
	end := now.Add(wait).UTC()
	switch k {
	case LimitSeconds:
		h.Set(retryAfter, seconds)
	case LimitHTTPDate:
		h.Set(retryAfter, end.Format(http.TimeFormat))
	case LimitPastDate:
		h.Set(retryAfter, now.Add(-time.Hour).UTC().Format(http.TimeFormat))
	case LimitEpoch:
		h.Set(retryAfter, strconv.FormatInt(end.Unix(), 10))
	case LimitEpochMS:
		h.Set(retryAfter, strconv.FormatInt(end.UnixMilli(), 10))
	case LimitNegative:
		h.Set(retryAfter, "-5")
	case LimitGarbage:
		h.Set(retryAfter, "soon")
	case LimitHuge:
		h.Set(retryAfter, "99999999999999999999")
	case LimitResetOnly:
		h.Set(reset, seconds)
	case LimitResetEpoch:
		h.Set(reset, strconv.FormatInt(end.Unix(), 10))
	case LimitOldReset:
		h.Set(oldReset, seconds)
	case LimitSeveral:
		h.Add(retryAfter, seconds)
		h.Add(retryAfter, "soon")
		h.Set(reset, strconv.FormatInt(end.Unix(), 10))
		h.Set(oldReset, "-1")
	case LimitNone:
	}
}

func (e Effect) limitWait() time.Duration {
	return time.Duration(max(e.LimitSeconds, 1)) * time.Second
}
