package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// sdk stands for Beyond Identity's: it has the device's passkey and goes with
// it to the provider by itself, without a browser. The real one signs a
// challenge in the phone's secure element. This one knows the simulator only,
// whose passkeys are a cookie, and keeps that in a file.
type sdk struct{ file string }

// answer is what an SDK hands back to the app: what the provider's redirect
// carried.
type answer struct{ code, state, issuer string }

// bind registers a passkey on this device, through the link of an enrolment
// mail. In an app the link opens the app, which hands it to the SDK.
func (s sdk) bind(ctx context.Context, link string) error {
	response, err := s.visit(ctx, http.MethodPost, link, nil) //nolint:bodyclose // visit does
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusSeeOther || len(response.Cookies()) == 0 {
		return fmt.Errorf("the link registers nothing: it answers %s", response.Status)
	}
	passkeys := make(map[string]string)
	for _, cookie := range response.Cookies() {
		passkeys[cookie.Name] = cookie.Value
	}
	raw, err := json.Marshal(passkeys)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.file), 0o700); err != nil {
		return err
	}
	return os.WriteFile(s.file, raw, 0o600)
}

// authenticate goes to the authorization URL with the passkey, and returns what
// the provider's redirect carries. The redirect itself is not followed: it leads
// to Portico, and is the app's to deliver.
func (s sdk) authenticate(ctx context.Context, address string) (answer, error) {
	raw, err := os.ReadFile(s.file)
	if errors.Is(err, os.ErrNotExist) {
		return answer{}, errors.New("no passkey on this device: run `native bind LINK` with the link of the enrolment mail")
	}
	if err != nil {
		return answer{}, err
	}
	var passkeys map[string]string
	if err := json.Unmarshal(raw, &passkeys); err != nil {
		return answer{}, err
	}
	response, err := s.visit(ctx, http.MethodGet, address, passkeys) //nolint:bodyclose // visit does
	if err != nil {
		return answer{}, err
	}
	back, err := response.Location()
	if err != nil {
		return answer{}, fmt.Errorf("the provider answers %s", response.Status)
	}
	query := back.Query()
	if refused := query.Get("error"); refused != "" {
		return answer{}, errors.New("the provider refuses: " + refused)
	}
	return answer{query.Get("code"), query.Get("state"), query.Get("iss")}, nil
}

// visit sends one request and follows nothing.
func (s sdk) visit(ctx context.Context, method, address string, cookies map[string]string) (*http.Response, error) {
	if u, err := url.Parse(address); err != nil || u.Host == "" {
		return nil, errors.New("that is no link")
	}
	request, err := http.NewRequestWithContext(ctx, method, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	for name, value := range cookies {
		request.AddCookie(&http.Cookie{Name: name, Value: value}) //nolint:gosec // in a request, a cookie has a name and a value
	}
	client := &http.Client{
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	return response, response.Body.Close()
}

// logInWithSDK signs in without a browser. The flow stays with the app and goes
// along with the provider's answer: an answer that somebody else has begun, and
// slips to the app, is of another flow and is refused.
func (a app) logInWithSDK(ctx context.Context) error {
	var begun struct {
		AuthorizationURL string `json:"authorization_url"`
		Flow             string `json:"flow"`
	}
	if err := a.call(ctx, http.MethodPost, "/login", "", map[string]string{"client": "native"}, &begun); err != nil {
		return err
	}
	came, err := a.sdk.authenticate(ctx, begun.AuthorizationURL)
	if err != nil {
		return err
	}
	var in session
	err = a.call(ctx, http.MethodPost, "/callback", "", map[string]string{
		"code": came.code, "state": came.state, "iss": came.issuer, "flow": begun.Flow,
	}, &in)
	if err != nil {
		return err
	}
	return a.welcome(in)
}
