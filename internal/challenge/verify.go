package challenge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

const (
	// maxToken bounds a token, in bytes. Turnstile's have up to 2,048; the
	// others do not say.
	maxToken = 4096
	// Bounds on the secret, in bytes. Shorter ones are no secrets.
	minSecret = 8
	maxSecret = 1024
	maxBody   = 64 << 10 // of an answer, in bytes
)

var errTooLarge = errors.New("the answer is larger than 64 KiB")

// Verifier asks the service. It is safe for concurrent use.
type Verifier struct {
	url       *url.URL
	secret    func() (string, error)
	hostnames []string // in lower case; none if anywhere will do
	timeout   time.Duration
	transport *http.Transport
	http      *http.Client
}

// CloseIdle closes the connections that are not in use.
func (v *Verifier) CloseIdle() { v.transport.CloseIdleConnections() }

// String returns the address that is asked.
func (v *Verifier) String() string { return "challenge verifier at " + v.url.String() }

// GoString returns the same text as String.
func (v *Verifier) GoString() string { return v.String() }

// LogValue returns the settings without the secret.
func (v *Verifier) LogValue() slog.Value {
	return Config{URL: v.url.String(), Hostnames: v.hostnames, Timeout: v.timeout}.LogValue()
}

// Verify asks whether response, the token that the app's widget yielded, is
// good; client is the address that it came from, or the zero Addr. Asking
// spends the token, whatever follows. It returns ErrRefused, ErrUnavailable or
// ErrMisconfigured; the text of each is fit for a log.
//
// The secret is tried even with a token that is none of the service's:
// ErrRefused then says that the secret is right.
func (v *Verifier) Verify(ctx context.Context, response string, client netip.Addr) error {
	if err := checkToken(response); err != nil {
		return err
	}
	secret, err := v.currentSecret()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, v.timeout)
	defer cancel()
	status, body, err := v.ask(ctx, form(secret, response, client))
	if err != nil {
		return unanswered(err, secret, response)
	}
	return judge(status, body, v.hostnames, secret)
}

// checkToken refuses what no widget yields, before it costs a call.
func checkToken(response string) error {
	switch {
	case response == "":
		return fail(ErrRefused, "there is no token")
	case len(response) > maxToken:
		return fail(ErrRefused, "the token is too long")
	case strings.ContainsFunc(response, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fail(ErrRefused, "the token holds characters that none has")
	}
	return nil
}

// currentSecret returns the secret as it is now. One that was lost on the way
// is an operator's matter, not the client's.
func (v *Verifier) currentSecret() (string, error) {
	secret, err := v.secret()
	if err != nil {
		return "", fail(ErrMisconfigured, safe("no secret: "+err.Error()))
	}
	secret = strings.TrimSpace(secret)
	if len(secret) < minSecret || len(secret) > maxSecret {
		return "", fail(ErrMisconfigured, fmt.Sprintf("the secret has %d characters", len(secret)))
	}
	return secret, nil
}

// form is the call's body. The client's address is sent as it would look on
// the open internet: no zone, and IPv4 as IPv4.
func form(secret, response string, client netip.Addr) string {
	values := url.Values{"secret": {secret}, "response": {response}}
	if client.IsValid() {
		values.Set("remoteip", client.Unmap().WithZone("").String())
	}
	return values.Encode()
}

// ask makes the call and returns the answer, whatever it says.
func (v *Verifier) ask(ctx context.Context, body string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.url.String(), strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	// A token is good for one call: a second one, which the transport would
	// make by itself when a kept connection turns out to be closed, is
	// answered that it has been used.
	req.GetBody = nil
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "portico")
	resp, err := v.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return 0, nil, err
	}
	if len(answer) > maxBody {
		return 0, nil, errTooLarge
	}
	return resp.StatusCode, answer, nil
}
