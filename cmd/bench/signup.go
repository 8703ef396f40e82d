package main

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
)

// signupContest is about accepting sign-ups, each of another address. The jobs
// wait meanwhile: what they do is provisioning's.
func signupContest() contest {
	return contest{
		name: "POST /signup",
		contestants: []contestant{
			{id: "signup-fixed", title: "a fixed answer by Echo", role: bystander, serve: serveFixed},
			{id: "signup-handwritten-4", title: "Echo + pgx, pool of 4", role: baseline, serve: serveHandwritten(4)},
			{id: "signup-handwritten-8", title: "Echo + pgx, pool of 8", role: baseline, serve: serveHandwritten(8)},
			{id: "signup-unlimited", title: "Portico, without limits", role: ours, serve: servePortico("PORTICO_RATE_LIMITS=off")},
			{id: "signup-limited", title: "Portico, with four limits", role: beside, serve: servePortico(wideLimits)},
		},
		connections: []int{1, 16, 64, 256},
		targets:     map[int]float64{16: 0.8, 64: 0.8, 256: 0.8},
		requests:    func(int) []request { return []request{signupRequest()} },
	}
}

// wideLimits are looked at and never reached.
const wideLimits = "PORTICO_RATE_LIMITS=client=1000000/1m,address=1000/1h,domain=1000000/1m,global=1000000/1m"

// signupRequest is for an address that nobody else has.
func signupRequest() request {
	r := posted("/signup", `{"email":"u`+strings.Repeat("0", freshDigits)+`@example.com","display_name":"Ada Lovelace"}`)
	r.Fresh = bytes.Index(r.Raw, []byte(`:"u0`)) + len(`:"u`)
	r.Status, r.Want = http.StatusAccepted, []byte(`"status":"received"`)
	return r
}

// posted is a request as a browser's script sends it.
func posted(path, body string) request {
	return request{Raw: fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: portico.example\r\nUser-Agent: %s\r\nAccept: application/json\r\n"+
		"Accept-Language: en\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		path, userAgent, len(body), body)}
}

// refusedContest is about requests that get no further than a look at them.
func refusedContest() contest {
	return contest{
		name: "refused: no session, no such route, no JSON, no such token",
		contestants: []contestant{
			{id: "refused-fixed", title: "fixed refusals by Echo", role: baseline, serve: serveRefusals},
			{id: "refused-portico", title: "Portico", role: ours, serve: servePortico("PORTICO_RATE_LIMITS=off")},
		},
		connections: []int{1, 16, 64, 256},
		requests:    func(int) []request { return refusedRequests() },
	}
}

func refusedRequests() []request {
	got := func(path, headers string, status int, code string) request {
		return request{
			Raw: fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: portico.example\r\nUser-Agent: %s\r\nAccept: application/json\r\n"+
				"Sec-Fetch-Site: same-origin\r\nX-CSRF: 1\r\n%s\r\n", path, userAgent, headers),
			Status: status, Want: []byte(`"code":"` + code + `"`),
		}
	}
	form := posted("/signup", "email=ada@example.com")
	form.Raw = bytes.Replace(form.Raw, []byte("application/json\r\nContent-L"), []byte("application/x-www-form-urlencoded\r\nContent-L"), 1)
	form.Status, form.Want = http.StatusUnsupportedMediaType, []byte(`"code":"unsupported_media_type"`)
	return []request{
		got("/me", "", http.StatusUnauthorized, "not_authenticated"),
		got("/wp-login.php", "", http.StatusNotFound, "not_found"),
		form,
		// It has the form of a token, so that the database is asked.
		got("/me", "Cookie: "+cookieName+"="+strings.Repeat("A", 43)+"\r\n", http.StatusUnauthorized, "session_invalid"),
	}
}
