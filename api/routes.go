package api

import (
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"

	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/admintoken"
)

// route is one operation of the contract.
type route struct {
	method string
	path   string // as the contract writes it
	guard  guard
	scope  admintoken.Scope // that the guard byAdminToken asks for
	body   bool             // takes a JSON body
	// knows says that the handler asks nobody: who is calling is all that it
	// needs, so that no clock has to run for it.
	knows bool
	// head says that HEAD is answered as well: as GET, without the body (RFC
	// 9110 §9.3.2), which the contract does not say twice.
	head bool
	// answers are the statuses of success, and problems the codes that are
	// this route's own; those of its guard and body come with them.
	answers  []int
	problems []code
	handle   func(*call) error
}

// routes is every operation that apps have; those of administrators are in
// adminRoutes, and the contract itself is in docsRoutes.
func (a *API) routes() []route {
	return slices.Concat(a.signupRoutes(), a.loginRoutes(), a.accountRoutes(), a.ownAccountRoutes(), a.logoutRoutes())
}

// signupRoutes lead from an address to a user.
func (a *API) signupRoutes() []route {
	return []route{
		{
			method: http.MethodPost, path: "/signup", guard: anyone, body: true, handle: a.signUp,
			answers: []int{http.StatusAccepted},
			problems: []code{
				openapi.ProblemCodeIdempotencyKeyInvalid, openapi.ProblemCodeIdempotencyKeyInUse,
				openapi.ProblemCodeIdempotencyKeyReused, openapi.ProblemCodeTooManyRequests,
				openapi.ProblemCodeSignupClosed, openapi.ProblemCodeInvitationRequired,
				openapi.ProblemCodeInvitationInvalid, openapi.ProblemCodeChallengeFailed,
				openapi.ProblemCodeChallengeUnavailable, openapi.ProblemCodeUnavailable,
			},
		},
		{
			method: http.MethodGet, path: "/signup/{signup_id}", guard: anyone, handle: a.getSignup,
			answers: []int{http.StatusOK, http.StatusNotModified},
			problems: []code{
				openapi.ProblemCodeInvalidQuery, openapi.ProblemCodeSignupNotFound, openapi.ProblemCodeUnavailable,
			},
		},
		{
			method: http.MethodPost, path: "/signup/{signup_id}/resend", guard: anyone, handle: a.resend,
			answers: []int{http.StatusAccepted},
			problems: []code{
				openapi.ProblemCodeSignupNotFound, openapi.ProblemCodeSignupNotInvited,
				openapi.ProblemCodeTooManyRequests, openapi.ProblemCodeUnavailable,
			},
		},
	}
}

// loginRoutes lead from a user to a session.
func (a *API) loginRoutes() []route {
	return []route{
		{
			method: http.MethodGet, path: "/login", guard: anyone, handle: a.startLogin,
			answers: []int{http.StatusSeeOther},
			problems: []code{
				openapi.ProblemCodeInvalidQuery, openapi.ProblemCodeCrossOrigin, openapi.ProblemCodePrefetchRefused,
				openapi.ProblemCodeTooManyRequests, openapi.ProblemCodeProviderUnavailable, openapi.ProblemCodeUnavailable,
			},
		},
		{
			method: http.MethodPost, path: "/login", guard: anyone, body: true, handle: a.startLoginByCode,
			answers: []int{http.StatusOK},
			problems: []code{
				openapi.ProblemCodeTooManyRequests, openapi.ProblemCodeProviderUnavailable, openapi.ProblemCodeUnavailable,
			},
		},
		{
			method: http.MethodGet, path: "/callback", guard: anyone, handle: a.finishLogin,
			answers: []int{http.StatusSeeOther},
			problems: []code{
				openapi.ProblemCodeInvalidQuery, openapi.ProblemCodeFlowMissing, openapi.ProblemCodeFlowInvalid,
			},
		},
		{
			method: http.MethodPost, path: "/callback", guard: anyone, body: true, handle: a.finishLoginByCode,
			answers: []int{http.StatusOK},
			problems: []code{
				openapi.ProblemCodeFlowMissing, openapi.ProblemCodeFlowInvalid, openapi.ProblemCodeFlowExpired,
				openapi.ProblemCodeFlowUsed, openapi.ProblemCodeStateMismatch, openapi.ProblemCodeIssuerMismatch,
				openapi.ProblemCodeAnswerInvalid, openapi.ProblemCodeCodeRefused, openapi.ProblemCodeIdentityRejected,
				openapi.ProblemCodeProviderError, openapi.ProblemCodeNotRegistered, openapi.ProblemCodeUserSuspended,
				openapi.ProblemCodeUserDeleting, openapi.ProblemCodeUserNotReady, openapi.ProblemCodeIdentityMismatch, openapi.ProblemCodeLoginTooOld,
				openapi.ProblemCodeProviderUnavailable, openapi.ProblemCodeUnavailable,
			},
		},
		{
			method: http.MethodPost, path: "/sessions", guard: anyone, body: true, handle: a.redeemCode,
			answers: []int{http.StatusCreated},
			problems: []code{
				openapi.ProblemCodeLoginCodeInvalid, openapi.ProblemCodeTooManyRequests, openapi.ProblemCodeUnavailable,
			},
		},
	}
}

