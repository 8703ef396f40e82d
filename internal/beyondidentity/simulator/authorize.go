package simulator

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// authorization is one authorization request, and, once a user is chosen, the
// library's view of it.
type authorization struct {
	clientID, redirectURI, state, nonce, challenge, loginHint string
	scopes, prompt                                            []string

	internalID, subject, code string
	authTime                  time.Time
}

var _ op.AuthRequest = (*authorization)(nil)

func (a *authorization) GetID() string                      { return a.code }
func (a *authorization) GetACR() string                     { return "" }
func (a *authorization) GetAMR() []string                   { return nil }
func (a *authorization) GetAudience() []string              { return []string{a.clientID} }
func (a *authorization) GetAuthTime() time.Time             { return a.authTime }
func (a *authorization) GetClientID() string                { return a.clientID }
func (a *authorization) GetNonce() string                   { return a.nonce }
func (a *authorization) GetRedirectURI() string             { return a.redirectURI }
func (a *authorization) GetResponseType() oidc.ResponseType { return oidc.ResponseTypeCode }
func (a *authorization) GetResponseMode() oidc.ResponseMode { return oidc.ResponseModeQuery }
func (a *authorization) GetScopes() []string                { return a.scopes }
func (a *authorization) GetState() string                   { return a.state }
func (a *authorization) GetSubject() string                 { return a.subject }
func (a *authorization) Done() bool                         { return a.subject != "" }

func (a *authorization) GetCodeChallenge() *oidc.CodeChallenge {
	if a.challenge == "" {
		return nil
	}
	return &oidc.CodeChallenge{Challenge: a.challenge, Method: oidc.CodeChallengeMethodS256}
}

// authorize answers an authorization request with the passkeys of this browser.
// It is not the library's endpoint: that one unescapes a redirect URI before it
// compares it, answers refusals as JSON, and sends the browser around a login
// page even when there is nothing to ask.
func (s *Simulator) authorize(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.page(w, http.StatusBadRequest, "refused", "The request cannot be read.")
		return
	}
	// Until client and redirect URI are known to be right, nothing is sent
	// there: an open redirector (RFC 6749 section 10.15, RFC 9700 section 4.11).
	if len(r.Form["client_id"]) != 1 || r.Form.Get("client_id") != s.cfg.ClientID {
		s.page(w, http.StatusBadRequest, "refused", "The client_id is missing or unknown.")
		return
	}
	if len(r.Form["redirect_uri"]) != 1 || !s.knowsRedirectURI(r.Form.Get("redirect_uri")) {
		s.page(w, http.StatusBadRequest, "refused", "The redirect_uri is missing or not registered for this client.")
		return
	}
	a, refusal := readAuthorization(r.Form)
	if refusal != nil {
		s.refuse(w, r, a, refusal)
		return
	}
	s.choose(w, r, a)
}

// oauthError is an error that goes back to the client (RFC 6749 section
// 4.1.2.1, OpenID Connect Core section 3.1.2.6).
type oauthError struct{ code, description string }

func readAuthorization(form url.Values) (*authorization, *oauthError) {
	a := &authorization{
		clientID: form.Get("client_id"), redirectURI: form.Get("redirect_uri"),
		state: form.Get("state"), nonce: form.Get("nonce"),
		challenge: form.Get("code_challenge"), loginHint: form.Get("login_hint"),
		prompt: strings.Fields(form.Get("prompt")),
	}
	scopes := strings.Fields(form.Get("scope"))
	a.scopes = []string{oidc.ScopeOpenID}
	for name, values := range form {
		if len(values) > 1 {
			return a, &oauthError{"invalid_request", name + " is given more than once"}
		}
	}
	switch {
	case form.Get("request") != "":
		return a, &oauthError{"request_not_supported", "request objects are not supported"}
	case form.Get("request_uri") != "":
		return a, &oauthError{"request_uri_not_supported", "request objects are not supported"}
	case form.Get("response_type") == "":
		return a, &oauthError{"invalid_request", "response_type is missing"}
	case form.Get("response_type") != string(oidc.ResponseTypeCode):
		return a, &oauthError{"unsupported_response_type", "only code is supported"}
	case form.Get("response_mode") != "" && form.Get("response_mode") != string(oidc.ResponseModeQuery):
		return a, &oauthError{"invalid_request", "only response_mode query is supported"}
	case !slices.Contains(scopes, oidc.ScopeOpenID):
		return a, &oauthError{"invalid_scope", "scope must contain openid"}
	case slices.Contains(a.prompt, oidc.PromptNone) && len(a.prompt) > 1:
		return a, &oauthError{"invalid_request", "prompt none stands alone"}
	}
	return a, checkPKCE(a.challenge, form.Get("code_challenge_method"))
}

