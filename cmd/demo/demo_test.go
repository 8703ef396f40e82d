package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/loopback"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// terminal keeps what the demo prints and says when it has printed the tour.
type terminal struct {
	mu    sync.Mutex
	text  bytes.Buffer
	ready chan struct{}
}

func (o *terminal) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.text.Write(p)
	if bytes.Contains(p, []byte("Ctrl-C stops everything")) {
		close(o.ready)
	}
	return n, err
}

func (o *terminal) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// freePorts returns a port for each thing that the demo serves.
func freePorts(t *testing.T) []int {
	t.Helper()
	ports := make([]int, 4)
	for i := range ports {
		var err error
		if ports[i], err = loopback.FreePort(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return ports
}

func flags(ports []int) []string {
	return []string{
		fmt.Sprintf("--port=%d", ports[0]), fmt.Sprintf("--ops-port=%d", ports[1]),
		fmt.Sprintf("--simulator-port=%d", ports[2]), fmt.Sprintf("--example-port=%d", ports[3]),
	}
}

func TestTheToursCommandsWorkAsPrinted(t *testing.T) {
	t.Parallel()
	for name, environ := range map[string]func(t *testing.T) []string{
		"on the embedded database": func(*testing.T) []string { return nil },
		"on a given Postgres": func(t *testing.T) []string {
			return []string{"PORTICO_DATABASE_URL=" + storetest.EmptyPostgres(t)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ports := freePorts(t)
			out := &terminal{ready: make(chan struct{})}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- run(ctx, flags(ports), environ(t), out, out) }()
			select {
			case <-out.ready:
			case err := <-ended:
				t.Fatalf("%v\n%s", err, out)
			case <-time.After(await.Patience):
				t.Fatalf("not ready\n%s", out)
			}
			followTour(t, ports, out.String())
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// followTour does with Go what the printed commands do with curl.
func followTour(t *testing.T, ports []int, printed string) {
	t.Helper()
	app, sim := fmt.Sprintf("http://localhost:%d", ports[0]), fmt.Sprintf("http://localhost:%d", ports[2])
	example := fmt.Sprintf("http://localhost:%d/", ports[3])
	for _, line := range []string{
		app + "/signup -H 'Content-Type: application/json' -d '{\"email\":\"ada@example.com\"}'",
		"'" + sim + "/sim/mailbox?to=ada@example.com'",
		app + "/login\n", app + "/me\n", "-X POST " + app + "/logout\n",
	} {
		if !strings.Contains(printed, line) {
			t.Errorf("the tour does not say %s\n%s", line, printed)
		}
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Jar: jar, Transport: transport, Timeout: await.Patience}
	call := func(method, target, body string) (status int, end, text string) {
		t.Helper()
		request, err := http.NewRequest(method, target, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-CSRF", "1")
		if body != "" {
			request.Header.Set("Content-Type", "application/json")
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		raw, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, response.Request.URL.String(), string(raw)
	}
	if status, _, text := call(http.MethodPost, app+"/signup", `{"email":"ada@example.com"}`); status != http.StatusAccepted {
		t.Fatal(text)
	}
	link := ""
	await.Until(t, "the mail", func() error {
		_, _, text := call(http.MethodGet, sim+"/sim/mailbox?to=ada@example.com", "")
		found := regexp.MustCompile(`"link":"([^"]*)"`).FindStringSubmatch(text)
		if found == nil {
			return errors.New("no mail: " + text)
		}
		link = found[1]
		return nil
	})
	// The enrolment ends at /login, which ends, over the provider, at the app.
	_, end, page := call(http.MethodPost, link, "")
	if end != example || !strings.Contains(page, "<title>Portico example</title>") {
		t.Fatalf("the enrolment ends at %s", end)
	}
	_, _, text := call(http.MethodGet, app+"/me", "")
	var me struct{ Email, Status string }
	if err := json.Unmarshal([]byte(text), &me); err != nil || me.Email != "ada@example.com" || me.Status != "active" {
		t.Errorf("/me answers %s", text)
	}
	if status, _, text := call(http.MethodPost, app+"/logout", ""); status != http.StatusOK {
		t.Error(text)
	}
	if status, _, _ := call(http.MethodGet, app+"/me", ""); status != http.StatusUnauthorized {
		t.Errorf("/me answers %d after the logout", status)
	}
}

func TestATakenPortIsOneLineThatSaysWhich(t *testing.T) {
	t.Parallel()
	for i, role := range []string{"Portico's API", "Portico's operations", "the simulator", "the example app"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			ports := freePorts(t)
			taken, err := net.Listen("tcp", onLoopback(ports[i]))
			if err != nil {
				t.Fatal(err)
			}
			defer taken.Close()
			err = run(t.Context(), flags(ports), nil, t.Output(), t.Output())
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%d is taken, which is for %s", ports[i], role)) || strings.Contains(err.Error(), "\n") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}
