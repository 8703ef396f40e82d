package simulator

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
)

// userFilter is one comparison of the SCIM grammar (RFC 7644 section 3.4.2.2):
// `external_id eq "…"`. The grammar's and, or, not and grouping are not
// simulated, nor are times; they are refused rather than ignored.
type userFilter struct {
	keep func(*account) bool // nil keeps all
	// One of these is set when the comparison is one that an index answers.
	internalID, externalID, email *string
}

func parseFilter(expr string) (userFilter, error) {
	if expr == "" {
		return userFilter{}, nil
	}
	parts := strings.SplitN(expr, " ", 3)
	if len(parts) != 3 {
		return userFilter{}, errors.New(`not of the form attribute op "value"`)
	}
	name, op, literal := parts[0], strings.ToLower(parts[1]), parts[2]
	if name == "has_active_passkey" {
		return passkeyFilter(op, literal)
	}
	value, ok := attribute(name)
	if !ok {
		return userFilter{}, fmt.Errorf("attribute %q cannot be filtered", name)
	}
	compare, ok := comparison(op)
	if !ok {
		return userFilter{}, fmt.Errorf("operation %q is not supported", op)
	}
	var want string
	if err := json.Unmarshal([]byte(literal), &want); err != nil {
		return userFilter{}, errors.New("value is not a quoted string")
	}
	f := userFilter{keep: func(a *account) bool { return compare(value(a), want) }}
	if op == "eq" {
		switch name {
		case "id":
			f.internalID = &want
		case "external_id":
			f.externalID = &want
		case "email_address":
			f.email = &want
		}
	}
	return f, nil
}

func passkeyFilter(op, literal string) (userFilter, error) {
	if literal != "true" && literal != "false" || op != "eq" && op != "ne" {
		return userFilter{}, errors.New("has_active_passkey takes eq or ne, and true or false")
	}
	want := (literal == "true") == (op == "eq")
	return userFilter{keep: func(a *account) bool { return (a.passkeys > 0) == want }}, nil
}

// attribute reads one of the attributes that v2 filters on.
func attribute(name string) (func(*account) string, bool) {
	switch name {
	case "id":
		return func(a *account) string { return a.internalID }, true
	case "external_id":
		return func(a *account) string { return a.externalID }, true
	case "email_address":
		return func(a *account) string { return a.email }, true
	case "username":
		return func(a *account) string { return a.userName }, true
	case "display_name":
		return func(a *account) string { return a.displayName }, true
	case "state":
		return func(a *account) string { return a.status }, true
	case "source":
		return func(*account) string { return "api" }, true
	}
	return nil, false
}

// comparison is one of the operations that v2 documents for strings.
func comparison(op string) (compare func(have, want string) bool, ok bool) {
	switch op {
	case "eq":
		return func(have, want string) bool { return have == want }, true
	case "ne":
		return func(have, want string) bool { return have != want }, true
	case "co":
		return strings.Contains, true
	case "sw":
		return strings.HasPrefix, true
	case "ew":
		return strings.HasSuffix, true
	}
	return nil, false
}
