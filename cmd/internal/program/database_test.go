package program

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/store/storetest/pgcluster"
)

// crashable returns a Postgres that the test may crash.
func crashable(t *testing.T) *pgcluster.Cluster {
	t.Helper()
	cluster, err := pgcluster.AcquirePrivate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	return cluster
}

func TestAJobWhoseEndCouldNotBeWrittenDownIsWorkedAgain(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: waits until the queue has given up")
	}
	cluster := crashable(t)
	w := newWorld(t, cluster.URL())
	// The answer comes when the database is long gone.
	if _, err := w.sim.AddFault(simulator.Fault{
		Match: simulator.Match{Path: "/v1/manage/users"}, Effect: simulator.Effect{DelayMS: 5000}, Times: 1,
	}); err != nil {
		t.Fatal(err)
	}
	_, log := w.start()
	b := w.browser()
	signup := b.signUp("ada@example.com")
	w.awaitFault()
	if err := cluster.Crash(); err != nil {
		t.Fatal(err)
	}
	w.eventually("the queue gives up writing", func() error {
		if !strings.Contains(log.String(), "giving up") {
			return errors.New("it has not")
		}
		return nil
	})
	if err := cluster.Restart(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	b.arrivesOnce(signup, "ada@example.com")
}

func TestADatabaseThatCrashesDelaysAndLosesNothing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: starts and crashes a Postgres of its own")
	}
	cluster := crashable(t)
	w := newWorld(t, cluster.URL())
	w.start()
	b := w.browser()
	b.arrivesOnce(b.signUp("before@example.com"), "before@example.com")
	b.enrol("before@example.com")
	b.follow(w.public + "/login")

	accepted := make(map[string]receipt)
	for i := range 5 {
		// The crash comes while the job of the newest sign-up is under way.
		email := fmt.Sprintf("round-%d@example.com", i)
		accepted[email] = b.signUp(email)
		if err := cluster.Crash(); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/me", "/signup/" + accepted[email].SignupID} {
			a := b.do(http.MethodGet, w.public+path, "", "X-CSRF: 1")
			a.want(t, http.StatusServiceUnavailable, nil) // not 401, and not 404
			if a.header.Get("Retry-After") == "" {
				t.Errorf("%s does not say when to come back", path)
			}
		}
		b.do(http.MethodPost, w.public+"/signup", `{"email":"nobody@example.com"}`).want(t, http.StatusServiceUnavailable, nil)
		b.do(http.MethodGet, w.opsURL+"/readyz", "").want(t, http.StatusServiceUnavailable, nil)
		if err := cluster.Restart(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
		w.eventually("it is ready again", func() error { return b.probe("/readyz", http.StatusOK) })
		b.do(http.MethodGet, w.public+"/me", "", "X-CSRF: 1").want(t, http.StatusOK, nil)
	}
	for email, signup := range accepted {
		b.arrivesOnce(signup, email)
	}
	for _, user := range w.sim.Users() {
		if user.Email == "nobody@example.com" {
			t.Error("a sign-up that was answered with 503 has arrived")
		}
	}
}
