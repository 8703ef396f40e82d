package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"os"

	"github.com/portico-id/portico/cmd/internal/program"
)

// nobody is the address of a provider that is not there: much is done without.
const nobody = "https://127.0.0.1:1"

// servePortico runs the program itself as an operator would, with these
// settings besides.
func servePortico(settings ...string) func(ctx context.Context, s setting, ready func(address string)) error {
	return func(ctx context.Context, s setting, ready func(address string)) error {
		return program.Run(ctx, []string{"serve"}, append(porticoSettings(s), settings...), &readyLine{ready: ready}, os.Stderr)
	}
}

func porticoSettings(s setting) []string {
	var key [32]byte
	_, _ = rand.Read(key[:])
	return []string{
		"PORTICO_PUBLIC_URL=https://portico.example",
		"PORTICO_LISTEN=127.0.0.1:0",
		"PORTICO_SHUTDOWN_DELAY=0s",
		"PORTICO_OPS_LISTEN=127.0.0.1:0",
		"PORTICO_DATABASE_URL=" + s.DatabaseURL,
		"PORTICO_FRONTEND_ORIGINS=https://app.example",
		"PORTICO_BEYOND_API_URL=" + cmp.Or(s.ProviderURL, nobody),
		"PORTICO_BEYOND_API_TOKEN=" + rand.Text(),
		"PORTICO_OIDC_ISSUER=" + cmp.Or(s.ProviderURL, nobody) + "/v2",
		"PORTICO_OIDC_CLIENT_ID=portico",
		"PORTICO_OIDC_CLIENT_SECRET=" + rand.Text(),
		"PORTICO_KEYS=" + base64.StdEncoding.EncodeToString(key[:]),
	}
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
