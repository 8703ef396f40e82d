package program

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestStoppingServesOnUntilItHasBeenNoticed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.settings["PORTICO_SHUTDOWN_DELAY"] = "10s"
	stop, _ := w.start()
	b := w.browser()
	if w.ends(t) {
		t.Error("a connection is ended before its time")
	}
	begun := time.Now()
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	w.eventually("readiness is off", func() error { return b.probe("/readyz", http.StatusServiceUnavailable) })
	w.eventually("answers end their connections", func() error {
		b.do(http.MethodGet, w.public+"/me", "").want(t, http.StatusUnauthorized, nil)
		if !w.ends(t) {
			return errors.New("it is left open")
		}
		return nil
	})
	b.do(http.MethodGet, w.opsURL+"/livez", "").want(t, http.StatusOK, nil)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took < 10*time.Second {
		t.Errorf("it stopped after %s", took)
	}
	if _, err := b.try(http.MethodGet, w.public+"/me", ""); err == nil {
		t.Error("it still listens")
	}
}

// ends reports whether an answer ends its connection, which it has to say. A
// client of Go's keeps that to itself.
func (w *world) ends(t *testing.T) bool {
	t.Helper()
	address := strings.TrimPrefix(w.public, "http://")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET /me HTTP/1.1\r\nHost: %s\r\nX-CSRF: 1\r\n\r\n", address); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(conn); lines.Scan() && lines.Text() != ""; {
		if lines.Text() == "Connection: close" {
			return true
		}
	}
	return false
}

func TestStartingWaitsForTheDatabaseAndSaysThatItLives(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: starts and crashes a Postgres of its own")
	}
	cluster := crashable(t)
	w := newWorld(t, cluster.URL())
	if err := cluster.Crash(); err != nil {
		t.Fatal(err)
	}
	log := newWatcher(`"msg":"ready"`)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, []string{"serve"}, w.environ(), log, log) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	b := w.browser()
	w.eventually("it lives", func() error { return b.probe("/livez", http.StatusOK) })
	b.do(http.MethodGet, w.opsURL+"/readyz", "").want(t, http.StatusServiceUnavailable, nil)
	b.do(http.MethodGet, w.opsURL+"/admin/users", "").want(t, http.StatusServiceUnavailable, nil)
	if _, err := b.try(http.MethodGet, w.public+"/me", ""); err == nil {
		t.Error("requests are taken that nobody can answer")
	}
	if err := cluster.Restart(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	select {
	case <-log.seen:
	case <-time.After(await.Patience):
		t.Fatalf("it is not ready\n%s", log)
	}
	b.do(http.MethodGet, w.opsURL+"/readyz", "").want(t, http.StatusOK, nil)
	b.do(http.MethodGet, w.public+"/me", "").want(t, http.StatusUnauthorized, nil)
}

func TestNobodyIsReadyBeforeTheProviderWasAsked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		delay  int // of its answer, in milliseconds
		status int // of a login, as soon as it is ready
	}{
		"a provider that takes its time":                    {1500, http.StatusSeeOther},
		"one that takes too long, and holds up nobody else": {60_000, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newKindWorld(t, storetest.SQLite(t))
			if _, err := w.sim.AddFault(simulator.Fault{
				Match: simulator.Match{Path: "/v2/.well-known/openid-configuration"}, Effect: simulator.Effect{DelayMS: c.delay},
			}); err != nil {
				t.Fatal(err)
			}
			w.start()
			b := w.browser()
			b.do(http.MethodGet, w.opsURL+"/readyz", "").want(t, http.StatusOK, nil)
			b.do(http.MethodGet, w.public+"/login", "").want(t, c.status, nil)
		})
	}
}
