package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/portico-id/portico/api/openapi"
)

// Sealer hides what a page token says and makes forged ones useless.
// keyring.Ring is one.
type Sealer interface {
	Seal(purpose string, plaintext []byte) string
	// Open returns an error for whatever Seal did not return for the purpose.
	Open(purpose, sealed string) ([]byte, error)
}

const (
	// pagePurpose is what page tokens are sealed for.
	pagePurpose = "page"
	// defaultPage is how many a list answers with where nothing is said.
	defaultPage = 50
)

// onlyParameters returns the query parameters that were given, all of which
// must be among those named. A filter that is misspelt or empty would show
// more than was asked for, and whoever acts on a list acts on too much.
func onlyParameters(r *http.Request, names ...string) (map[string]string, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, refuse(openapi.ProblemCodeInvalidQuery)
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case !slices.Contains(names, name):
			return nil, invalidParameter(bounded(name), openapi.FieldErrorCodeUnknownName, "no parameter has this name here")
		case len(query[name]) == 1 && query[name][0] == "":
			return nil, invalidParameter(name, openapi.FieldErrorCodeInvalidValue, "empty")
		}
	}
	return parameters(r, names...)
}

// bounded is what an answer repeats of a name that was sent.
func bounded(name string) string {
	if len(name) > maxPointer-1 {
		name = name[:maxPointer-1]
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !printable(string(r)) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(name, "?"))
}

// instant reads a time, zero where there is none.
func instant(values map[string]string, name string) (time.Time, error) {
	text := values[name]
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	// Nothing here is older than the epoch, and the zero time means none.
	if err != nil || at.Year() < 1970 {
		return time.Time{}, invalidParameter(name, openapi.FieldErrorCodeInvalidValue, "not a time of RFC 3339 such as 2026-03-01T12:00:00Z")
	}
	return at, nil
}

// pageLimit reads how many a page is to have at most.
func pageLimit(values map[string]string, most int) (int, error) {
	text := values["limit"]
	if text == "" {
		return defaultPage, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n < 1 || int(n) > most {
		return 0, invalidParameter("limit", openapi.FieldErrorCodeInvalidValue, "not a number from 1 to "+strconv.Itoa(most))
	}
	return int(n), nil
}

// place is where a page ends: the time of its last entry, to the microsecond,
// and that entry's id.
type place struct {
	at time.Time
	id string
}

// bindingSize is how much of a hash ties a page token to its list, in bytes.
const bindingSize = 16

// binding is what a page token is good for: this list with these filters. With
// others it would skip what was never shown.
func binding(r *http.Request, values map[string]string) []byte {
	var list []byte
	add := func(text string) {
		list = binary.BigEndian.AppendUint64(list, uint64(len(text)))
		list = append(list, text...)
	}
	add(r.URL.Path)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if name != "limit" && name != "page_token" {
			add(name)
			add(values[name])
		}
	}
	sum := sha256.Sum256(list)
	return sum[:bindingSize]
}

// nextPage returns the token for the page behind the place.
func (a *API) nextPage(r *http.Request, values map[string]string, last place) *string {
	plain := binding(r, values)
	plain = binary.BigEndian.AppendUint64(plain, uint64(last.at.UnixMicro()))
	token := a.config.Pages.Seal(pagePurpose, append(plain, last.id...))
	return &token
}

// page returns the place that the request's page token names, zero where there
// is none.
func (a *API) page(r *http.Request, values map[string]string) (place, error) {
	token := values["page_token"]
	if token == "" {
		return place{}, nil
	}
	plain, err := a.config.Pages.Open(pagePurpose, token)
	if err != nil || len(plain) < bindingSize+8 || !bytes.Equal(plain[:bindingSize], binding(r, values)) {
		return place{}, invalidParameter("page_token", openapi.FieldErrorCodeInvalidValue,
			"not the token of a page of this list with these filters")
	}
	at := int64(binary.BigEndian.Uint64(plain[bindingSize:])) //nolint:gosec // as it was written
	return place{time.UnixMicro(at).UTC(), string(plain[bindingSize+8:])}, nil
}
