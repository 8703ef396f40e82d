package api

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/ratelimit"
	"github.com/portico-id/portico/internal/signup"
)

// signUp accepts a sign-up: POST /signup.
func (a *API) signUp(c *call) error {
	key, err := idempotencyKey(c.r)
	if err != nil {
		return err
	}
	body, err := decode[openapi.SignupRequest](c.w, c.r)
	if err != nil {
		return err
	}
	var same []byte
	if key != "" {
		if same, err = sameBody(body); err != nil {
			return err
		}
	}
	accepted, err := a.config.Signups.Accept(c.r.Context(), signup.Request{
		Email:          body.Email,
		DisplayName:    body.DisplayName,
		Locale:         body.Locale,
		TermsVersion:   body.TermsVersion,
		InviteCode:     body.InviteCode,
		Challenge:      body.ChallengeResponse,
		Client:         c.client(),
		IdempotencyKey: key,
		Body:           same,
	})
	if err != nil {
		return refusedAddress(err)
	}
	h := c.w.Header()
	announce(h, accepted.Limit.Quota)
	if accepted.Replayed {
		h.Set("Idempotency-Replayed", "true")
	} else if wait := preferredWait(c.r); wait > 0 {
		// The sign-up is stored: whatever becomes of the wait, it is accepted.
		limit := accepted.Limit
		if waited, err := a.config.Signups.Wait(c.r.Context(), accepted.Receipt, signup.Received, wait); err == nil {
			accepted = waited
		}
		accepted.Limit = limit
		h.Set("Preference-Applied", "wait="+strconv.Itoa(int(wait.Seconds())))
	}
	receipt := a.receipt(accepted)
	h.Set("Location", receipt.StatusURL)
	h.Set("Retry-After", "1")
	return c.answer(http.StatusAccepted, receipt)
}

// sameBody is what must be the same whenever an idempotency key comes again.
// The response of a challenge can be used once, so that a request that is sent
// again may have another.
func sameBody(body openapi.SignupRequest) ([]byte, error) {
	body.ChallengeResponse = ""
	return json.Marshal(body, json.Deterministic(true))
}

// refusedAddress turns what the policy says of an address into a field's error.
func refusedAddress(err error) error {
	for _, refusal := range []struct {
		err    error
		code   openapi.FieldErrorCode
		detail string
	}{
		{directory.ErrEmail, openapi.FieldErrorCodeInvalidEmail, "not an e-mail address that we accept"},
		{directory.ErrEmailBlocked, openapi.FieldErrorCodeEmailNotAdmitted, "this address, or its domain, is not admitted here"},
		{directory.ErrEmailDisposable, openapi.FieldErrorCodeEmailDisposable, "throw-away mailboxes are not admitted here"},
		{directory.ErrPlusAddress, openapi.FieldErrorCodeEmailTagged, "the address without what follows the plus, please"},
	} {
		if errors.Is(err, refusal.err) {
			return invalidField("/email", refusal.code, refusal.detail)
		}
	}
	return err
}

// longestKey bounds an idempotency key, in characters.
const longestKey = 255

// idempotencyKey returns the request's idempotency key, "" without one. The
// draft writes it as a structured string, in quotes; the field writes it
// without.
func idempotencyKey(r *http.Request) (string, error) {
	values := r.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	key := values[0]
	if quoted, ok := strings.CutPrefix(key, `"`); ok {
		key, ok = strings.CutSuffix(quoted, `"`)
		if !ok {
			return "", refuse(openapi.ProblemCodeIdempotencyKeyInvalid)
		}
	}
	unusable := strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
	if len(values) > 1 || key == "" || len(key) > longestKey || unusable {
		return "", refuse(openapi.ProblemCodeIdempotencyKeyInvalid)
	}
	return key, nil
}

