package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"os"

	"github.com/portico-id/portico/cmd/internal/program"
)

// servePortico runs the program itself as an operator would. Nobody is at the
// provider's address: a session is checked without it.
func servePortico(ctx context.Context, s setting, ready func(address string)) error {
	var key [32]byte
	_, _ = rand.Read(key[:])
	return program.Run(ctx, []string{"serve"}, []string{
		"PORTICO_PUBLIC_URL=https://portico.example",
		"PORTICO_LISTEN=127.0.0.1:0",
		"PORTICO_SHUTDOWN_DELAY=0s",
		"PORTICO_OPS_LISTEN=127.0.0.1:0",
		"PORTICO_DATABASE_URL=" + s.DatabaseURL,
		"PORTICO_FRONTEND_ORIGINS=https://app.example",
		"PORTICO_BEYOND_API_URL=https://127.0.0.1:1",
		"PORTICO_BEYOND_API_TOKEN=" + rand.Text(),
		"PORTICO_OIDC_ISSUER=https://127.0.0.1:1/v2",
		"PORTICO_OIDC_CLIENT_ID=portico",
		"PORTICO_OIDC_CLIENT_SECRET=" + rand.Text(),
		"PORTICO_KEYS=" + base64.StdEncoding.EncodeToString(key[:]),
	}, &readyLine{ready: ready}, os.Stderr)
}

// readyLine is Portico's log: it is read up to the line that says where the API
// is, and thrown away from then on. What formats a line writes it at once.
type readyLine struct {
	ready func(address string)
	found bool
}

// Write takes one line.
func (l *readyLine) Write(p []byte) (int, error) {
	if l.found || !bytes.Contains(p, []byte(`"msg":"ready"`)) {
		return len(p), nil
	}
	var line struct {
		API string `json:"api"`
	}
	if err := json.Unmarshal(p, &line); err != nil {
		return 0, err
	}
	l.found = true
	l.ready(line.API)
	return len(p), nil
}
