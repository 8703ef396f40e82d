package beyondidentity

import (
	"errors"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/portico-id/portico/internal/directory"
)

// Why a 2xx is not a success.
var (
	errTwoForms   = errors.New("the answer holds a user both flat and wrapped")
	errOtherUser  = errors.New("the answer does not name our external_id")
	errNoInternal = errors.New("the answer holds no usable internal_id")
	errMalformed  = errors.New("the answer is not the documented JSON")
	errIncomplete = errors.New("the answer does not say whether there are more users")
	errForeign    = errors.New("the answer is about users that nobody asked for")
)

// maxInternalID bounds what is taken for a key of the vendor's, in bytes; its
// own are UUIDs.
const maxInternalID = 255

// lenient is a member that is shown and never decided upon: any JSON, of which
// only a string or a boolean means something. A status that comes as a number
// must not turn a success into an ambiguous outcome.
type lenient jsontext.Value

func (l *lenient) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	*l = lenient(value.Clone())
	return nil
}

func (l lenient) text() string {
	if jsontext.Value(l).Kind() != jsontext.KindString {
		return ""
	}
	text, err := jsontext.AppendUnquote(nil, []byte(l))
	if err != nil {
		return ""
	}
	return string(text)
}

func (l lenient) scalar() string {
	if jsontext.Value(l).Kind() == jsontext.KindNumber {
		return string(l)
	}
	return l.text()
}

func (l lenient) isTrue() bool { return jsontext.Value(l).Kind() == jsontext.KindTrue }

// createRequest is the body of POST /v1/manage/users. The vendor requires all
// five fields.
type createRequest struct {
	ExternalID     directory.ExternalID `json:"external_id"`
	Email          string               `json:"email"`
	UserName       string               `json:"user_name"`
	DisplayName    string               `json:"display_name"`
	DeliveryMethod string               `json:"binding_token_delivery_method"`
}

// recoverRequest is the body of POST /v1/manage/recover-user.
type recoverRequest struct {
	ExternalID     directory.ExternalID `json:"external_id"`
	DeliveryMethod string               `json:"binding_token_delivery_method"`
}

// deliverByEmail is the only method that the vendor documents.
const deliverByEmail = "email"

// manageUser is a user as manage v1 answers it.
type manageUser struct {
	InternalID  string  `json:"internal_id"`
	ExternalID  string  `json:"external_id"`
	Email       lenient `json:"email"`
	UserName    lenient `json:"user_name"`
	DisplayName lenient `json:"display_name"`
	Status      lenient `json:"status"`
}

// decodeUser reads an answer of manage v1, documented flat and seen wrapped as
// {"user": {…}}. It returns an error unless the answer names want and an
// internal_id; nothing less proves that our user exists.
func decodeUser(body []byte, want directory.ExternalID) (User, error) {
	var answer struct {
		manageUser `json:",inline"`

		Wrapped *manageUser `json:"user"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return User{}, errMalformed
	}
	user := answer.manageUser
	if answer.Wrapped != nil {
		if user.InternalID != "" || user.ExternalID != "" {
			return User{}, errTwoForms
		}
		user = *answer.Wrapped
	}
	return User{
		InternalID:  directory.InternalID(user.InternalID),
		ExternalID:  directory.ExternalID(user.ExternalID),
		Email:       user.Email.text(),
		UserName:    user.UserName.text(),
		DisplayName: user.DisplayName.text(),
		Status:      user.Status.text(),
	}.check(want)
}

// check returns u if it is the wanted user and can be addressed. The
// external_id is compared byte for byte.
func (u User) check(want directory.ExternalID) (User, error) {
	if u.ExternalID == "" || u.ExternalID != want {
		return User{}, errOtherUser
	}
	if !isInternalID(string(u.InternalID)) {
		return User{}, errNoInternal
	}
	return u, nil
}

// isInternalID reports whether id may be a key of the vendor's.
func isInternalID(id string) bool {
	return id != "" && len(id) <= maxInternalID && !strings.ContainsFunc(id, notInID)
}

func notInID(r rune) bool {
	return unicode.IsControl(r) || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar
}

// decodeList reads an answer of the v2 list and returns the users whose
// external_id is exactly want. It returns errIncomplete unless the answer
// proves that there are no others, and errForeign where it shows none but
// strangers: a server that ignores the filter, answers an empty page, or mixes
// up answers must not make us believe that a user is missing. An external_id
// that differs in case alone is no stranger's: such a server compares so, and
// has found no other.
func decodeList(body []byte, want directory.ExternalID) ([]User, error) {
	var answer struct {
		Users     []workforceUser `json:"users"`
		TotalSize *uint64         `json:"total_size"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, errMalformed
	}
	var found []User
	foreign := false
	for _, u := range answer.Users {
		if directory.ExternalID(u.ExternalID) != want {
			foreign = foreign || !strings.EqualFold(u.ExternalID, string(want))
			continue
		}
		found = append(found, u.user())
	}
	complete := answer.TotalSize != nil && *answer.TotalSize == uint64(len(answer.Users))
	switch {
	case len(found) < 2 && !complete:
		return nil, errIncomplete
	case len(found) == 0 && foreign:
		return nil, errForeign
	}
	return found, nil
}

// decodeProblem reads what can be read of an error body: `code` as text or
// number, and `message` or `error`. What cannot be read is empty.
func decodeProblem(body []byte) (code, message string) {
	var problem struct {
		Code    lenient `json:"code"`
		Message lenient `json:"message"`
		Error   lenient `json:"error"`
	}
	if err := json.Unmarshal(body, &problem); err != nil {
		return "", ""
	}
	message = problem.Message.text()
	if message == "" {
		message = problem.Error.text()
	}
	return problem.Code.scalar(), message
}
