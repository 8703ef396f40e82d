package api

import (
	"errors"
	"net/http"

	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/signup"
)

// signUp accepts a sign-up: POST /signup.
func (a *API) signUp(c *call) error {
	body, err := decode[openapi.SignupRequest](c.w, c.r)
	if err != nil {
		return err
	}
	accepted, err := a.config.Signups.Accept(c.r.Context(), signup.Request{
		Email:        body.Email,
		DisplayName:  body.DisplayName,
		Locale:       body.Locale,
		TermsVersion: body.TermsVersion,
	})
	if errors.Is(err, directory.ErrEmail) {
		return invalidField("/email", openapi.FieldErrorCodeInvalidEmail, "not an e-mail address that we accept")
	}
	if err != nil {
		return err
	}
	receipt := a.receipt(accepted)
	c.w.Header().Set("Location", receipt.StatusURL)
	c.w.Header().Set("Retry-After", "1")
	return c.answer(http.StatusAccepted, receipt)
}

// getSignup says where a sign-up stands: GET /signup/{signup_id}.
func (a *API) getSignup(c *call) error {
	found, err := a.config.Signups.Status(c.r.Context(), signup.Receipt(c.Param("signup_id")))
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, a.receipt(found))
}

func (a *API) receipt(s signup.Signup) openapi.SignupReceipt {
	return openapi.SignupReceipt{
		SignupID:    string(s.Receipt),
		Status:      openapi.SignupStatus(s.Status),
		StatusURL:   a.config.PublicURL + "/signup/" + string(s.Receipt),
		ResendAfter: s.ResendAfter,
	}
}
