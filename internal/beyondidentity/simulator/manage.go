package simulator

import (
	"errors"
	"net/http"
	"time"
)

// createUserRequest is manage v1's ciamCreateUserRequest: all fields required.
type createUserRequest struct {
	ExternalID     string `json:"external_id"`
	Email          string `json:"email"`
	UserName       string `json:"user_name"`
	DisplayName    string `json:"display_name"`
	DeliveryMethod string `json:"binding_token_delivery_method"`
}

// recoverUserRequest is manage v1's ciamRecoverUserRequest.
type recoverUserRequest struct {
	ExternalID     string `json:"external_id"`
	DeliveryMethod string `json:"binding_token_delivery_method"`
}

// managedUser is manage v1's ciamUser.
type managedUser struct {
	InternalID   string    `json:"internal_id"`
	ExternalID   string    `json:"external_id"`
	Email        string    `json:"email"`
	UserName     string    `json:"user_name"`
	DisplayName  string    `json:"display_name"`
	DateCreated  time.Time `json:"date_created"`
	DateModified time.Time `json:"date_modified"`
	Status       string    `json:"status"`
}

// deliveryByEmail is the one delivery method: "can only be 'email'".
const deliveryByEmail = "email"

func (s *Simulator) createV1(w http.ResponseWriter, r *http.Request) *apiError {
	var in createUserRequest
	if e := readJSON(r, &in); e != nil {
		return e
	}
	bad := checkFields(
		[2]string{"external_id", in.ExternalID},
		[2]string{"email", in.Email},
		[2]string{"user_name", in.UserName},
		[2]string{"display_name", in.DisplayName},
		[2]string{"binding_token_delivery_method", in.DeliveryMethod},
	)
	if e := refuseV1(bad, in.DeliveryMethod); e != nil {
		return e
	}
	a, err := s.state.create(profile{in.ExternalID, in.Email, in.UserName, in.DisplayName}, s.cfg.BaseURL, s.deed(r))
	if err != nil {
		return conflict("user already exists")
	}
	s.writeManagedUser(w, a)
	return nil
}

func (s *Simulator) recoverV1(w http.ResponseWriter, r *http.Request) *apiError {
	var in recoverUserRequest
	if e := readJSON(r, &in); e != nil {
		return e
	}
	bad := checkFields(
		[2]string{"external_id", in.ExternalID},
		[2]string{"binding_token_delivery_method", in.DeliveryMethod},
	)
	if e := refuseV1(bad, in.DeliveryMethod); e != nil {
		return e
	}
	a, err := s.state.recoverUser(in.ExternalID, s.cfg.BaseURL, s.deed(r))
	if errors.Is(err, ErrNoSuchUser) {
		return notFound("user not found")
	}
	s.writeManagedUser(w, a)
	return nil
}

func refuseV1(bad []fieldViolation, delivery string) *apiError {
	switch {
	case len(bad) > 0:
		return badRequest(bad[0].Field + ": " + bad[0].Description)
	case delivery != deliveryByEmail:
		return badRequest(`binding_token_delivery_method: can only be "email"`)
	}
	return nil
}

func (s *Simulator) writeManagedUser(w http.ResponseWriter, a account) {
	user := managedUser{
		InternalID: a.internalID, ExternalID: a.externalID, Email: a.email,
		UserName: a.userName, DisplayName: a.displayName,
		DateCreated: a.created.UTC(), DateModified: a.modified.UTC(), Status: a.status,
	}
	if s.state.currentModes().Wrap {
		writeJSON(w, http.StatusOK, struct {
			User managedUser `json:"user"`
		}{user})
		return
	}
	writeJSON(w, http.StatusOK, user)
}
