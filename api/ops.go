package api

import (
	"context"
	"net/http"
	"time"
)

// readyLimit bounds the look at the database: a probe that hangs says as much
// as one that fails.
const readyLimit = 2 * time.Second

// Ops returns the handler of the operations listener. /livez says that the
// process runs; /readyz that it should get requests, which is never because of
// the provider: sessions work without it.
func Ops(ready func(ctx context.Context) error) http.Handler {
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
