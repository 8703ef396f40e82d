package main

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSignsInWithTheSDK(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	b := browser{t: t, client: &http.Client{Transport: transport}} // has no passkey: it reads the mail only
	folder := t.TempDir()
	file := filepath.Join(folder, "sub", "session")
	native := func(command ...string) (string, error) {
		var out bytes.Buffer
		err := run(t.Context(), append([]string{"-api", d.api, "-session", file}, command...), &out, nil)
		return out.String(), err
	}
	if _, err := native("login-sdk"); err == nil || !strings.Contains(err.Error(), "native bind LINK") {
		t.Errorf("without a passkey: %v", err)
	}
	link := b.signUp(d, "grace@example.com")
	if said, err := native("bind", link); err != nil || !strings.Contains(said, "passkey") {
		t.Fatalf("%s: %v", said, err)
	}
	if _, err := native("bind", link); err == nil {
		t.Error("a link registers twice")
	}
	said, err := native("login-sdk")
	if err != nil || !strings.Contains(said, "Signed in as grace@example.com.") {
		t.Fatalf("%s: %v", said, err)
	}
	for _, kept := range []string{file, file + ".passkey"} {
		info, err := os.Stat(kept)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %v: %v", kept, info, err)
		}
	}
	token, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(token), "pts_") {
		t.Errorf("the session's token is not one: %v", err)
	}
	if said, err = native("me"); err != nil || !strings.Contains(said, `"client": "native"`) {
		t.Errorf("%s: %v", said, err)
	}
	if said, err = native("logout"); err != nil || !strings.Contains(said, "Signed out.") {
		t.Errorf("%s: %v", said, err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the session's file is left: %v", err)
	}
}

// TestAnAnswerOfAnotherFlowSignsNobodyIn is what the flow is for: whoever slips
// an answer of their own to the app would have it sign in as them.
func TestAnAnswerOfAnotherFlowSignsNobodyIn(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	b := browser{t: t, client: &http.Client{Transport: transport}}
	passkey := sdk{file: filepath.Join(t.TempDir(), "passkey")}
	if err := passkey.bind(t.Context(), b.signUp(d, "mallory@example.com")); err != nil {
		t.Fatal(err)
	}
	a := app{api: d.api}
	begin := func() (begun struct {
		AuthorizationURL string `json:"authorization_url"`
		Flow             string `json:"flow"`
	},
	) {
		if err := a.call(t.Context(), http.MethodPost, "/login", "", map[string]string{"client": "native"}, &begun); err != nil {
			t.Fatal(err)
		}
		return begun
	}
	hers, theirs := begin(), begin()
	came, err := passkey.authenticate(t.Context(), theirs.AuthorizationURL)
	if err != nil {
		t.Fatal(err)
	}
	var in session
	err = a.call(t.Context(), http.MethodPost, "/callback", "", map[string]string{
		"code": came.code, "state": came.state, "iss": came.issuer, "flow": hers.Flow,
	}, &in)
	if refused, ok := errors.AsType[*problem](err); !ok || refused.Code != "state_mismatch" || in.SessionToken != "" {
		t.Errorf("it is answered with %v", err)
	}
}
