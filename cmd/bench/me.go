package main

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/portico-id/portico/internal/session"
)

// cookieName is that of Portico's session cookie over https.
const cookieName = "__Host-Http-portico"

// distinct is how many sessions take part, so that neither the generator nor
// any table of recent uses grows with the database.
const distinct = 1000

func meContest() contest {
	return contest{
		name: "GET /me",
		contestants: []contestant{
			{id: "fixed", title: "a fixed answer by Echo", role: bystander, serve: serveFixed},
			{id: "handwritten-4", title: "Echo + pgx, pool of 4", role: baseline, serve: serveHandwritten(4)},
			{id: "handwritten-8", title: "Echo + pgx, pool of 8", role: baseline, serve: serveHandwritten(8)},
			{id: "portico", title: "Portico", role: ours, serve: servePortico("PORTICO_RATE_LIMITS=off")},
		},
		connections: []int{1, 16, 64, 256},
		targets:     map[int]float64{1: 0.9, 64: 1.5, 256: 2},
		requests:    meRequests,
	}
}

// meRequests asks for sessions from all over the table.
func meRequests(sessions int) []request {
	n := min(distinct, sessions)
	all := make([]request, n)
	for i := range all {
		number := 1 + i*(sessions/n)
		all[i] = request{
			Raw: fmt.Appendf(nil, "GET /me HTTP/1.1\r\nHost: portico.example\r\nUser-Agent: %s\r\nAccept: application/json\r\n"+
				"Accept-Language: en\r\nSec-Fetch-Site: same-origin\r\nX-CSRF: 1\r\nCookie: %s=%s\r\n\r\n",
				userAgent, cookieName, sessionToken(number).Reveal()),
			Want: fmt.Appendf(nil, `"email":"user%d@example.com"`, number),
		}
	}
	return all
}

// userAgent is a browser's.
const userAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/148.0.0.0 Safari/537.36"

// sessionToken is the token of the session with this number. The database makes
// the same ones: see fill.
func sessionToken(number int) session.Token {
	raw := sha256.Sum256(fmt.Appendf(nil, "session %d", number))
	token, err := session.ParseToken(session.Browser, base64.RawURLEncoding.EncodeToString(raw[:]))
	if err != nil {
		panic(err) // it is of 32 bytes
	}
	return token
}
