package api

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/session"
)

// cookiePrefix makes browsers refuse a cookie that was not set by us: over
// TLS, by HTTP, for this host alone (draft-ietf-httpbis-rfc6265bis §4.1.3), so
// that neither a sibling domain nor a script plants a session.
const cookiePrefix = "__Host-Http-"

const (
	sessionCookie = "portico"
	flowCookie    = "portico-flow-"
	// maxFlows is how many logins one browser may have under way. Every
	// GET /login adds one, and without a bound they would fill the request
	// header until the server refuses it.
	maxFlows = 8
)

// cookies sets and reads our cookies. On plain-http localhost, where browsers
// take no prefix, they have none.
type cookies struct {
	insecure bool
}

func (c cookies) name(bare string) string {
	if c.insecure {
		return bare
	}
	return cookiePrefix + bare
}

// set sets a cookie with every attribute that all of ours have.
func (c cookies) set(w http.ResponseWriter, bare, value string, maxAge int, sameSite http.SameSite) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // without Secure only on plain-http localhost, where browsers would drop it
		Name:     c.name(bare),
		Value:    value,
		Path:     "/",
		MaxAge:   maxAge,
		Secure:   !c.insecure,
		HttpOnly: true,
		SameSite: sameSite,
	})
}

// drop makes the browser forget a cookie.
func (c cookies) drop(w http.ResponseWriter, bare string, sameSite http.SameSite) {
	c.set(w, bare, "", -1, sameSite)
}

// setSession gives the browser its session. Strict keeps it out of every
// request that another site causes (RFC 10017 §6.1.3.2).
func (c cookies) setSession(w http.ResponseWriter, token session.Token, lifetime time.Duration) {
	c.set(w, sessionCookie, token.Reveal(), int(lifetime.Seconds()), http.SameSiteStrictMode)
}

// sessions returns the values of every session cookie in the request.
func (c cookies) sessions(r *http.Request) []string {
	var values []string
	for _, cookie := range r.CookiesNamed(c.name(sessionCookie)) {
		values = append(values, cookie.Value)
	}
	return values
}

// setFlow gives the browser a flow. Lax lets it come back with the provider's
// redirect, which is a navigation from another site.
func (c cookies) setFlow(w http.ResponseWriter, flow login.Begun, now time.Time) {
	c.set(w, flowCookie+flow.FlowID, flow.Sealed, int(flow.ExpiresAt.Sub(now).Seconds()), http.SameSiteLaxMode)
}

// flow returns the sealed flow with this id, or "". Of two cookies with one
// name neither is trusted.
func (c cookies) flow(r *http.Request, id string) string {
	found := r.CookiesNamed(c.name(flowCookie + id))
	if len(found) != 1 {
		return ""
	}
	return found[0].Value
}

// flowIDs returns the ids of the flows in the request, each once: an answer
// that set one cookie twice would be read differently (RFC 6265 §4.1.1).
func (c cookies) flowIDs(r *http.Request) []string {
	var ids []string
	for _, cookie := range r.Cookies() {
		if id, ok := strings.CutPrefix(cookie.Name, c.name(flowCookie)); ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// makeRoom drops the flows that are of no use any more and, of the rest, the
// oldest, so that one more stays within maxFlows.
func (c cookies) makeRoom(w http.ResponseWriter, r *http.Request, peek func(sealed string) (login.FlowInfo, login.Client, error), now time.Time) {
	type known struct {
		id     string
		issued time.Time
	}
	var alive []known
	for _, id := range c.flowIDs(r) {
		info, _, err := peek(c.flow(r, id))
		if err != nil || info.FlowID != id || !now.Before(info.ExpiresAt) {
			c.dropFlow(w, id)
			continue
		}
		alive = append(alive, known{id, info.IssuedAt})
	}
	slices.SortFunc(alive, func(a, b known) int { return a.issued.Compare(b.issued) })
	for len(alive) >= maxFlows {
		c.dropFlow(w, alive[0].id)
		alive = alive[1:]
	}
}

func (c cookies) dropFlow(w http.ResponseWriter, id string) {
	c.drop(w, flowCookie+id, http.SameSiteLaxMode)
}

// dropAll leaves nothing of ours in the browser.
func (c cookies) dropAll(w http.ResponseWriter, r *http.Request) {
	c.drop(w, sessionCookie, http.SameSiteStrictMode)
	for _, id := range c.flowIDs(r) {
		c.dropFlow(w, id)
	}
}
