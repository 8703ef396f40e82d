package api

import (
	"context"
	"errors"
	"net/http"
)

// errStarting is why a process that has just begun is not ready.
var errStarting = errors.New("not yet started")

// Starting returns the handler of the operations listener of a process that
// still waits, for its database say: it lives, since to start it again would
// bring the database no nearer, and it is not ready. There is nothing else yet.
func Starting() http.Handler {
	probes := newProbes(func(context.Context) error { return errStarting })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/livez", "/readyz":
			probes.ServeHTTP(w, r)
		default:
			w.Header().Set("Retry-After", "1")
			probe(w, http.StatusServiceUnavailable, `{"status":"not ready"}`)
		}
	})
}
