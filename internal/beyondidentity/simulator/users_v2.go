package simulator

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// maxPageSize is the most users on one page of a list.
const maxPageSize = 1000

// workforceUser is workforce v2's User as it is answered.
type workforceUser struct {
	ID               string `json:"id"`
	CreateTime       string `json:"create_time"`
	UpdateTime       string `json:"update_time"`
	LastAuthTime     string `json:"last_auth_time,omitempty"`
	TenantID         string `json:"tenant_id"`
	ExternalID       string `json:"external_id"`
	EmailAddress     string `json:"email_address"`
	Username         string `json:"username"`
	DisplayName      string `json:"display_name"`
	State            string `json:"state"`
	Source           string `json:"source"`
	HasActivePasskey bool   `json:"has_active_passkey"`
}

// userChange is workforce v2's User as it is sent: "Values in the request body
// for read-only fields get ignored", whatever they are.
type userChange struct {
	ExternalID   *string `json:"external_id"`
	EmailAddress *string `json:"email_address"`
	Username     *string `json:"username"`
	DisplayName  *string `json:"display_name"`

	ID               jsontext.Value `json:"id"`
	CreateTime       jsontext.Value `json:"create_time"`
	UpdateTime       jsontext.Value `json:"update_time"`
	LastAuthTime     jsontext.Value `json:"last_auth_time"`
	TenantID         jsontext.Value `json:"tenant_id"`
	State            jsontext.Value `json:"state"`
	Source           jsontext.Value `json:"source"`
	HasActivePasskey jsontext.Value `json:"has_active_passkey"`
}

type userEnvelope struct {
	User *userChange `json:"user"`
}

func (c *userChange) apply(p *profile) {
	for _, f := range []struct {
		from *string
		to   *string
	}{
		{c.ExternalID, &p.externalID},
		{c.EmailAddress, &p.email},
		{c.Username, &p.userName},
		{c.DisplayName, &p.displayName},
	} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
}

func (p profile) violationsV2() []fieldViolation {
	return checkFields(
		[2]string{"user.external_id", p.externalID},
		[2]string{"user.email_address", p.email},
		[2]string{"user.username", p.userName},
		[2]string{"user.display_name", p.displayName},
	)
}

func readUserV2(r *http.Request) (*userChange, *apiError) {
	var in userEnvelope
	if e := readJSON(r, &in); e != nil {
		return nil, e
	}
	if in.User == nil {
		return nil, invalidFields([]fieldViolation{{Field: "user", Description: "missing"}})
	}
	return in.User, nil
}

func (s *Simulator) createV2(w http.ResponseWriter, r *http.Request) *apiError {
	in, e := readUserV2(r)
	if e != nil {
		return e
	}
	var p profile
	in.apply(&p)
	if bad := p.violationsV2(); len(bad) > 0 {
		return invalidFields(bad)
	}
	a, err := s.state.create(p, s.cfg.BaseURL, s.deed(r))
	if err != nil {
		return conflict("user already exists")
	}
	writeJSON(w, http.StatusOK, toWorkforce(a))
	return nil
}

func (s *Simulator) getV2(w http.ResponseWriter, r *http.Request) *apiError {
	a, err := s.state.user(r.PathValue("id"))
	if err != nil {
		return userNotFound(r.PathValue("id"))
	}
	writeJSON(w, http.StatusOK, toWorkforce(a))
	return nil
}

func (s *Simulator) patchV2(w http.ResponseWriter, r *http.Request) *apiError {
	in, e := readUserV2(r)
	if e != nil {
		return e
	}
	id := r.PathValue("id")
	var invalid *apiError
	a, err := s.state.update(id, func(p *profile) error {
		in.apply(p)
		if bad := p.violationsV2(); len(bad) > 0 {
			invalid = invalidFields(bad)
			return invalid
		}
		return nil
	}, s.deed(r))
	switch {
	case errors.Is(err, ErrNoSuchUser):
		return userNotFound(id)
	case errors.Is(err, errExternalIDTaken):
		return conflict("user external id already taken")
	case errors.Is(err, errEmailTaken):
		return conflict("user email address already taken")
	case err != nil:
		return invalid
	}
	writeJSON(w, http.StatusOK, toWorkforce(a))
	return nil
}

func (s *Simulator) deleteV2(w http.ResponseWriter, r *http.Request) *apiError {
	if err := s.state.remove(r.PathValue("id"), s.deed(r)); err != nil {
		return userNotFound(r.PathValue("id"))
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Simulator) listV2(w http.ResponseWriter, r *http.Request) *apiError {
	query := r.URL.Query()
	// Without page_size the page is empty, and the total still tells.
	size, ok := queryNumber(query.Get("page_size"))
	if !ok {
		return invalidFields([]fieldViolation{{Field: "page_size", Description: "not a number"}})
	}
	skip, ok := queryNumber(query.Get("skip"))
	if !ok {
		return invalidFields([]fieldViolation{{Field: "skip", Description: "not a number"}})
	}
	if query.Get("order_by") != "" {
		return badRequest("order_by is not simulated")
	}
	f, err := parseFilter(query.Get("filter"))
	if err != nil {
		return invalidFields([]fieldViolation{{Field: "filter", Description: err.Error()}})
	}
	page, total := s.state.list(f, skip, min(size, maxPageSize))
	users := make([]workforceUser, len(page))
	for i, a := range page {
		users[i] = toWorkforce(a)
	}
	writeJSON(w, http.StatusOK, struct {
		Users     []workforceUser `json:"users"`
		TotalSize int             `json:"total_size"`
	}{users, total})
	return nil
}

func queryNumber(s string) (int, bool) {
	if s == "" {
		return 0, true
	}
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), err == nil
}

func toWorkforce(a account) workforceUser {
	return workforceUser{
		ID: a.internalID, CreateTime: timeV2(a.created), UpdateTime: timeV2(a.modified),
		LastAuthTime: timeV2(a.lastAuth), TenantID: "simulator", ExternalID: a.externalID,
		EmailAddress: a.email, Username: a.userName, DisplayName: a.displayName,
		State: a.status, Source: "api", HasActivePasskey: a.passkeys > 0,
	}
}

func timeV2(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
