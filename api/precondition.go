package api

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/directory"
)

// versionTag is the entity tag of a user's version.
func versionTag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// unusable refuses a change that does not say what it was decided upon.
func unusable(detail string) *problem {
	return &problem{code: openapi.ProblemCodePreconditionRequired, detail: detail}
}

// versions returns the versions that If-Match names, of which a user may have
// none. It refuses a request without it: whoever changes what they have not
// seen undoes what others did meanwhile (RFC 6585 §3).
func versions(r *http.Request) ([]int64, error) {
	headers := r.Header.Values("If-Match")
	if len(headers) == 0 {
		return nil, refuse(openapi.ProblemCodePreconditionRequired)
	}
	var all []int64
	for tag := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		tag = strings.Trim(tag, " \t")
		switch {
		case tag == "*":
			return nil, unusable("If-Match: * would change whatever is there by now. Send the ETag of what was read.")
		case strings.HasPrefix(tag, "W/"):
			return nil, unusable("A weak tag does not tell versions apart (RFC 9110 §13.1.1). Send the ETag as it was answered.")
		case len(tag) < 2 || tag[0] != '"' || tag[len(tag)-1] != '"' || strings.Contains(tag[1:len(tag)-1], `"`):
			return nil, unusable("If-Match is not a list of entity tags. Send the ETag as it was answered, quotes included.")
		}
		// What is no version of ours is a tag that matches nothing.
		version, err := strconv.ParseInt(tag[1:len(tag)-1], 10, 64)
		if err == nil && version != account.AnyVersion && versionTag(version) == tag {
			all = append(all, version)
		}
	}
	return all, nil
}

// matched returns the version of the user that the change may be made to: the
// one that If-Match names or, of several, the current one if it is among them.
func (a *API) matched(c *call, id directory.UserID) (int64, error) {
	named, err := versions(c.r)
	if err != nil {
		return 0, err
	}
	if len(named) == 1 {
		return named[0], nil
	}
	user, err := a.config.Accounts.Get(c.r.Context(), id)
	if err != nil {
		return 0, err
	}
	for _, version := range named {
		if version == user.Version {
			return version, nil
		}
	}
	return 0, account.ErrVersion
}