// accountRoutes are for who is signed in.
func (a *API) accountRoutes() []route {
	return []route{
		{
			method: http.MethodGet, path: "/me", guard: signedIn, knows: true, handle: a.getMe,
			answers: []int{http.StatusOK},
		},
		{
			method: http.MethodGet, path: "/me/sessions", guard: signedIn, handle: a.listSessions,
			answers: []int{http.StatusOK},
		},
		{
			method: http.MethodDelete, path: "/me/sessions", guard: signedInRecently, handle: a.endOtherSessions,
			answers: []int{http.StatusNoContent},
		},
		{
			method: http.MethodDelete, path: "/me/sessions/{session_id}", guard: signedInRecently, handle: a.endSession,
			answers:  []int{http.StatusNoContent},
			problems: []code{openapi.ProblemCodeSessionNotFound},
		},
	}
}

// logoutRoutes end sessions.
func (a *API) logoutRoutes() []route {
	return []route{
		{
			method: http.MethodPost, path: "/logout", guard: signedIn, handle: a.logOut,
			answers:  []int{http.StatusOK},
			problems: []code{openapi.ProblemCodeInvalidQuery},
		},
		{
			method: http.MethodGet, path: "/logout/callback", guard: anyone, handle: a.finishLogout,
			answers: []int{http.StatusSeeOther},
		},
		{
			method: http.MethodPost, path: "/backchannel-logout", guard: bySignedToken, handle: a.logOutByProvider,
			answers: []int{http.StatusOK},
			problems: []code{
				openapi.ProblemCodeLogoutTokenInvalid, openapi.ProblemCodeNotFound, openapi.ProblemCodeBodyTooLarge,
				openapi.ProblemCodeTooManyRequests, openapi.ProblemCodeProviderUnavailable, openapi.ProblemCodeUnavailable,
			},
		},
	}
}

// codes returns every problem that the route may answer with.
func (r route) codes() []code {
	codes := append([]code{openapi.ProblemCodeInternalError}, r.problems...)
	switch {
	case r.guard.needsSession():
		codes = append(
			codes,
			openapi.ProblemCodeCredentialsConflict, openapi.ProblemCodeNotAuthenticated,
			openapi.ProblemCodeSessionInvalid, openapi.ProblemCodeSessionExpired,
			openapi.ProblemCodeCsrfRequired, openapi.ProblemCodeCrossOrigin, openapi.ProblemCodeUnavailable,
		)
		if r.guard == signedInRecently {
			codes = append(codes, openapi.ProblemCodeRecentLoginRequired)
		}
	case r.guard == byAdminToken:
		codes = append(
			codes,
			openapi.ProblemCodeAdminTokenInvalid, openapi.ProblemCodeScopeMissing, openapi.ProblemCodeCrossOrigin,
			openapi.ProblemCodeTooManyRequests, openapi.ProblemCodeUnavailable,
		)
	case r.guard == anyone && r.method != http.MethodGet:
		codes = append(codes, openapi.ProblemCodeCrossOrigin)
	}
	if r.body {
		codes = append(
			codes,
			openapi.ProblemCodeMalformedBody, openapi.ProblemCodeBodyTooLarge,
			openapi.ProblemCodeUnsupportedMediaType, openapi.ProblemCodeInvalidFields,
		)
	}
	return codes
}

// call is one request on its way through a handler.
type call struct {
	echo.Context

	notes  notes
	alone  bool                // no other request was under way when it came
	w      http.ResponseWriter // set for handlers, as r is
	r      *http.Request
	caller caller            // set where the guard is signedIn
	admin  admintoken.Holder // set where the guard is byAdminToken
}

// answer answers with a body as JSON.
func (c *call) answer(status int, body any) error {
	return c.send(status, func(buffer []byte) ([]byte, error) {
		raw, err := json.Marshal(body)
		return append(buffer, raw...), err
	})
}

// send encodes before anything of the answer is written, so that what cannot be
// encoded is a clean 500.
func (c *call) send(status int, encode func(buffer []byte) ([]byte, error)) error {
	buffer, ok := buffers.Get().(*[]byte)
	if !ok {
		buffer = new([]byte)
	}
	defer buffers.Put(buffer)
	var err error
	if *buffer, err = encode((*buffer)[:0]); err != nil {
		return err
	}
	*buffer = append(*buffer, '\n')
	if c.alone {
		c.w.Header()[echo.HeaderContentLength] = []string{strconv.Itoa(len(*buffer))} // so that it can be let go
	}
	return c.Blob(status, "application/json; charset=utf-8", *buffer)
}

// buffers are what answers are encoded in. What they are written to copies
// them.
//
//nolint:gochecknoglobals // memory to use again
var buffers sync.Pool

// seeOther redirects with a GET whatever the method was (RFC 9700 §4.12).
func (c *call) seeOther(target string) error {
	c.w.Header().Set("Location", target)
	return c.NoContent(http.StatusSeeOther)
}
