package api

import (
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"

	"github.com/portico-id/portico/api/openapi"
)

// route is one operation of the contract.
type route struct {
	method string
	path   string // as the contract writes it
	guard  guard
	body   bool // takes a JSON body
	// answers are the statuses of success, and problems the codes that are
	// this route's own; those of its guard and body come with them.
	answers  []int
	problems []code
	handle   func(*call) error
}

// routes is every operation there is.
func (a *API) routes() []route {
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
		{
			method: http.MethodGet, path: "/login", guard: anyone, handle: a.startLogin,
			answers: []int{http.StatusSeeOther},
			problems: []code{
				openapi.ProblemCodeInvalidQuery, openapi.ProblemCodeCrossOrigin,
				openapi.ProblemCodeProviderUnavailable, openapi.ProblemCodeUnavailable,
			},
		},
		{
			method: http.MethodPost, path: "/login", guard: anyone, body: true, handle: a.startLoginByCode,
			answers:  []int{http.StatusOK},
			problems: []code{openapi.ProblemCodeProviderUnavailable, openapi.ProblemCodeUnavailable},
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
				openapi.ProblemCodeUserNotReady, openapi.ProblemCodeIdentityMismatch,
				openapi.ProblemCodeProviderUnavailable, openapi.ProblemCodeUnavailable,
			},
		},
		{
			method: http.MethodGet, path: "/me", guard: signedIn, handle: a.getMe,
			answers: []int{http.StatusOK},
		},
		{
			method: http.MethodPost, path: "/logout", guard: signedIn, handle: a.logOut,
			answers: []int{http.StatusOK},
		},
	}
}

// codes returns every problem that the route may answer with.
func (r route) codes() []code {
	codes := append([]code{openapi.ProblemCodeInternalError}, r.problems...)
	if r.guard == signedIn {
		codes = append(
			codes,
			openapi.ProblemCodeCredentialsConflict, openapi.ProblemCodeNotAuthenticated,
			openapi.ProblemCodeSessionInvalid, openapi.ProblemCodeSessionExpired,
			openapi.ProblemCodeCsrfRequired, openapi.ProblemCodeCrossOrigin, openapi.ProblemCodeUnavailable,
		)
	} else if r.method != http.MethodGet {
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

	w      http.ResponseWriter
	r      *http.Request
	caller caller // set where the guard is signedIn
}

// answer encodes body before anything of the answer is written, so that what
// cannot be encoded is a clean 500.
func (c *call) answer(status int, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return c.Blob(status, "application/json; charset=utf-8", append(raw, '\n'))
}

// seeOther redirects with a GET whatever the method was (RFC 9700 §4.12).
func (c *call) seeOther(target string) error {
	c.w.Header().Set("Location", target)
	return c.NoContent(http.StatusSeeOther)
}
