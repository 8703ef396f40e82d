package api_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/api"
	"github.com/portico-id/portico/internal/ratelimit"
)

// gift is an answer, with the request that it answers and the length that it
// says it has.
type gift struct {
	answer

	what, method string
	length       int64
}

// gathered are answers to many requests.
type gathered struct {
	mu  sync.Mutex
	all []gift
}

// from returns a client's transport that keeps what the host answers.
func (g *gathered) from(baseURL string, next http.RoundTripper) http.RoundTripper {
	return gatherer{g, baseURL, next}
}

// by makes the browser's answers known.
func (g *gathered) by(b *browser) *browser {
	b.client.Transport = g.from(b.w.url, b.client.Transport)
	return b
}

type gatherer struct {
	into    *gathered
	baseURL string
	next    http.RoundTripper
}

// RoundTrip keeps the answer and hands it on.
func (g gatherer) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := g.next.RoundTrip(r)
	if err != nil || r.URL.Scheme+"://"+r.URL.Host != g.baseURL {
		return response, err
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	g.into.mu.Lock()
	defer g.into.mu.Unlock()
	g.into.all = append(g.into.all, gift{
		answer{status: response.StatusCode, header: response.Header, body: string(body)},
		r.Method + " " + r.URL.Path + " (" + response.Status + ")", r.Method, response.ContentLength,
	})
	return response, nil
}

// sample is a request to a route, as it may be sent: its path, and its body
// where it takes one.
func sample(o api.Operation) (path, body string) {
	path = strings.NewReplacer("{signup_id}", strings.Repeat("A", 22), "{session_id}", "0192f0c1-2345-7abc-8def-0123456789ab").Replace(o.Path)
	return path, map[string]string{
		"/signup": ada, "/login": `{"client":"browser"}`, "/callback": `{"code":"c","state":"s","flow":"f"}`,
		"/me": `{"display_name":"Ada"}`, "/me/email": `{"email":"ada@example.org"}`, "/me/email/confirm": `{"code":"7XK2M-9QD4T"}`,
		"/sessions": trade("ptc_"+strings.Repeat("A", 43), strings.Repeat("v", 43)),
	}[o.Path]
}

// ask sends the sample to a route.
func (b *browser) ask(o api.Operation, headers ...header) answer {
	b.t.Helper()
	return b.send(b.asking(o, headers...), false)
}

func (b *browser) asking(o api.Operation, headers ...header) *http.Request {
	b.t.Helper()
	path, body := sample(o)
	if !o.Body {
		body = ""
	}
	return b.request(o.Method, path, body, headers...)
}

// walk asks every route in every way that it can be refused.
func (b *browser) walk() {
	b.t.Helper()
	for _, o := range api.Operations() {
		path, body := sample(o)
		b.ask(o)
		b.ask(o, header{"X-CSRF", ""})
		b.ask(o, header{"Origin", "https://evil.example"}, header{"Sec-Fetch-Site", "cross-site"}, header{"Sec-Fetch-Mode", "cors"})
		b.ask(o, header{"Origin", appOrigin})
		b.ask(o, header{"Authorization", "Bearer pts_" + strings.Repeat("A", 43)})
		for _, method := range []string{http.MethodPut, http.MethodHead, http.MethodTrace, http.MethodOptions} {
			b.send(b.request(method, path, ""), false)
		}
		b.send(b.request(http.MethodOptions, path, "", header{"Origin", appOrigin}, header{"Access-Control-Request-Method", o.Method}), false)
		b.get(path + "/nothing")
		if o.Body {
			b.post(path, body, header{"Content-Type", "text/plain"})
			b.post(path, body+strings.Repeat(" ", limit))
			b.post(path, "{")
			b.post(path, `{}`)
		}
	}
}

