package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/admintoken"
	"github.com/portico-id/portico/internal/challenge"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/invitation"
	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/ratelimit"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/webhook"
)

// code is a problem's stable name.
type code = openapi.ProblemCode

// kind is what is always the same about the problems with one code.
type kind struct {
	status int
	title  string
	detail string
}

// kinds has every code of the contract.
//
//nolint:gochecknoglobals // a table
var kinds = map[code]kind{
	openapi.ProblemCodeInvalidQuery:  {400, "A query parameter is not usable", "It is repeated, too long or not one of its values; see errors."},
	openapi.ProblemCodeMalformedBody: {400, "The body is not the JSON that is wanted", "One JSON object with the documented fields; see errors."},
	openapi.ProblemCodeIdempotencyKeyInvalid: {
		400, "The header Idempotency-Key is not usable",
		"Send it once: 1 to 255 printable ASCII characters, say a UUID.",
	},
	openapi.ProblemCodeCredentialsConflict: {400, "The request says in two ways who is calling", "Send one cookie or one Authorization header."},
	openapi.ProblemCodeFlowMissing:         {400, "No login is under way here", "This browser has no such login under way. Start again at /login."},
	openapi.ProblemCodeFlowInvalid:         {400, "The flow is not one of ours", "It was not begun here. Start again at /login."},
	openapi.ProblemCodeFlowExpired:         {400, "The login took too long", "Start again at /login."},
	openapi.ProblemCodeStateMismatch:       {400, "The answer belongs to another flow", "Start again at /login."},
	openapi.ProblemCodeIssuerMismatch:      {400, "The answer comes from another issuer", "Start again at /login."},
	openapi.ProblemCodeAnswerInvalid:       {400, "The provider's answer is malformed", "Start again at /login."},
	openapi.ProblemCodeCodeRefused:         {400, "The provider refused the code", "A code can be used once, and soon. Start again at /login."},
	openapi.ProblemCodeLoginCodeInvalid:    {400, "The code opens nothing", "It lives for a minute and works once, with its verifier. Start again at /login."},
	openapi.ProblemCodeEmailCodeInvalid:    {400, "The code proves nothing", "It was not mailed for this, has been used or tried too often, or is too old."},
	openapi.ProblemCodeLogoutTokenInvalid:  {400, "The logout token is not acceptable", "It is not for us, too old, or used before; the log has which."},
	openapi.ProblemCodeNotAuthenticated:    {401, "Nobody is signed in", "Send the session's cookie or a bearer token, or log in."},
	openapi.ProblemCodeSessionInvalid:      {401, "The session is not known", "It has been ended, or the token is not one of ours. Log in again."},
	openapi.ProblemCodeSessionExpired:      {401, "The session has ended", "It was not used for too long, or is too old. Log in again."},
	openapi.ProblemCodeRecentLoginRequired: {401, "The login is not recent enough for this", "Log in again, with max_age or prompt=login at /login."},
	openapi.ProblemCodeAdminTokenInvalid:   {401, "No administrator has this token", "Send a good one as Authorization: Bearer pta_…, and once."},
	openapi.ProblemCodeScopeMissing:        {403, "The token is not good for this", "It lacks a scope that this needs."},
	openapi.ProblemCodeCsrfRequired:        {403, "The header X-CSRF: 1 is missing", "Every request that is made by cookie must carry it, GET included."},
	openapi.ProblemCodeCrossOrigin:         {403, "The request comes from another origin", "Only pages of the configured origins may do this."},
	openapi.ProblemCodeSignupClosed:        {403, "Nobody can sign up at present", "The operator has closed the sign-up."},
	openapi.ProblemCodeInvitationRequired:  {403, "An invitation code is needed", "Send the code that you were given as invite_code."},
	openapi.ProblemCodeInvitationInvalid:   {403, "The invitation code lets nobody in", "It is unknown, used up, expired or for another address."},
	openapi.ProblemCodeChallengeFailed:     {403, "The challenge has not been solved", "Send the response of a newly solved challenge as challenge_response."},
	openapi.ProblemCodePrefetchRefused:     {403, "A login is not to be fetched beforehand", "It begins when the user goes there."},
	openapi.ProblemCodeAccessDenied:        {403, "The provider refused the login", "The user declined, or may not use this application."},
	openapi.ProblemCodeLoginRequired:       {403, "The user has to take part", "Log in without prompt=none."},
	openapi.ProblemCodeNotRegistered:       {403, "This user has not signed up", "Sign up first, at POST /signup."},
	openapi.ProblemCodeUserSuspended:       {403, "The user is suspended", "An administrator has to restore the user."},
	openapi.ProblemCodeUserDeleting: {
		403, "The user is being deleted",
		"The account has been closed; until it is deleted, an administrator can restore it.",
	},
	openapi.ProblemCodeUserNotReady:            {403, "The user may not sign in yet", "The sign-up has not been carried out, or was refused."},
	openapi.ProblemCodeIdentityMismatch:        {403, "The identity is not the one on record", "The provider now tells other ids of this user than before."},
	openapi.ProblemCodeLoginTooOld:             {403, "The login is older than is allowed here", "The provider did not ask again. Log in with prompt=login."},
	openapi.ProblemCodeNotFound:                {404, "There is nothing here", "No route has this path."},
	openapi.ProblemCodeSignupNotFound:          {404, "No sign-up has this receipt", "The receipt is not one of ours."},
	openapi.ProblemCodeSessionNotFound:         {404, "The user has no such session", "It has ended, or was never this user's."},
	openapi.ProblemCodeUserNotFound:            {404, "There is no such user", "Nobody has this id, or they have been deleted."},
	openapi.ProblemCodeWebhookNotFound:         {404, "There is no such webhook", "None has this id."},
	openapi.ProblemCodeWebhookDeliveryNotFound: {404, "There is no such delivery", "None has this id, or no longer."},
	openapi.ProblemCodeMethodNotAllowed:        {405, "The route does not take this method", "The header Allow lists those that it takes."},
	openapi.ProblemCodeFlowUsed:                {409, "The flow has been finished already", "A login can be finished once. Start again at /login."},
	openapi.ProblemCodeIdempotencyKeyInUse:     {409, "A request with this idempotency key is under way", "Wait, or send it again after Retry-After seconds."},
	openapi.ProblemCodeSignupNotInvited:        {409, "The sign-up is not waiting for its enrolment", "The mail is sent again only while the status is invited."},
	openapi.ProblemCodeEmailChangeUnavailable:  {409, "Addresses cannot be changed here", "There is no mail server, by which the new address could be proven."},
	openapi.ProblemCodeEmailTaken:              {409, "Another user has the address", "An address belongs to one user: use another one."},
	openapi.ProblemCodeExternalIDTaken:         {409, "Another user has the external_id", "It belongs to one user for good, deleted ones included."},
	openapi.ProblemCodeInternalIDTaken:         {409, "Another user has the internal_id", "Somebody else here is that user of the provider's."},
	openapi.ProblemCodeStatusConflict:          {409, "The user's status does not allow this", "The user is in another status than this needs."},
	openapi.ProblemCodeWebhookLimitReached:     {409, "There are too many webhooks", "There may be 50. Remove one first."},
	openapi.ProblemCodeWebhookDisabled:         {409, "The webhook gets nothing", "Enable it first."},
	openapi.ProblemCodePreconditionFailed:      {412, "The user has changed meanwhile", "Read the user again, and send the new ETag as If-Match."},
	openapi.ProblemCodeBodyTooLarge:            {413, "The body is over 64 KiB", "Send at most 65536 bytes."},
	openapi.ProblemCodeUnsupportedMediaType:    {415, "The body is not application/json", "Send Content-Type: application/json, UTF-8, not compressed."},
	openapi.ProblemCodeInvalidFields:           {422, "A value is not acceptable", "The body is well-formed; see errors for the values."},
	openapi.ProblemCodeIdempotencyKeyReused:    {422, "The idempotency key came with another body before", "Use a new key for a new request."},
	openapi.ProblemCodePreconditionRequired:    {428, "It is not said what this was decided upon", "Send the ETag of the user as If-Match."},
	openapi.ProblemCodeTooManyRequests:         {429, "Too many requests", "Try again after Retry-After seconds."},
	openapi.ProblemCodeInternalError:           {500, "Something went wrong here", "Quote the request_id when you report it."},
	openapi.ProblemCodeProviderError:           {502, "The provider answered with an error", "An operator has to look at the configuration here or there."},
	openapi.ProblemCodeIdentityRejected:        {502, "The provider's answer was not acceptable", "It failed a check; the log has which. Start again at /login."},
	openapi.ProblemCodeProviderUnavailable:     {503, "The provider cannot be reached", "Sessions work meanwhile. Try again after Retry-After seconds."},
	openapi.ProblemCodeChallengeUnavailable:    {503, "The challenge cannot be checked just now", "Try again after Retry-After seconds."},
	openapi.ProblemCodeUnavailable:             {503, "The service cannot answer just now", "Try again after Retry-After seconds."},
}

