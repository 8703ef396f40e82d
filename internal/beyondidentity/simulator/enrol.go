package simulator

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// passkeyCookie carries a browser's credentials: random ids, joined by dots.
// Cookies ignore ports, so its name keeps clear of other programs on localhost.
const passkeyCookie = "simulator_passkeys"

// maxCredentials bounds the cookie; the oldest credential goes first.
const maxCredentials = 64

func credentialsOf(r *http.Request) []string {
	cookie, err := r.Cookie(passkeyCookie)
	if err != nil || cookie.Value == "" {
		return nil
	}
	all := strings.Split(cookie.Value, ".")
	return all[max(0, len(all)-maxCredentials):]
}

// showEnrolment is what an enrolment mail's link opens.
func (s *Simulator) showEnrolment(w http.ResponseWriter, r *http.Request) {
	a, err := s.state.enrolment(r.PathValue("token"))
	if err != nil {
		s.refuseEnrolment(w, err)
		return
	}
	s.page(w, http.StatusOK, "enrol", struct{ Name, Email string }{a.displayName, a.email})
}

// enrol registers a passkey for this browser, beside those it has.
func (s *Simulator) enrol(w http.ResponseWriter, r *http.Request) {
	credential, err := s.state.enrol(r.PathValue("token"), s.deed(r))
	if err != nil {
		s.refuseEnrolment(w, err)
		return
	}
	known := slices.DeleteFunc(credentialsOf(r), func(c string) bool {
		return len(s.state.holders([]string{c})) == 0 // of before a reset
	})
	known = append(known, credential)
	known = known[max(0, len(known)-maxCredentials):]
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure only where the simulator is on https: on localhost it is not
		Name: passkeyCookie, Value: strings.Join(known, "."), Path: "/",
		MaxAge:   int((365 * 24 * time.Hour).Seconds()),
		HttpOnly: true, Secure: strings.HasPrefix(s.cfg.BaseURL, "https://"), SameSite: http.SameSiteLaxMode,
	})
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, s.cfg.RegistrationRedirectURI, http.StatusSeeOther)
}

func (s *Simulator) refuseEnrolment(w http.ResponseWriter, err error) {
	if errors.Is(err, errLinkUsed) {
		s.page(w, http.StatusGone, "refused", "This enrolment link has been used already. Ask for a new mail to enrol another device.")
		return
	}
	s.page(w, http.StatusNotFound, "refused", "This enrolment link is not known.")
}
