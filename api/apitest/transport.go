package apitest

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico"
)

// Transport is an http.RoundTripper that fails T on each answer from BaseURL
// which the contract does not allow. Requests to other addresses pass through.
type Transport struct {
	T       testing.TB
	BaseURL string // of the API: scheme and authority
	Ops     bool   // that is the operations listener's
	Next    http.RoundTripper
}

// RoundTrip sends the request and checks its answer.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.Next.RoundTrip(r)
	if err != nil || !t.covers(r.URL) {
		return response, err
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	shared, err := Shared()
	if err != nil {
		return nil, err
	}
	contract := Contract{Doc: shared.Doc, Ops: t.Ops}
	for _, complaint := range contract.Check(r, response, body) {
		t.T.Errorf("%s %s answered %d: %s", r.Method, r.URL.Path, response.StatusCode, complaint)
	}
	return response, nil
}

func (t Transport) covers(u *url.URL) bool {
	return strings.EqualFold(u.Scheme+"://"+u.Host, t.BaseURL)
}

// clientTimeout ends a request that hangs before the test binary's own limit
// does, so that the test which hangs is named.
const clientTimeout = 30 * time.Second

// Client returns a client whose answers from baseURL are checked. It follows
// no redirect, since a redirect is an answer too, and keeps no cookies unless
// it is given a jar. Without next it has connections of its own.
func Client(t testing.TB, baseURL string, next http.RoundTripper) *http.Client {
	t.Helper()
	if next == nil {
		own := &http.Transport{}
		t.Cleanup(own.CloseIdleConnections)
		next = own
	}
	return &http.Client{
		Transport:     Transport{T: t, BaseURL: baseURL, Next: next},
		Timeout:       clientTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// OpsClient is Client for the operations listener.
func OpsClient(t testing.TB, baseURL string, next http.RoundTripper) *http.Client {
	t.Helper()
	client := Client(t, baseURL, next)
	if checked, ok := client.Transport.(Transport); ok {
		checked.Ops = true
		client.Transport = checked
	}
	return client
}

// Shared returns the contract that this module ships, read once.
//
//nolint:gochecknoglobals // read once, never changed
var Shared = onceContract(portico.Contract)
