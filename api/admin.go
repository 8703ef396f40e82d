package api

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/admintoken"
)

// adminTokens are the tokens that are good now.
func (a *API) adminTokens() *admintoken.Tokens {
	if a.config.AdminTokens == nil {
		return nil
	}
	return a.config.AdminTokens()
}

// admit lets the holder of a token with the route's scope in. What follows is
// done, and written down, in their name.
func (a *API) admit(c *call, scope admintoken.Scope) error {
	if fromPage(c.r) {
		return refuse(openapi.ProblemCodeCrossOrigin)
	}
	holder, err := a.holder(c.r)
	if err != nil {
		return a.turnAway(c)
	}
	note(c).admin = holder.Name
	c.admin = holder
	if !holder.May(scope) {
		return &problem{
			code: openapi.ProblemCodeScopeMissing, scope: scope,
			detail: fmt.Sprintf("The token %s does not have the scope %s.", holder.Name, scope),
		}
	}
	return nil
}

// fromPage reports whether a page has caused the request. None may: an
// administrator's browser is led by whatever page is open in it, and the
// listener is often where no firewall stands between the two (DNS rebinding,
// CSRF into the inner network). Programs name no origin.
func fromPage(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return r.Header.Get("Origin") != "" || site != "" && site != "none"
}

// holder returns who has the request's token. Cookies count for nothing here,
// so that no browser can be made to bring what opens this.
func (a *API) holder(r *http.Request) (admintoken.Holder, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return admintoken.Holder{}, admintoken.ErrUnknown
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return admintoken.Holder{}, admintoken.ErrUnknown
	}
	return a.adminTokens().Find(token)
}

// turnAway refuses who has no token, and after a while does not even look at
// why. A good token gets through meanwhile: nobody can lock its holder out.
func (a *API) turnAway(c *call) error {
	if a.config.Limits != nil {
		if err := limited(a.config.Limits.AdminFailure(c.r.Context(), c.client())); err != nil {
			return err
		}
	}
	a.config.Log.LogAttrs(c.r.Context(), slog.LevelWarn, "an administrator's token was refused",
		slog.String("request_id", note(c).requestID), slog.String("client_ip", c.RealIP()), slog.String("route", c.Path()))
	return refuse(openapi.ProblemCodeAdminTokenInvalid)
}
