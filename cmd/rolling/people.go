package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"time"
)

// person is somebody's browser, with one connection to the proxy at a time.
type person struct {
	w      *world
	client *http.Client
}

func (w *world) newPerson() *person {
	jar, _ := cookiejar.New(nil) // fails never without options
	return &person{w: w, client: &http.Client{
		Jar: jar, Timeout: 20 * time.Second,
		Transport:     &http.Transport{MaxConnsPerHost: 1, MaxIdleConnsPerHost: 1},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is a response that has been read.
type answer struct {
	status   int
	location string
	body     []byte
}

// send sends a request, and counts it under the job's name if it goes to the
// proxy. It returns an error for every answer but one with the status.
func (p *person) send(ctx context.Context, job, method, address, body string, status int) (answer, error) {
	begun := time.Now()
	a, err := p.ask(ctx, method, address, body)
	if err == nil && a.status != status {
		err = fmt.Errorf("%s %s answers %d: %.200s", method, address, a.status, bytes.TrimSpace(a.body))
	}
	// What the end of the load cuts off is nobody's failure, and no request.
	if ctx.Err() == nil && strings.HasPrefix(address, p.w.public) {
		p.w.tally.note(job, time.Since(begun), err)
	}
	return a, err
}

func (p *person) ask(ctx context.Context, method, address, body string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("X-CSRF", "1")
	response, err := p.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return answer{response.StatusCode, response.Header.Get("Location"), text}, err
}

// signUp signs an address up and returns the receipt's id.
func (p *person) signUp(ctx context.Context, job, email string) (string, error) {
	a, err := p.send(ctx, job, http.MethodPost, p.w.public+"/signup", fmt.Sprintf(`{"email":%q}`, email), http.StatusAccepted)
	if err != nil {
		return "", err
	}
	p.w.tally.signedUp()
	var receipt struct {
		SignupID string `json:"signup_id"`
	}
	if err := json.Unmarshal(a.body, &receipt); err != nil || receipt.SignupID == "" {
		return "", fmt.Errorf("a receipt of %.200s", a.body)
	}
	return receipt.SignupID, nil
}

// enrol signs an address up and registers a passkey in this browser.
func (p *person) enrol(ctx context.Context, email string) error {
	if _, err := p.signUp(ctx, signingUp, email); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		if mails := p.w.sim.Mailbox(email); len(mails) > 0 {
			_, err := p.send(ctx, "", http.MethodPost, mails[0].Link, "", http.StatusSeeOther)
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("no mail to %s: %w", email, ctx.Err())
		}
	}
}

// logIn goes by way of the provider and ends at the app.
func (p *person) logIn(ctx context.Context) error {
	begun, err := p.send(ctx, loggingIn, http.MethodGet, p.w.public+"/login", "", http.StatusSeeOther)
	if err != nil {
		return err
	}
	asked, err := p.ask(ctx, http.MethodGet, begun.location, "")
	if err != nil {
		return fmt.Errorf("the simulator: %w", err)
	}
	if !strings.HasPrefix(asked.location, p.w.public+"/callback?") {
		return fmt.Errorf("the simulator answers %d: %.200s", asked.status, asked.body)
	}
	done, err := p.send(ctx, loggingIn, http.MethodGet, asked.location, "", http.StatusSeeOther)
	if err != nil {
		return err
	}
	if done.location != frontend+"/" {
		return errors.New("the login ends at " + done.location)
	}
	return nil
}
