package api

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/portico-id/portico/api/openapi"
)

// readyLimit bounds the look at the database: a probe that hangs says as much
// as one that fails.
const readyLimit = 2 * time.Second

// Ops returns the handler of the operations listener. /livez says that the
// process runs; /readyz that it should get requests, which is never because of
// the provider: sessions work without it. /metrics is for Prometheus, and asks
// for no token: the listener is private. Beside these it has the routes for
// administrators.
func (a *API) Ops(ready func(ctx context.Context) error) http.Handler {
	probes := newProbes(ready)
	if a.config.Metrics != nil {
		probes.Handle("GET /metrics", a.config.Metrics)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/livez", "/readyz":
			probes.ServeHTTP(w, r)
		case "/metrics":
			if a.config.Metrics == nil {
				a.ops.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Cache-Control", "no-store")
			probes.ServeHTTP(w, r)
		default:
			a.ops.ServeHTTP(w, r)
		}
	})
}

func newProbes(ready func(ctx context.Context) error) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		probe(w, http.StatusOK, `{"status":"live"}`)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyLimit)
		defer cancel()
		if err := ready(ctx); err != nil {
			probe(w, http.StatusServiceUnavailable, `{"status":"not ready"}`)
			return
		}
		probe(w, http.StatusOK, `{"status":"ready"}`)
	})
	return mux
}

func probe(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

// newOpsEcho registers the routes for administrators. No page may read what
// they answer: there is no CORS, and a preflight finds nothing.
func (a *API) newOpsEcho() *echo.Echo {
	return a.newEcho(a.adminRoutes(), a.identify, a.harden(), a.log(a.watch(opsListener, a.adminRoutes())), a.recoverPanics, a.onlyAdministered, wholePath)
}

// onlyAdministered answers as for a path that is not there while nobody can
// administer: a listener that was opened to more than it should be, for its
// probes, then tells of nothing else.
func (a *API) onlyAdministered(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if a.adminTokens().None() {
			return refuse(openapi.ProblemCodeNotFound)
		}
		return next(c)
	}
}