// preferredWait returns how long the client would have its answer held, zero
// where it does not say. A preference that cannot be read is passed over
// (RFC 7240 §2).
func preferredWait(r *http.Request) time.Duration {
	for _, header := range r.Header.Values("Prefer") {
		for preference := range strings.SplitSeq(header, ",") {
			preference, _, _ = strings.Cut(preference, ";")
			name, value, _ := strings.Cut(preference, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
			if err != nil {
				return 0
			}
			return min(time.Duration(seconds)*time.Second, signup.LongestPreference)
		}
	}
	return 0
}

// getSignup says where a sign-up stands: GET /signup/{signup_id}.
func (a *API) getSignup(c *call) error {
	values, err := parameters(c.r, "wait")
	if err != nil {
		return err
	}
	wait, err := longPoll(values["wait"])
	if err != nil {
		return err
	}
	receipt := signup.Receipt(c.Param("signup_id"))
	found, err := a.config.Signups.Status(c.r.Context(), receipt)
	if err != nil {
		return err
	}
	known := c.r.Header.Get("If-None-Match")
	if wait > 0 && (known == "" || matches(known, etag(found))) {
		waited, err := a.config.Signups.Wait(c.r.Context(), receipt, found.Status, wait)
		if err != nil {
			return err
		}
		found = waited
	}
	h := c.w.Header()
	h.Set("ETag", etag(found))
	if matches(known, etag(found)) {
		return c.NoContent(http.StatusNotModified)
	}
	switch found.Status {
	case signup.Received:
		h.Set("Retry-After", "1")
	case signup.Invited:
		h.Set("Retry-After", "5")
	case signup.Active, signup.Failed: // for good
	}
	return c.answer(http.StatusOK, a.receipt(found))
}

// longPoll reads how long an answer may be held.
func longPoll(value string) (time.Duration, error) {
	if value == "" {
		return 0, nil
	}
	seconds, err := strconv.ParseUint(value, 10, 16)
	wait := time.Duration(seconds) * time.Second
	if err != nil || wait > signup.LongestWait {
		return 0, invalidParameter("wait", openapi.FieldErrorCodeInvalidValue, "not a number of seconds from 0 to 25")
	}
	return wait, nil
}

// etag changes with what the receipt shows.
func etag(s signup.Signup) string {
	sum := sha256.Sum256([]byte(string(s.Receipt) + " " + string(s.Status) + " " + s.ResendAfter.UTC().Format(time.RFC3339)))
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// matches compares an entity tag with those of an If-None-Match
// (RFC 9110 §13.1.2).
func matches(header, tag string) bool {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == tag || candidate == "*" {
			return true
		}
	}
	return false
}

// resend takes the wish for another enrolment mail:
// POST /signup/{signup_id}/resend.
func (a *API) resend(c *call) error {
	wished, err := a.config.Signups.Resend(c.r.Context(), signup.Receipt(c.Param("signup_id")), c.client())
	if err != nil {
		return err
	}
	announce(c.w.Header(), wished.Limit.Quota)
	return c.answer(http.StatusAccepted, a.receipt(wished))
}

// announce tells the client of its quota, where there is one.
func announce(h http.Header, quota ratelimit.Quota) {
	if quota.Limit == 0 {
		return
	}
	h.Set("RateLimit-Limit", strconv.Itoa(quota.Limit))
	h.Set("RateLimit-Remaining", strconv.Itoa(quota.Remaining))
	h.Set("RateLimit-Reset", strconv.Itoa(int(quota.Reset.Seconds())))
}

// client returns where the request comes from: the peer, or what a trusted
// proxy says.
func (c *call) client() netip.Addr {
	addr, _ := netip.ParseAddr(c.RealIP())
	return addr
}

func (a *API) receipt(s signup.Signup) openapi.SignupReceipt {
	return openapi.SignupReceipt{
		SignupID:    string(s.Receipt),
		Status:      openapi.SignupStatus(s.Status),
		StatusURL:   a.config.PublicURL + "/signup/" + string(s.Receipt),
		ResendAfter: s.ResendAfter,
	}
}
