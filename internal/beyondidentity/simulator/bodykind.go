package simulator

import (
	"bytes"
	"maps"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
)

// BodyKind names a body that no client may take for a success.
type BodyKind string

// The kinds. Each is made of the true answer, or, where there is none, of one
// that would have been true: it is as close to a success as it can be.
const (
	BodyTruncated    BodyKind = "truncated_json"     // the first half, with a length that fits
	BodyHTML         BodyKind = "html"               // a page of somebody in between
	BodyEmpty        BodyKind = "empty"              // nothing, as JSON
	BodyWrongType    BodyKind = "wrong_content_type" // the true body as text/plain
	BodyOtherUser    BodyKind = "other_user"         // a valid answer about another user
	BodyNullIDs      BodyKind = "null_ids"           // every id is null
	BodyWrappedTwice BodyKind = "wrapped_twice"      // one layer of "user" or "users" too many
	BodyHuge         BodyKind = "huge"               // the true body and 2 MiB of spaces
	BodyGzipLie      BodyKind = "gzip_lie"           // Content-Encoding: gzip, and it is not
	BodyInvalidUTF8  BodyKind = "invalid_utf8"       // a display name that is no text
	BodyArray        BodyKind = "array"              // the true body in brackets
	BodyDeep         BodyKind = "deep"               // 100,000 brackets
	BodyTwice        BodyKind = "twice"              // the true body, and once more
	BodyDoubledNames BodyKind = "doubled_names"      // each id twice, the second another's
)

// BodyKinds lists them all.
func BodyKinds() []BodyKind {
	return []BodyKind{
		BodyTruncated, BodyHTML, BodyEmpty, BodyWrongType, BodyOtherUser, BodyNullIDs, BodyWrappedTwice,
		BodyHuge, BodyGzipLie, BodyInvalidUTF8, BodyArray, BodyDeep, BodyTwice, BodyDoubledNames,
	}
}

const (
	hugeBody = 2 << 20
	deepBody = 100_000
)

// someoneElse are the ids that the foreign bodies carry.
const (
	otherExternalID = "00000000-0000-7000-8000-00000000e15e"
	otherInternalID = "00000000e15e0000"
)

// spoil makes the kind's body, and sets the headers that belong to it.
func (k BodyKind) spoil(h http.Header, like likeness) []byte {
	h.Set("Content-Type", "application/json")
	whole := like.encode()
	switch k {
	case BodyTruncated:
		return whole[:len(whole)/2]
	case BodyHTML:
		h.Set("Content-Type", "text/html; charset=utf-8")
		return []byte("<!doctype html><title>Bad gateway</title><h1>Please stand by</h1>")
	case BodyEmpty:
		return nil
	case BodyWrongType:
		h.Set("Content-Type", "text/plain; charset=utf-8")
		return whole
	case BodyOtherUser:
		return like.about(otherExternalID, otherInternalID).encode()
	case BodyNullIDs:
		return like.about(nil, nil).encode()
	case BodyWrappedTwice:
		return like.wrapTwice()
	case BodyHuge:
		return append(whole, bytes.Repeat([]byte(" "), hugeBody)...)
	case BodyGzipLie:
		h.Set("Content-Encoding", "gzip")
		return whole
	case BodyInvalidUTF8:
		return like.illegible()
	case BodyArray:
		return append(append([]byte("["), whole...), ']')
	case BodyDeep:
		return []byte(strings.Repeat("[", deepBody) + strings.Repeat("]", deepBody))
	case BodyTwice:
		return append(whole, whole...)
	case BodyDoubledNames:
		return like.doubled()
	}
	return whole
}

// likeness is an answer about one user, in the form of its API.
type likeness struct {
	user    map[string]any
	form    string // "", "user" or "users"
	idField string
}

// likenessOf reads a true answer, or makes one up from the request where there
// is none that shows a user.
func likenessOf(r *http.Request, body []byte, truth *bufferedWriter) likeness {
	like := likeness{idField: "internal_id"}
	if strings.HasPrefix(r.URL.Path, "/v2/") {
		like.idField = "id"
		if r.Method == http.MethodGet && r.URL.Path == "/v2/users" {
			like.form = "users"
		}
	}
	var answer map[string]any
	if truth != nil && truth.status()/100 == 2 {
		_ = json.Unmarshal(truth.body.Bytes(), &answer) // what is no object shows no user
	}
	switch {
	case answer["user"] != nil:
		like.form = "user"
		like.user, _ = answer["user"].(map[string]any)
	case answer["users"] != nil:
		if users, _ := answer["users"].([]any); len(users) > 0 {
			like.user, _ = users[0].(map[string]any)
		}
	default:
		like.user = answer
	}
	if like.user[like.idField] == nil {
		id, named := strings.CutPrefix(r.URL.Path, "/v2/users/")
		if !named {
			id = newInternalID()
		}
		like.user = map[string]any{
			like.idField: id, "external_id": requestedID(r, body), "display_name": "Made Up", "status": StatusActive,
		}
	}
	return like
}

// requestedID is the external id that a request names.
func requestedID(r *http.Request, body []byte) string {
	var in struct {
		ExternalID string `json:"external_id"`
		User       struct {
			ExternalID string `json:"external_id"`
		} `json:"user"`
	}
	_ = json.Unmarshal(body, &in) // a request without a body may have a filter
	if f, err := parseFilter(r.URL.Query().Get("filter")); err == nil && f.externalID != nil {
		return *f.externalID
	}
	return in.ExternalID + in.User.ExternalID
}

// about is the same answer with other ids.
func (l likeness) about(externalID, internalID any) likeness {
	user := make(map[string]any, len(l.user))
	maps.Copy(user, l.user)
	user["external_id"], user[l.idField] = externalID, internalID
	l.user = user
	return l
}

func (l likeness) encode() []byte {
	switch l.form {
	case "user":
		return encoded(map[string]any{"user": l.user})
	case "users":
		return encoded(map[string]any{"users": []any{l.user}, "total_size": 1})
	default:
		return encoded(l.user)
	}
}

func (l likeness) wrapTwice() []byte {
	if l.form == "users" {
		return encoded(map[string]any{"users": map[string]any{"users": []any{l.user}}, "total_size": 1})
	}
	return encoded(map[string]any{"user": map[string]any{"user": l.user}})
}

// illegible puts a byte that no UTF-8 text holds into the display name.
func (l likeness) illegible() []byte {
	const mark = "illegible"
	marked := l.about(l.user["external_id"], l.user[l.idField])
	marked.user["display_name"] = mark
	return bytes.Replace(marked.encode(), []byte(mark), []byte("ill\xffgible"), 1)
}

// doubled names both ids once more, in front (RFC 8259 section 4 leaves open
// which of the two counts).
func (l likeness) doubled() []byte {
	whole, one := l.encode(), encoded(l.user)
	other := encoded(map[string]any{"external_id": otherExternalID, l.idField: otherInternalID})
	twice := append(append(bytes.TrimSuffix(other, []byte("}")), ','), one[1:]...)
	return bytes.Replace(whole, one, twice, 1)
}

func encoded(v any) []byte {
	raw, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return nil // unreachable: it is made of what was decoded
	}
	return raw
}