// causes translates the domain's errors. What is not in it is a fault of ours.
//
//nolint:gochecknoglobals // a table
var causes = []struct {
	err  error
	code code
}{
	{account.ErrNotFound, openapi.ProblemCodeUserNotFound},
	{account.ErrVersion, openapi.ProblemCodePreconditionFailed},
	{account.ErrEmailTaken, openapi.ProblemCodeEmailTaken},
	{account.ErrExternalIDTaken, openapi.ProblemCodeExternalIDTaken},
	{account.ErrInternalIDTaken, openapi.ProblemCodeInternalIDTaken},
	{webhook.ErrNotFound, openapi.ProblemCodeWebhookNotFound},
	{webhook.ErrDeliveryNotFound, openapi.ProblemCodeWebhookDeliveryNotFound},
	{webhook.ErrTooMany, openapi.ProblemCodeWebhookLimitReached},
	{webhook.ErrDisabled, openapi.ProblemCodeWebhookDisabled},
	{signup.ErrNotFound, openapi.ProblemCodeSignupNotFound},
	{signup.ErrClosed, openapi.ProblemCodeSignupClosed},
	{signup.ErrNotInvited, openapi.ProblemCodeSignupNotInvited},
	{signup.ErrInvitationMissing, openapi.ProblemCodeInvitationRequired},
	{invitation.ErrInvalid, openapi.ProblemCodeInvitationInvalid},
	{signup.ErrKeyInUse, openapi.ProblemCodeIdempotencyKeyInUse},
	{signup.ErrKeyReused, openapi.ProblemCodeIdempotencyKeyReused},
	{challenge.ErrRefused, openapi.ProblemCodeChallengeFailed},
	{challenge.ErrUnavailable, openapi.ProblemCodeChallengeUnavailable},
	{challenge.ErrMisconfigured, openapi.ProblemCodeChallengeUnavailable},
	{account.ErrNoMail, openapi.ProblemCodeEmailChangeUnavailable},
	{account.ErrEmailCode, openapi.ProblemCodeEmailCodeInvalid},
	{session.ErrToken, openapi.ProblemCodeSessionInvalid},
	{session.ErrUnknown, openapi.ProblemCodeSessionInvalid},
	{session.ErrExpired, openapi.ProblemCodeSessionExpired},
	{session.ErrCode, openapi.ProblemCodeLoginCodeInvalid},
	{session.ErrLoginTooOld, openapi.ProblemCodeLoginTooOld},
	{session.ErrLogoutReplayed, openapi.ProblemCodeLogoutTokenInvalid},
	{login.ErrLogoutToken, openapi.ProblemCodeLogoutTokenInvalid},
	{login.ErrAuthTooOld, openapi.ProblemCodeLoginTooOld},
	{directory.ErrNotRegistered, openapi.ProblemCodeNotRegistered},
	{directory.ErrSuspended, openapi.ProblemCodeUserSuspended},
	{directory.ErrDeleting, openapi.ProblemCodeUserDeleting},
	{directory.ErrNotReady, openapi.ProblemCodeUserNotReady},
	{directory.ErrIdentityMismatch, openapi.ProblemCodeIdentityMismatch},
	{directory.ErrUnavailable, openapi.ProblemCodeUnavailable},
	{login.ErrFlowMissing, openapi.ProblemCodeFlowMissing},
	{login.ErrFlowInvalid, openapi.ProblemCodeFlowInvalid},
	{login.ErrFlowExpired, openapi.ProblemCodeFlowExpired},
	{login.ErrFlowUsed, openapi.ProblemCodeFlowUsed},
	{login.ErrStateMismatch, openapi.ProblemCodeStateMismatch},
	{login.ErrIssuerMismatch, openapi.ProblemCodeIssuerMismatch},
	{login.ErrAnswerInvalid, openapi.ProblemCodeAnswerInvalid},
	{login.ErrCodeRefused, openapi.ProblemCodeCodeRefused},
	{login.ErrClientRefused, openapi.ProblemCodeProviderError},
	{login.ErrIdentityRejected, openapi.ProblemCodeIdentityRejected},
	{login.ErrProviderUnavailable, openapi.ProblemCodeProviderUnavailable},
	// The client has gone: nobody reads the answer, and nothing is broken.
	{context.Canceled, openapi.ProblemCodeUnavailable},
	{context.DeadlineExceeded, openapi.ProblemCodeUnavailable},
}