func checkPKCE(challenge, method string) *oauthError {
	switch {
	case challenge == "" && method != "":
		return &oauthError{"invalid_request", "code_challenge is missing"}
	case challenge != "" && method != string(oidc.CodeChallengeMethodS256):
		// A missing method means plain (RFC 7636 section 4.3), which shows the
		// verifier to whoever sees the request.
		return &oauthError{"invalid_request", "code_challenge_method must be S256"}
	case challenge != "" && !isS256Challenge(challenge):
		return &oauthError{"invalid_request", "code_challenge is not one of S256"}
	}
	return nil
}

// isS256Challenge holds for the base64url of a SHA-256, 43 characters.
func isS256Challenge(c string) bool {
	return len(c) == 43 && !strings.ContainsFunc(c, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	})
}

// choose finds the user to sign in among those enrolled in this browser.
func (s *Simulator) choose(w http.ResponseWriter, r *http.Request, a *authorization) {
	silent := slices.Contains(a.prompt, oidc.PromptNone)
	candidates := s.state.holders(credentialsOf(r))
	if hinted := only(candidates, a.isHinted); len(hinted) > 0 {
		candidates = hinted
	}
	if active := only(candidates, isActive); len(active) > 0 {
		candidates = active
	}
	asked := slices.Contains(a.prompt, oidc.PromptSelectAccount)
	switch {
	case len(candidates) == 0 && silent:
		s.refuse(w, r, a, &oauthError{"login_required", "no passkey in this browser"})
	case len(candidates) == 0:
		s.page(w, http.StatusOK, "no-passkey", nil)
	case !isActive(candidates[0]):
		s.refuse(w, r, a, &oauthError{"access_denied", "the user is not active"})
	case len(candidates) == 1 && !asked:
		s.grant(w, r, a, candidates[0])
	case silent:
		s.refuse(w, r, a, &oauthError{"account_selection_required", "several passkeys in this browser"})
	default:
		s.showChooser(w, s.state.park(a, s.now()), candidates)
	}
}

func (s *Simulator) showChooser(w http.ResponseWriter, request string, users []account) {
	type choice struct{ Name, Email, URL string }
	choices := make([]choice, len(users))
	for i, u := range users {
		query := url.Values{"request": {request}, "user": {u.internalID}}
		choices[i] = choice{u.displayName, u.email, issuerPath + continuePath + "?" + query.Encode()}
	}
	s.page(w, http.StatusOK, "choose", choices)
}

// continueAuthorize goes on with a parked request once a person has chosen.
// The user still has to be one of this browser's.
func (s *Simulator) continueAuthorize(w http.ResponseWriter, r *http.Request) {
	a, ok := s.state.unpark(r.URL.Query().Get("request"), s.now())
	if !ok {
		s.page(w, http.StatusBadRequest, "refused", "This sign-in has been answered or has expired. Start again in the app.")
		return
	}
	chosen := r.URL.Query().Get("user")
	for _, u := range s.state.holders(credentialsOf(r)) {
		if u.internalID != chosen {
			continue
		}
		if !isActive(u) {
			s.refuse(w, r, a, &oauthError{"access_denied", "the user is not active"})
			return
		}
		s.grant(w, r, a, u)
		return
	}
	s.page(w, http.StatusBadRequest, "refused", "This browser has no passkey of that user.")
}

func (s *Simulator) grant(w http.ResponseWriter, r *http.Request, a *authorization, u account) {
	a.internalID, a.subject = u.internalID, u.userName
	// A passkey was used just now. The machine's clock, because the library
	// sets the token's other times by it.
	a.authTime = time.Now()
	s.answer(w, r, a, url.Values{"code": {s.state.issueCode(a, u.internalID, s.now())}})
}

func (s *Simulator) refuse(w http.ResponseWriter, r *http.Request, a *authorization, e *oauthError) {
	s.answer(w, r, a, url.Values{"error": {e.code}, "error_description": {e.description}})
}

// answer redirects to the client, with iss against mix-up attacks (RFC 9207).
func (s *Simulator) answer(w http.ResponseWriter, r *http.Request, a *authorization, params url.Values) {
	if a.state != "" {
		params.Set("state", a.state)
	}
	params.Set("iss", s.Issuer())
	separator := "?"
	if strings.Contains(a.redirectURI, "?") {
		separator = "&"
	}
	w.Header().Set("Referrer-Policy", "no-referrer")
	//nolint:gosec // the redirect URI was found among the registered ones, character by character
	http.Redirect(w, r, a.redirectURI+separator+params.Encode(), http.StatusSeeOther)
}

func (a *authorization) isHinted(u account) bool {
	return a.loginHint != "" && (strings.EqualFold(a.loginHint, u.email) || a.loginHint == u.userName)
}

func isActive(u account) bool { return u.status == StatusActive }

func only(users []account, keep func(account) bool) []account {
	var kept []account
	for _, u := range users {
		if keep(u) {
			kept = append(kept, u)
		}
	}
	return kept
}
