package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

const (
	// patience is how long a user may take to sign in.
	patience = 10 * time.Minute
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 1 << 20
)

// app is one user's.
type app struct {
	api, file string
	out       io.Writer
	open      func(ctx context.Context, address string) error
	sdk       sdk
}

// session is what a login ends with.
type session struct {
	SessionToken string `json:"session_token"`
	User         struct {
		Email string `json:"email"`
	} `json:"user"`
}

// problem is an error of Portico's (RFC 9457).
type problem struct {
	Code   string `json:"code"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
}

// Error says what an app would put better.
func (p *problem) Error() string { return p.Title + ". " + p.Detail }

// random returns 32 random bytes as text.
func random() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// visit is what the browser comes back with.
type visit struct{ code, err string }

// logIn signs in through the system's browser.
func (a app) logIn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	verifier, state := random(), random()
	challenge := sha256.Sum256([]byte(verifier))
	visits := make(chan visit, 1)
	address, stop, err := receive(ctx, state, visits)
	if err != nil {
		return err
	}
	defer stop()
	login := a.api + "/login?" + url.Values{
		"client": {"native"}, "redirect_uri": {address}, "state": {state},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])},
	}.Encode()
	_, _ = fmt.Fprintf(a.out, "Sign in with your browser. If it does not open, go to:\n  %s\n", login)
	if err := a.open(ctx, login); err != nil {
		_, _ = fmt.Fprintln(a.out, "(It did not open: "+err.Error()+")")
	}
	var came visit
	select {
	case came = <-visits:
	case <-ctx.Done():
		return errors.New("nobody has signed in")
	}
	if came.err != "" {
		return errors.New("the login ended with " + came.err)
	}
	var in session
	if err := a.call(ctx, http.MethodPost, "/sessions", "", map[string]string{"code": came.code, "code_verifier": verifier}, &in); err != nil {
		return err
	}
	return a.welcome(in)
}

// welcome keeps the session and says whose it is.
func (a app) welcome(in session) error {
	if err := a.keep(in.SessionToken); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.out, "Signed in as %s.\n", in.User.Email)
	return err
}

// bind gives this device a passkey.
func (a app) bind(ctx context.Context, link string) error {
	if err := a.sdk.bind(ctx, link); err != nil {
		return err
	}
	_, err := fmt.Fprintln(a.out, "This device has a passkey. Sign in with `native login-sdk`.")
	return err
}

// receive listens on the loopback for the browser to come back (RFC 8252 §7.3).
// A visit without the state that was sent is somebody else's and is ignored.
func receive(ctx context.Context, state string, visits chan<- visit) (address string, stop func(), err error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /signed-in", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		if query.Get("state") != state {
			http.Error(w, "This is not the login that was begun.", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "That is all. You can close this window.\n")
		select {
		case visits <- visit{query.Get("code"), query.Get("error")}:
		default: // a page that is loaded again
		}
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	stop = func() {
		// The page has to reach the browser.
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(grace)
	}
	return "http://" + listener.Addr().String() + "/signed-in", stop, nil
}

// me says who is signed in.
func (a app) me(ctx context.Context) error {
	token, err := a.token()
	if err != nil {
		return err
	}
	var who json.RawMessage
	if err := a.call(ctx, http.MethodGet, "/me", token, nil, &who); err != nil {
		return err
	}
	var shown bytes.Buffer
	if err := json.Indent(&shown, who, "", "  "); err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.out, shown.String())
	return err
}

// logOut ends the session there, and only then forgets it here.
func (a app) logOut(ctx context.Context) error {
	token, err := a.token()
	if err != nil {
		return err
	}
	err = a.call(ctx, http.MethodPost, "/logout", token, nil, nil)
	var refused *problem
	if errors.As(err, &refused) && (refused.Code == "session_invalid" || refused.Code == "session_expired") {
		err = nil // it had ended already
	}
	if err != nil {
		return err
	}
	if err := os.Remove(a.file); err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.out, "Signed out.")
	return err
}

// keep stores the token where only the user can read it. An app on a phone uses
// the system's keychain.
func (a app) keep(token string) error {
	if err := os.MkdirAll(filepath.Dir(a.file), 0o700); err != nil {
		return err
	}
	return os.WriteFile(a.file, []byte(token), 0o600)
}

func (a app) token() (string, error) {
	raw, err := os.ReadFile(a.file)
	if errors.Is(err, os.ErrNotExist) {
		return "", errors.New("nobody is signed in: run `native login`")
	}
	return string(raw), err
}

// call sends a request to Portico. It returns a *problem for a refusal.
func (a app) call(ctx context.Context, method, path, token string, body, into any) error {
	var raw io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return err
		}
		raw = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, a.api+path, raw)
	if err != nil {
		return err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Timeout: 30 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		refused := &problem{Title: response.Status}
		_ = json.Unmarshal(answer, refused)
		return refused
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}
