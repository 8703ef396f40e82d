package spa

import (
	"embed"
	"encoding/json"
	"net/http"
)

// Files are the app's, without config.json.
//
//go:embed index.html style.css app.js portico.js problems.js icon.svg
var Files embed.FS

// Config is what the app has to know.
type Config struct {
	API     string `json:"api"`               // Portico's origin
	Mailbox string `json:"mailbox,omitempty"` // where a trial's mails can be read
}

// Handler serves the app. It returns an error for a Config that is no JSON.
func Handler(app Config) (http.Handler, error) {
	config, err := json.Marshal(app)
	if err != nil {
		return nil, err
	}
	// Nothing runs but these files, and nothing is asked but Portico.
	policy := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' " + app.API +
		"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(Files))
	mux.HandleFunc("GET /config.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(config)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		mux.ServeHTTP(w, r)
	}), nil
}