// problem is an error that knows its answer.
type problem struct {
	code       code
	fields     []openapi.FieldError
	retryAfter time.Duration
	limit      ratelimit.Decision // where one refused
	maxAge     time.Duration      // of a login that would do
	scope      admintoken.Scope   // that the token lacks
	detail     string             // in place of the code's own
	cause      error              // for the log; never in the answer
}

// Error names the code and the cause.
func (p *problem) Error() string {
	if p.cause == nil {
		return string(p.code)
	}
	return string(p.code) + ": " + p.cause.Error()
}

// Unwrap returns the cause.
func (p *problem) Unwrap() error { return p.cause }

func refuse(c code) *problem { return &problem{code: c} }

// invalidField is a well-formed value that is not acceptable.
func invalidField(pointer string, c openapi.FieldErrorCode, detail string) *problem {
	return &problem{code: openapi.ProblemCodeInvalidFields, fields: []openapi.FieldError{{Pointer: pointer, Code: c, Detail: detail}}}
}

// invalidParameter is a query parameter that is not usable.
func invalidParameter(name string, c openapi.FieldErrorCode, detail string) *problem {
	return &problem{code: openapi.ProblemCodeInvalidQuery, fields: []openapi.FieldError{{Pointer: "?" + name, Code: c, Detail: detail}}}
}

