package simulator

import (
	"crypto/subtle"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/mail"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

// apiError is a refusal of a management API, before it is spelled in the way of
// one generation.
type apiError struct {
	status  int
	message string
	details []any
}

type fieldViolation struct {
	Field       string `json:"field"`
	Description string `json:"description"`
}

type fieldViolations struct {
	Type       string           `json:"type"`
	Violations []fieldViolation `json:"field_violations"`
}

type resourceInfo struct {
	Type         string `json:"type"`
	ResourceType string `json:"resource_type"`
	ID           string `json:"id"`
	Description  string `json:"description"`
}

func (e *apiError) Error() string { return e.message }

func badRequest(message string) *apiError {
	return &apiError{status: http.StatusBadRequest, message: message}
}

func invalidFields(violations []fieldViolation) *apiError {
	return &apiError{
		status: http.StatusBadRequest, message: "invalid parameters",
		details: []any{fieldViolations{Type: "FieldViolations", Violations: violations}},
	}
}

func notFound(message string) *apiError {
	return &apiError{status: http.StatusNotFound, message: message}
}

func userNotFound(id string) *apiError {
	return &apiError{
		status: http.StatusNotFound, message: "user not found",
		details: []any{resourceInfo{Type: "ResourceInfo", ResourceType: "User", ID: id, Description: "user not found"}},
	}
}

func conflict(message string) *apiError {
	return &apiError{status: http.StatusConflict, message: message}
}

// errorWriter spells a refusal in the way of one generation.
type errorWriter func(http.ResponseWriter, *apiError)

// writeV1Error uses numeric codes. Manage v1 documents no error body at all, so
// that a client which depends on one is wrong; numbers show it.
func writeV1Error(w http.ResponseWriter, e *apiError) {
	codes := map[int]int{
		http.StatusBadRequest: 3, http.StatusUnauthorized: 16, http.StatusForbidden: 7,
		http.StatusNotFound: 5, http.StatusConflict: 6, http.StatusTooManyRequests: 8,
		http.StatusRequestEntityTooLarge: 3,
	}
	writeJSON(w, e.status, struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{codes[e.status], e.message})
}

// writeV2Error uses the documented body: the status' name as the code.
func writeV2Error(w http.ResponseWriter, e *apiError) {
	code := strings.ReplaceAll(strings.ToLower(http.StatusText(e.status)), " ", "_")
	writeJSON(w, e.status, struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Details []any  `json:"details,omitempty"`
	}{code, e.message, e.details})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "cannot encode the answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(raw) //nolint:gosec // JSON, declared as such with nosniff; a client that has gone is no error of ours
}

// readJSON decodes one object, strictly: unknown, doubled and differently-cased
// names, trailing data and invalid UTF-8 are refused.
func readJSON(r *http.Request, dst any) *apiError {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return badRequest("content type must be application/json")
	}
	return decodeJSON(r.Body, dst)
}

func decodeJSON(body io.Reader, dst any) *apiError {
	err := json.UnmarshalRead(body, dst, json.RejectUnknownMembers(true))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return &apiError{status: http.StatusRequestEntityTooLarge, message: "request body too large"}
	case err != nil:
		return badRequest("invalid request body: " + err.Error())
	}
	return nil
}

// managedHandler is one method of a management API.
type managedHandler func(w http.ResponseWriter, r *http.Request) *apiError

// managed lets a call in that carries a token and is within the rate.
func (s *Simulator) managed(refuse errorWriter, next managedHandler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.deed(r).letIn && !s.isAuthorized(r) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, &apiError{status: http.StatusUnauthorized, message: "unauthorized"})
			return
		}
		// A late effect was let in when its request arrived.
		if !s.deed(r).late && !s.withinRate(w) {
			refuse(w, &apiError{status: http.StatusTooManyRequests, message: "rate limit exceeded"})
			return
		}
		if isV2(r) && !s.state.currentModes().Lookup {
			refuse(w, &apiError{status: http.StatusForbidden, message: "forbidden"})
			return
		}
		if e := next(w, r); e != nil {
			refuse(w, e)
		}
	})
}

func isV2(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/v2/") }

// isAuthorized reports whether the request carries a token that opens its API
// now.
func (s *Simulator) isAuthorized(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case !ok:
		return false
	case sameSecret(token, s.cfg.APIToken):
		return true
	case !isV2(r) && s.state.currentModes().V1ConsoleOnly:
		return false
	}
	return s.state.isManagementToken(token, s.now())
}

// rateWindow counts calls in a fixed minute that starts with the first of them.
type rateWindow struct {
	start time.Time
	used  int
}

func (s *state) spend(now time.Time) (limit, remaining int, reset time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit = s.modes.RatePerMinute
	if limit == 0 {
		return 0, 0, 0, true
	}
	if now.Sub(s.window.start) >= time.Minute {
		s.window = rateWindow{start: now}
	}
	if ok = s.window.used < limit; ok {
		s.window.used++
	}
	return limit, limit - s.window.used, s.window.start.Add(time.Minute).Sub(now), ok
}

// withinRate also sets the documented headers. There is no Retry-After among
// them.
func (s *Simulator) withinRate(w http.ResponseWriter) bool {
	limit, remaining, reset, ok := s.state.spend(s.now())
	if limit > 0 {
		seconds := int((reset + time.Second - 1) / time.Second)
		w.Header().Set("RateLimit-Limit", strconv.Itoa(limit))
		w.Header().Set("RateLimit-Remaining", strconv.Itoa(remaining))
		w.Header().Set("RateLimit-Reset", strconv.Itoa(seconds))
	}
	return ok
}

func sameSecret(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// maxField bounds a field of a user, in bytes.
const maxField = 512

// checkFields names each field that is missing or malformed, in order.
func checkFields(fields ...[2]string) []fieldViolation {
	var bad []fieldViolation
	for _, f := range fields {
		if why := fieldFault(f[0], f[1]); why != "" {
			bad = append(bad, fieldViolation{Field: f[0], Description: why})
		}
	}
	return bad
}

func fieldFault(name, value string) string {
	switch {
	case value == "":
		return "missing"
	case len(value) > maxField:
		return "too long"
	case !utf8.ValidString(value), strings.ContainsFunc(value, unicode.IsControl):
		return "contains control characters"
	case strings.HasSuffix(name, "email") || strings.HasSuffix(name, "email_address"):
		if a, err := mail.ParseAddress(value); err != nil || a.Address != value {
			return "not an email address"
		}
	}
	return ""
}
