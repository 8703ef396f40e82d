package program

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestASVS_16_5_2_ASVS_16_3_4_AProviderThatIsDownDelaysAndLosesNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := plannedWorld(t, databaseURL)
		_, log := w.start() // although nobody answers for the provider
		b := w.browser()
		signup := b.signUp("ada@example.com")
		w.eventually("it is ready", func() error { return b.probe("/readyz", http.StatusOK) })
		a := b.do(http.MethodGet, w.public+"/login", "")
		a.want(t, http.StatusServiceUnavailable, nil)
		if a.header.Get("Retry-After") == "" {
			t.Error("the 503 does not say when to come back")
		}
		b.do(http.MethodPost, w.public+"/login", `{"client":"native"}`).want(t, http.StatusServiceUnavailable, nil)
		for _, fault := range []string{"provider not discovered", "provisioning is postponed"} {
			w.eventually("the log says that "+fault, func() error {
				if !strings.Contains(log.String(), `"level":"WARN","msg":"`+fault+`"`) {
					return errors.New("it does not")
				}
				return nil
			})
		}

		w.startSimulator()
		b.arrivesOnce(signup, "ada@example.com")
		b.enrol("ada@example.com")
		w.eventually("the provider is discovered", func() error {
			if a := b.do(http.MethodGet, w.public+"/login", ""); a.status != http.StatusSeeOther {
				return errors.New(a.body)
			}
			return nil
		})
		b.follow(w.public + "/login")
		b.do(http.MethodGet, w.public+"/me", "", "X-CSRF: 1").want(t, http.StatusOK, nil)
	})
}

func TestAProviderThatFailsForAWhileIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, effect := range map[string]simulator.Effect{
		"500 and nothing happened":    {Status: http.StatusInternalServerError},
		"503 and it happened anyway":  {Status: http.StatusServiceUnavailable, Commit: simulator.CommitBefore},
		"429 with Retry-After":        {Status: http.StatusTooManyRequests, Headers: map[string]string{"Retry-After": "1"}},
		"a connection that is cut":    {Drop: true},
		"cut, and it happened anyway": {Drop: true, Commit: simulator.CommitBefore},
		"a page instead of an answer": {Status: http.StatusOK, Body: []byte(`"<html>"`), Commit: simulator.CommitBefore},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, databaseURL string) {
				w := newWorld(t, databaseURL)
				if _, err := w.sim.AddFault(simulator.Fault{
					Match: simulator.Match{Path: "/v1/manage/users"}, Effect: effect, Times: 2,
				}); err != nil {
					t.Fatal(err)
				}
				w.start()
				b := w.browser()
				b.arrivesOnce(b.signUp("ada@example.com"), "ada@example.com")
			})
		})
	}
}

func TestStoppingLetsAJobEnd(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		if _, err := w.sim.AddFault(simulator.Fault{
			Match:  simulator.Match{Path: "/v1/manage/users"},
			Effect: simulator.Effect{DelayMS: 3000},
			Times:  1,
		}); err != nil {
			t.Fatal(err)
		}
		stop, _ := w.start()
		b := w.browser()
		b.do(http.MethodGet, w.opsURL+"/livez", "").want(t, http.StatusOK, nil)
		signup := b.signUp("ada@example.com")
		w.awaitFault()
		stopped := make(chan error, 1)
		go func() { stopped <- stop() }()
		w.eventually("readiness is off while the job ends", func() error {
			return b.probe("/readyz", http.StatusServiceUnavailable)
		})
		if err := <-stopped; err != nil {
			t.Fatal(err)
		}
		if _, err := b.try(http.MethodGet, w.opsURL+"/readyz", ""); err == nil {
			t.Error("it still listens")
		}
		creates := 0
		for _, request := range w.sim.Requests() {
			if request.Path == "/v1/manage/users" {
				creates++
			}
		}
		w.start()
		b.arrivesOnce(signup, "ada@example.com")
		for _, request := range w.sim.Requests() {
			if request.Path == "/v1/manage/users" {
				creates--
			}
		}
		if creates != 0 {
			t.Error("the job that was under way had to be done again")
		}
	})
}

func TestServeNeedsAnUpToDateSchemaOrMakesIt(t *testing.T) {
	t.Parallel()
	for name, databaseURL := range map[string]string{
		"postgres": storetest.EmptyPostgres(t),
		"sqlite":   storetest.EmptySQLite(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, databaseURL)
			w.settings["PORTICO_MIGRATE_ON_START"] = "false"
			err := Run(t.Context(), []string{"serve"}, w.environ(), t.Output(), t.Output())
			if err == nil || !strings.Contains(err.Error(), "portico migrate up") {
				t.Errorf("it ended with %v", err)
			}
			delete(w.settings, "PORTICO_MIGRATE_ON_START")
			w.start()
			w.browser().signUp("ada@example.com")
		})
	}
}

func TestATakenPortIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.settings["PORTICO_LISTEN"] = strings.TrimPrefix(w.simURL, "http://")
	err := Run(t.Context(), []string{"serve"}, w.environ(), t.Output(), t.Output())
	if err == nil || !strings.Contains(err.Error(), "PORTICO_LISTEN") {
		t.Errorf("it ended with %v", err)
	}
}

func TestASVS_15_2_2_AClientThatDragsOutItsRequestIsCutOff(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: waits for the server's time limits")
	}
	w := newWorld(t, storetest.SQLite(t))
	w.start()
	for name, sent := range map[string]string{
		"a header that never ends": "GET /me HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
		"a body that never comes":  "POST /signup HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", strings.TrimPrefix(w.public, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write([]byte(sent)); err != nil {
				t.Fatal(err)
			}
			if err := conn.SetReadDeadline(time.Now().Add(await.Patience)); err != nil {
				t.Fatal(err)
			}
			// Whatever it says before, it hangs up.
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Errorf("it does not hang up: %v", err)
			}
		})
	}
}

func TestASVS_15_2_2_AHeaderIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.start()
	for size, status := range map[int]int{16 << 10: http.StatusUnauthorized, 64 << 10: http.StatusRequestHeaderFieldsTooLarge} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.public, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		request := "GET /me HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Long: " + strings.Repeat("a", size) + "\r\n\r\n"
		go func() { _, _ = conn.Write([]byte(request)) }()
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != status {
			t.Errorf("%d bytes are answered with %d", size, response.StatusCode)
		}
		_ = response.Body.Close()
		_ = conn.Close()
	}
}