// defaultRetryAfter is said with every 503 that knows no better.
const defaultRetryAfter = 5 * time.Second

// asProblem returns the problem that err is.
func asProblem(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	p := &problem{code: openapi.ProblemCodeInternalError, cause: err}
	for _, c := range causes {
		if errors.Is(err, c.err) {
			p.code = c.code
			break
		}
	}
	if refused, ok := errors.AsType[*login.ProviderError](err); ok {
		p.code = codeOfProviderError(refused.Class)
	}
	if away, ok := errors.AsType[*login.UnavailableError](err); ok {
		p.retryAfter = away.RetryAfter
	}
	if limited, ok := errors.AsType[*signup.LimitedError](err); ok {
		p.code, p.limit, p.retryAfter = openapi.ProblemCodeTooManyRequests, limited.Decision, limited.Decision.RetryAfter
	}
	if status, ok := errors.AsType[*account.StatusError](err); ok {
		p.code, p.detail = openapi.ProblemCodeStatusConflict, "The user is "+string(status.Status)+", which does not allow this."
	}
	if wrong, ok := errors.AsType[*account.QueryError](err); ok {
		return invalidParameter(wrong.Parameter, openapi.FieldErrorCodeInvalidValue, wrong.Reason)
	}
	if limited, ok := errors.AsType[*account.LimitedError](err); ok {
		p.code, p.limit, p.retryAfter = openapi.ProblemCodeTooManyRequests, limited.Decision, limited.Decision.RetryAfter
	}
	if p.code == openapi.ProblemCodeIdempotencyKeyInUse {
		p.retryAfter = time.Second
	}
	if p.status() == http.StatusServiceUnavailable && p.retryAfter <= 0 {
		p.retryAfter = defaultRetryAfter
	}
	return p
}

// codeOfProviderError keeps of the provider's error what an app can act on.
func codeOfProviderError(class string) code {
	switch class {
	case "access_denied":
		return openapi.ProblemCodeAccessDenied
	case "login_required", "interaction_required", "consent_required", "account_selection_required":
		return openapi.ProblemCodeLoginRequired
	case "temporarily_unavailable":
		return openapi.ProblemCodeProviderUnavailable
	default:
		return openapi.ProblemCodeProviderError
	}
}

func (p *problem) status() int { return kinds[p.code].status }

// document is the problem as it is answered (RFC 9457 §3).
func (p *problem) document(instance, requestID string) openapi.Problem {
	k := kinds[p.code]
	if p.detail != "" {
		k.detail = p.detail
	}
	return openapi.Problem{
		Type:      "urn:portico:problem:" + string(p.code),
		Title:     k.title,
		Status:    k.status,
		Detail:    k.detail,
		Instance:  instance,
		Code:      p.code,
		RequestID: requestID,
		Errors:    p.fields,
	}
}
