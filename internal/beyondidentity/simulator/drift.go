package simulator

import (
	"errors"
	"net/http"
	"slices"
	"unicode/utf8"
)

// ErrInvalidDrift says that a drift changes nothing, or to what is no text.
var ErrInvalidDrift = errors.New("needs a status, email, display_name, external_id or user_name of at most 512 bytes")

// Drift is a change that nobody asked the APIs for: what an administrator does
// in the provider's console, or a bug. What is nil stays.
type Drift struct {
	Status      *string `json:"status"`
	Email       *string `json:"email"`
	DisplayName *string `json:"display_name"`
	ExternalID  *string `json:"external_id"`
	UserName    *string `json:"user_name"`
}

func (d Drift) check() error {
	if d.Status != nil && !slices.Contains([]string{StatusActive, StatusSuspended, StatusDeleted}, *d.Status) {
		return ErrInvalidStatus
	}
	for _, text := range []*string{d.Email, d.DisplayName, d.ExternalID, d.UserName} {
		if text != nil && (len(*text) > maxField || !utf8.ValidString(*text)) {
			return ErrInvalidDrift
		}
	}
	if d == (Drift{}) {
		return ErrInvalidDrift
	}
	return nil
}

func (d Drift) apply(p *profile) {
	change := userChange{ExternalID: d.ExternalID, EmailAddress: d.Email, Username: d.UserName, DisplayName: d.DisplayName}
	change.apply(p)
}

// drift changes a user, a deleted one too, against all rules of the modes. It
// returns ErrNoSuchUser, ErrInvalidStatus or ErrInvalidDrift.
func (s *state) drift(internalID string, change Drift, d deed) error {
	if err := change.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.byInternal[internalID]
	if !ok {
		return ErrNoSuchUser
	}
	p := profile{a.externalID, a.email, a.userName, a.displayName}
	change.apply(&p)
	s.unindex(a)
	s.assign(a, p)
	a.modified = d.at
	kind := KindPatched
	if change.Status != nil {
		s.turn(a, *change.Status)
		if *change.Status == StatusDeleted {
			kind = KindDeleted
		}
	}
	s.ledger.add(d.about(kind, a))
	return nil
}

// Drift changes a user behind everyone's back: no API is called, and neither
// uniqueness nor the form of an address is looked at. It returns ErrNoSuchUser
// when the internal id is unknown, and ErrInvalidStatus or ErrInvalidDrift.
func (s *Simulator) Drift(internalID string, d Drift) error {
	return s.state.drift(internalID, d, deed{origin: origin{cause: "control"}, at: s.now()})
}

// SetStatus makes a user ACTIVE, SUSPENDED or DELETED at the provider. It
// returns ErrNoSuchUser when the internal id is unknown and ErrInvalidStatus
// for any other status.
func (s *Simulator) SetStatus(internalID, status string) error {
	return s.Drift(internalID, Drift{Status: &status})
}

func (s *Simulator) simDrift(w http.ResponseWriter, r *http.Request) {
	var in Drift
	if !readSim(w, r, &in) {
		return
	}
	switch err := s.Drift(r.PathValue("id"), in); {
	case errors.Is(err, ErrNoSuchUser):
		writeSimError(w, http.StatusNotFound, err.Error())
	case err != nil:
		writeSimError(w, http.StatusBadRequest, err.Error())
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// RevokeTokens ends all tokens of the client-credentials grant.
func (s *Simulator) RevokeTokens() { s.state.revokeManagementTokens() }

func (s *Simulator) simRevokeTokens(w http.ResponseWriter, _ *http.Request) {
	s.RevokeTokens()
	w.WriteHeader(http.StatusNoContent)
}
