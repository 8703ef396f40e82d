package webhook

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// EndpointID names an endpoint: a UUIDv7.
type EndpointID string

// NewEndpointID returns a fresh id, ordered by time.
func NewEndpointID() EndpointID { return EndpointID(uuid.Must(uuid.NewV7()).String()) }

// Why an endpoint gets nothing.
const (
	DisabledByAdmin = "admin"
	DisabledGone    = "gone"    // it has answered with 410
	DisabledFailing = "failing" // nothing but failures for days
)

// Endpoint is where the application listens. Times are UTC.
type Endpoint struct {
	ID              EndpointID
	URL             string
	Description     string
	Events          []Type // empty for all
	Kind            Kind
	Sealed          string // the secret, sealed by the key ring
	PublicKey       string // of kind v1a
	SealedPrevious  string // signs as well; empty without one
	PreviousUntil   time.Time
	Enabled         bool
	DisabledBecause string
	FailingSince    time.Time // zero after a success
	CreatedAt       time.Time
	UpdatedAt       time.Time
}

// Wants reports whether the endpoint is to be told of events of the type.
func (e Endpoint) Wants(t Type) bool {
	return e.Enabled && (len(e.Events) == 0 || slices.Contains(e.Events, t))
}

// The bounds of what an operator says of an endpoint.
const (
	maxURL         = 2048 // bytes
	maxDescription = 200  // characters
)

// Rules say which addresses an endpoint may have, as far as the text tells:
// where its name leads to is judged with every connection.
type Rules struct {
	Private   bool // networks that are not the internet; http there
	Localhost bool // this machine; http there
}

// URLError says that an address is not one that anything is sent to.
type URLError struct{ Reason string }

// Error says why.
func (e *URLError) Error() string { return "the URL " + e.Reason }

// Check returns a *URLError for an address that nothing is sent to.
func (r Rules) Check(text string) error {
	u, err := url.Parse(text)
	switch {
	case len(text) > maxURL:
		return &URLError{"is longer than 2048 bytes"}
	case err != nil || !absolute(u):
		return &URLError{"is not absolute"}
	case u.User != nil:
		return &URLError{"holds credentials"}
	case u.Fragment != "" || strings.Contains(text, "#"):
		return &URLError{"has a fragment, which is not sent"}
	case strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c >= utf8.RuneSelf || c == 0x7f }):
		return &URLError{"holds characters that have to be encoded"}
	case u.Scheme != "https" && !(u.Scheme == "http" && r.plain(u.Hostname())):
		return &URLError{"is not https"}
	case !r.port(u):
		return &URLError{"names a port that no webhook listens at: 443, or one from 1024 on"}
	}
	return nil
}

// absolute reports whether a URL names the host that it leads to.
func absolute(u *url.URL) bool { return u.Host != "" && u.Hostname() != "" && u.Opaque == "" }

// plain reports whether http will do for a host.
func (r Rules) plain(host string) bool { return r.Private || r.Localhost && local(host) }

func local(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// port keeps requests away from what listens below 1024 and is no webhook:
// mail servers and the like, which could be talked to in the body.
func (r Rules) port(u *url.URL) bool {
	if u.Port() == "" {
		return true
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && (port == 443 || port >= 1024 || port == 80 && u.Scheme == "http")
}

var (
	// ErrDescription says that a description is too long or not printable.
	ErrDescription = errors.New("the description has to be printable, and at most 200 characters long")
	// ErrEvents says which events there are not.
	ErrEvents = errors.New("an event is not known, or named twice")
)

func checkDescription(text string) error {
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxDescription ||
		strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return ErrDescription
	}
	return nil
}

func checkEvents(events []Type) error {
	for i, t := range events {
		if !t.Known() || slices.Contains(events[:i], t) {
			return ErrEvents
		}
	}
	return nil
}
