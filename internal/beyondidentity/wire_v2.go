package beyondidentity

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/portico-id/portico/internal/directory"
)

// Why a 2xx of workforce v2 is not a success.
var (
	errOtherID   = errors.New("the answer does not name our internal_id")
	errUnchanged = errors.New("the answer does not show the change")
	errNotEmpty  = errors.New("the answer is not the empty one of a delete")
	errOverfull  = errors.New("the page holds more users than were asked for, or than there are")
	errEmptyPage = errors.New("the page is empty although there are more users")
	errTwice     = errors.New("the page holds a user twice")
)

// updateRequest is the body of PATCH /v2/users/{user_id}. What is left out
// stays as it is.
type updateRequest struct {
	User struct {
		ExternalID  *directory.ExternalID `json:"external_id,omitzero"`
		Email       *string               `json:"email_address,omitzero"`
		DisplayName *string               `json:"display_name,omitzero"`
	} `json:"user"`
}

func (u UserChange) wire() updateRequest {
	var r updateRequest
	r.User.ExternalID, r.User.Email, r.User.DisplayName = u.ExternalID, u.Email, u.DisplayName
	return r
}

// workforceUser is a user as workforce v2 answers it.
type workforceUser struct {
	ID               string  `json:"id"`
	ExternalID       string  `json:"external_id"`
	Email            lenient `json:"email_address"`
	UserName         lenient `json:"username"`
	DisplayName      lenient `json:"display_name"`
	State            lenient `json:"state"`
	HasActivePasskey lenient `json:"has_active_passkey"`
	CreateTime       lenient `json:"create_time"`
}

func (u workforceUser) user() User {
	created, err := time.Parse(time.RFC3339, u.CreateTime.text())
	if err != nil {
		created = time.Time{}
	}
	return User{
		InternalID:       directory.InternalID(u.ID),
		ExternalID:       directory.ExternalID(u.ExternalID),
		Email:            u.Email.text(),
		UserName:         u.UserName.text(),
		DisplayName:      u.DisplayName.text(),
		Status:           u.State.text(),
		HasActivePasskey: u.HasActivePasskey.isTrue(),
		CreatedAt:        created.UTC(),
	}
}

// decodeWorkforceUser reads an answer that is one user. It returns errOtherID
// unless it names want, byte for byte: nothing less shows what became of them.
func decodeWorkforceUser(body []byte, want directory.InternalID) (User, error) {
	var answer workforceUser
	if err := json.Unmarshal(body, &answer); err != nil {
		return User{}, errMalformed
	}
	if answer.ID == "" || directory.InternalID(answer.ID) != want {
		return User{}, errOtherID
	}
	return answer.user(), nil
}

// decodePage reads a page of the v2 list. It returns an error unless the page
// agrees with itself and with what was asked for: who pages through everybody
// concludes from each that those who are not on it are not there.
func decodePage(body []byte, asked Page) (Listed, error) {
	var answer struct {
		Users     []workforceUser `json:"users"`
		TotalSize *uint32         `json:"total_size"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return Listed{}, errMalformed
	}
	if answer.TotalSize == nil {
		return Listed{}, errIncomplete
	}
	n, total := len(answer.Users), int(*answer.TotalSize)
	switch {
	case n > asked.Size, n > 0 && asked.Skip+n > total:
		return Listed{}, errOverfull
	case n == 0 && asked.Skip < total:
		return Listed{}, errEmptyPage
	}
	listed := Listed{Users: make([]User, 0, n), Total: total}
	seen := make(map[string]bool, n)
	for _, u := range answer.Users {
		switch {
		case !isInternalID(u.ID):
			return Listed{}, errNoInternal
		case seen[u.ID]:
			return Listed{}, errTwice
		}
		seen[u.ID] = true
		listed.Users = append(listed.Users, u.user())
	}
	return listed, nil
}

// classOfMissing says what a 404 proves of a call that named the user id; err
// is why its body could not be read.
//
// Not found is only what the API itself says of this user: who is told so may
// take a delete for done. Misconfigured stops all calls, so it takes an answer
// that this API does not give: no JSON, or JSON without the two members that
// each of its errors has. Whatever is left is worth another try.
func classOfMissing(body []byte, err error, id directory.InternalID) Class {
	if errors.Is(err, errNotJSON) || err == nil && len(body) == 0 {
		return Misconfigured
	}
	if err != nil {
		return Ambiguous
	}
	var problem struct {
		Code    lenient `json:"code"`
		Message lenient `json:"message"`
		Details lenient `json:"details"`
	}
	code := ""
	if json.Unmarshal(body, &problem) == nil {
		if code = problem.Code.text(); code == "" || problem.Message.text() == "" {
			return Misconfigured
		}
	}
	if code == codeNotFound && !isAboutAnother([]byte(problem.Details), id) {
		return NotFound
	}
	return Ambiguous
}

const codeNotFound = "not_found"

// isAboutAnother reports whether the details of an error name a resource that
// is not the user id. They need not name any.
func isAboutAnother(details []byte, id directory.InternalID) bool {
	var all []struct {
		Type lenient `json:"type"`
		ID   lenient `json:"id"`
	}
	if json.Unmarshal(details, &all) != nil {
		return false
	}
	for _, d := range all {
		if named := d.ID.text(); d.Type.text() == "ResourceInfo" && named != "" && named != string(id) {
			return true
		}
	}
	return false
}