// live goes through everything that can be done, with what can go wrong.
func (g *gathered) live(t *testing.T, w *world) {
	t.Helper()
	b := g.by(w.browser().in(t))
	b.signUp("ada@example.com")
	receipt := b.post("/signup", email("bob@example.com")).json("signup_id")
	w.secrets.keep(receipt)
	known := b.get("/signup/" + receipt).is(http.StatusOK).header.Get("ETag")
	b.get("/signup/"+receipt, header{"If-None-Match", known}).is(http.StatusNotModified)
	b.post("/signup/"+receipt+"/resend", "").is(http.StatusConflict)
	for range 10 {
		b.get("/login?return_to=/" + strings.Repeat("a", 1500)).is(http.StatusSeeOther)
	}
	b.get("/login?return_to=//evil.example").is(http.StatusBadRequest)
	callback := b.authorize("")
	b.returns(change(t, callback, "iss", "https://evil.example")).is(http.StatusSeeOther)
	b.returns(callback).is(http.StatusBadRequest, "flow_missing")
	b.logIn().leadsTo(home)

	other := g.by(w.browser().in(t))
	other.passkeys = b.passkeys
	started := other.post("/login", `{"client":"browser"}`).is(http.StatusOK)
	callback = other.provider(http.MethodGet, started.json("authorization_url"))
	other.post("/callback", callbackBody(t, callback, started.json("flow"))).is(http.StatusOK)

	app := b.app()
	app.client.Transport = g.from(w.url, app.client.Transport)
	flow, callback := app.startNative()
	token := app.post("/callback", callbackBody(t, callback, flow)).is(http.StatusOK).json("session_token")
	w.secrets.keep(token, flow)
	app.get("/me", bearer(token)).is(http.StatusOK)
	app.post("/logout", "", bearer(token)).is(http.StatusOK)
	system := newSystemLogin()
	app.post("/logout", "", bearer(app.redeem(b.codeFor(system), system.verifier))).is(http.StatusOK)

	b.get("/me").is(http.StatusOK)
	b.get("/me/sessions").is(http.StatusOK)
	b.del("/me/sessions").is(http.StatusNoContent)
	other.get("/me").unauthorized("session_invalid")
	b.get("/login").is(http.StatusSeeOther) // one that the logout finds
	b.post("/logout?return_to=/bye", "").is(http.StatusOK)
	b.get("/logout/callback").is(http.StatusSeeOther)
	g.by(w.browser().in(t)).walk()
	b.logIn().leadsTo(home)
	b.walk()
}

// everyAnswer gathers answers of every kind: those of a life over https, those
// to who comes too often, those of a database that is gone, and those of an
// API in which every route panics.
func everyAnswer(t *testing.T) (*world, []gift) {
	t.Helper()
	g := &gathered{}
	w := newWorld(t, options{secure: true})
	g.live(t, w)

	limited := newWorld(t, options{secure: true, limits: ratelimit.Limits{Client: hourly(1)}})
	b := g.by(limited.browser().in(t))
	b.post("/signup", ada).is(http.StatusAccepted)
	b.post("/signup", ada).is(http.StatusTooManyRequests)

	gone := newWorld(t, options{secure: true})
	b = g.by(gone.browser().in(t))
	b.cookies["__Host-Http-portico"] = &http.Cookie{Name: "__Host-Http-portico", Value: strings.Repeat("A", 43)}
	if err := gone.db.Close(); err != nil {
		t.Fatal(err)
	}
	b.walk()

	broken, err := api.New(api.Config{
		PublicURL: "https://api.example", FrontendOrigins: []string{appOrigin}, DefaultReturnTo: home,
		Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(broken)
	t.Cleanup(server.Close)
	b = &browser{
		t: t, w: &world{t: t, url: server.URL, secrets: &secrets{}}, cookies: b.cookies,
		client: &http.Client{Transport: g.from(server.URL, server.Client().Transport), CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}},
	}
	b.walk()
	return w, g.all
}

// TestEveryAnswer looks at all of them, row by row.
func TestEveryAnswer(t *testing.T) {
	t.Parallel()
	w, all := everyAnswer(t)
	t.Run("there is one of each kind", func(t *testing.T) {
		t.Parallel()
		seen := make(map[int]bool)
		for _, a := range all {
			seen[a.status] = true
		}
		for _, status := range []int{
			200, 201, 202, 204, 303, 304, 400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 503,
		} {
			if !seen[status] {
				t.Errorf("of %d answers none is a %d", len(all), status)
			}
		}
	})
	headersOf(t, all)
	bodiesOf(t, w, all)
	cookiesOf(t, all)
}
