package api

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"

	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/session"
)

// logOut ends the session: POST /logout. It says so only if it did.
func (a *API) logOut(c *call) error {
	query, err := parameters(c.r, "return_to")
	if err != nil {
		return err
	}
	target, ok := a.returns.resolve(query["return_to"])
	if !ok {
		return invalidParameter("return_to", openapi.FieldErrorCodeReturnToRefused, "neither a path nor at an origin of this app")
	}
	err = a.config.Sessions.End(c.r.Context(), c.caller.token)
	// Another request has ended it just now: it is as gone as it can be.
	if err != nil && !errors.Is(err, session.ErrUnknown) {
		return err
	}
	if c.caller.session.Client == session.Browser {
		a.cookies.dropAll(c.w, c.r)
		// Not "cookies": that would reach those of every sibling domain.
		c.w.Header().Set("Clear-Site-Data", `"cache", "storage"`)
	}
	return c.answer(http.StatusOK, openapi.LoggedOut{LogoutURL: a.config.Login.LogoutURL(target)})
}

// finishLogout takes the browser back from the provider's logout page: GET
// /logout/callback. The state is a convenience and proves nothing, so that one
// that is missing or foreign leads to where there is none.
func (a *API) finishLogout(c *call) error {
	target := a.config.DefaultReturnTo
	if states := c.r.URL.Query()["state"]; len(states) == 1 {
		wish, ok := a.config.Login.LogoutReturn(states[0])
		if resolved, allowed := a.returns.resolve(wish); ok && allowed {
			target = resolved
		}
	}
	return c.seeOther(target)
}

// logOutByProvider ends the sessions that a logout token names: POST
// /backchannel-logout. The token is all that says who is calling.
func (a *API) logOutByProvider(c *call) error {
	if a.config.WithoutProviderLogout {
		return refuse(openapi.ProblemCodeNotFound)
	}
	if a.config.Limits != nil {
		if err := limited(a.config.Limits.Logout(c.r.Context(), c.client())); err != nil {
			return err
		}
	}
	text, err := logoutToken(c.w, c.r)
	if err != nil {
		return err
	}
	token, err := a.config.Login.VerifyLogoutToken(c.r.Context(), text)
	if err == nil {
		_, err = a.config.Sessions.EndOfProvider(byProvider(c), session.ProviderLogout{
			Issuer:    token.Issuer,
			Subject:   token.Subject,
			Session:   token.SessionID,
			TokenID:   token.ID,
			ExpiresAt: token.ExpiresAt,
		})
	}
	if errors.Is(err, login.ErrLogoutToken) || errors.Is(err, session.ErrLogoutReplayed) {
		// A provider whose logouts are all refused is a fault in some
		// configuration, which its operator should find in the log.
		a.logRefusal(c, asProblem(err))
	}
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusOK)
}

// logoutToken reads the form of Back-Channel Logout 1.0 §2.5. Parameters of
// other names are ignored.
func logoutToken(w http.ResponseWriter, r *http.Request) (string, error) {
	bad := refuse(openapi.ProblemCodeLogoutTokenInvalid)
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" || r.Header.Get("Content-Encoding") != "" {
		return "", bad
	}
	if r.ContentLength > maxBody {
		return "", refuse(openapi.ProblemCodeBodyTooLarge)
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return "", refuse(openapi.ProblemCodeBodyTooLarge)
	}
	form, parseErr := url.ParseQuery(string(raw))
	if err != nil || parseErr != nil || len(form["logout_token"]) != 1 {
		return "", bad
	}
	return form["logout_token"][0], nil
}
