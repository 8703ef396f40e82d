package challenge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/await"
)

// says is a service that always answers so.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestASVS_16_5_3_OnlyAClearYesLetsSomebodyIn(t *testing.T) {
	t.Parallel()
	const yes = `{"success":true,"hostname":"app.example.com"}`
	refused := func(codes string) string { return `{"success":false,"error-codes":[` + codes + `]}` }
	for name, c := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"a yes":                               {200, yes, nil},
		"hCaptcha's yes":                      {200, `{"success":true,"challenge_ts":"2026-03-01T12:00:00Z","hostname":"app.example.com","credit":true}`, nil},
		"hCaptcha's yes for a business":       {200, `{"success":true,"hostname":"app.example.com","score":0.0,"score_reason":[]}`, nil},
		"reCAPTCHA v2's yes":                  {200, `{"success":true,"challenge_ts":"2026-03-01T12:00:00Z","hostname":"app.example.com"}`, nil},
		"reCAPTCHA v3's yes for a person":     {200, `{"success":true,"hostname":"app.example.com","score":0.5,"action":"signup"}`, nil},
		"reCAPTCHA v3's yes for a robot":      {200, `{"success":true,"hostname":"app.example.com","score":0.4,"action":"signup"}`, ErrRefused},
		"a yes from nowhere":                  {200, `{"success":true}`, ErrRefused},
		"a yes from an app for Android":       {200, `{"success":true,"apk_package_name":"com.example.app"}`, ErrRefused},
		"a no without a reason":               {200, `{"success":false}`, ErrRefused},
		"a wrong token":                       {200, refused(`"invalid-input-response"`), ErrRefused},
		"a wrong token, with status 400":      {400, refused(`"invalid-input-response"`), ErrRefused},
		"an expired token":                    {200, refused(`"expired-input-response"`), ErrRefused},
		"a used token":                        {200, refused(`"timeout-or-duplicate"`), ErrRefused},
		"hCaptcha's used token":               {200, refused(`"invalid-or-already-seen-response"`), ErrRefused},
		"a token of another site's":           {200, refused(`"sitekey-secret-mismatch"`), ErrRefused},
		"a token of the test site's":          {200, refused(`"not-using-dummy-passcode"`), ErrRefused},
		"a reason that nobody has documented": {200, refused(`"because"`), ErrRefused},
		"a wrong secret":                      {200, refused(`"invalid-input-secret"`), ErrMisconfigured},
		"a wrong secret, with status 400":     {400, refused(`"invalid-input-secret"`), ErrMisconfigured},
		"a wrong secret among others":         {200, refused(`"invalid-input-response","invalid-input-secret"`), ErrMisconfigured},
		"no secret":                           {200, refused(`"missing-input-secret"`), ErrMisconfigured},
		"a trouble of its own":                {200, refused(`"internal-error"`), ErrUnavailable},
		"a yes with status 400":               {400, yes, ErrUnavailable},
		"a yes with status 201":               {201, yes, ErrUnavailable},
		"a yes with status 500":               {500, yes, ErrUnavailable},
		"a yes with codes":                    {200, `{"success":true,"hostname":"app.example.com","error-codes":["timeout-or-duplicate"]}`, ErrUnavailable},
		"ASVS-1.5.3 a yes, and a no":          {200, `{"success":true,"success":false,"hostname":"app.example.com"}`, ErrUnavailable},
		"ASVS-1.5.3 a no, and a yes":          {200, `{"success":false,"success":true,"hostname":"app.example.com"}`, ErrUnavailable},
		"two hostnames":                       {200, `{"success":true,"hostname":"evil.example","hostname":"app.example.com"}`, ErrUnavailable},
		"ASVS-15.3.5 a yes in other letters":  {200, `{"Success":true,"hostname":"app.example.com"}`, ErrUnavailable},
		"ASVS-15.3.5 a yes as text":           {200, `{"success":"true","hostname":"app.example.com"}`, ErrUnavailable},
		"ASVS-15.3.5 a yes as a number":       {200, `{"success":1,"hostname":"app.example.com"}`, ErrUnavailable},
		"a yes that is null":                  {200, `{"success":null,"hostname":"app.example.com"}`, ErrUnavailable},
		"a yes and more":                      {200, yes + yes, ErrUnavailable},
		"a yes in a list":                     {200, "[" + yes + "]", ErrUnavailable},
		"a yes that was cut off":              {200, yes[:len(yes)-1], ErrUnavailable},
		"a yes that is no text":               {200, strings.Replace(yes, "app", "a\xffpp", 1), ErrUnavailable},
		"hostnames":                           {200, `{"success":true,"hostname":["app.example.com"]}`, ErrUnavailable},
		"nothing":                             {200, "", ErrUnavailable},
		"null":                                {200, "null", ErrUnavailable},
		"an empty object":                     {200, "{}", ErrUnavailable},
		"a page":                              {200, "<html>true</html>", ErrUnavailable},
		"a page with status 400":              {400, "<html>true</html>", ErrUnavailable},
		"too many requests":                   {429, refused(`"invalid-input-response"`), ErrUnavailable},
		"not found":                           {404, "", ErrUnavailable},
		"a gateway's trouble":                 {502, "<html>", ErrUnavailable},
		"no content":                          {204, "", ErrUnavailable},
		"the most it may say":                 {200, yes + strings.Repeat(" ", maxBody-len(yes)), nil},
		"more than it may say":                {200, yes + strings.Repeat(" ", maxBody-len(yes)+1), ErrUnavailable},
		"much more than it may say":           {200, yes + strings.Repeat(" ", 16<<20), ErrUnavailable},
		"more nesting than anyone needs":      {200, `{"success":true,"hostname":"app.example.com","x":` + strings.Repeat("[", 60000), ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantKind(t, newVerifier(t, serve(t, says(c.status, c.body))).Verify(t.Context(), testToken, testClient), c.want)
		})
	}
}

func TestASVS_15_3_2_ARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			elsewhere := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				t.Error("the secret went elsewhere")
			}))
			address := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", elsewhere)
				w.WriteHeader(status)
			}))
			wantKind(t, newVerifier(t, address).Verify(t.Context(), testToken, testClient), ErrUnavailable)
		})
	}
}

func TestASVS_16_5_3_ASlowServiceLetsNobodyInAndKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	for name, slow := range map[string]func(w http.ResponseWriter, gone <-chan struct{}){
		"it never answers": func(_ http.ResponseWriter, gone <-chan struct{}) { <-gone },
		"it begins, and never ends": func(w http.ResponseWriter, gone <-chan struct{}) {
			_, _ = io.WriteString(w, `{"success":true,"hostname":"app.example.com"}`)
			_ = http.NewResponseController(w).Flush()
			<-gone
		},
		"it drips": func(w http.ResponseWriter, gone <-chan struct{}) {
			drip := time.NewTicker(20 * time.Millisecond)
			defer drip.Stop()
			for {
				select {
				case <-gone:
					return
				case <-drip.C:
					_, _ = io.WriteString(w, " ")
					_ = http.NewResponseController(w).Flush()
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				slow(w, r.Context().Done())
			}))
			verifier := newVerifier(t, address, func(c *Config) { c.Timeout = 300 * time.Millisecond })
			begun := time.Now()
			err := verifier.Verify(t.Context(), testToken, testClient)
			wantKind(t, err, ErrUnavailable)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("it does not say that time was up: %v", err)
			}
			if took := time.Since(begun); took > await.Patience {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestWhoeverHangsUpWaitsNoLonger(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{})
	verifier := newVerifier(t, serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(asked)
		<-r.Context().Done()
	})))
	ctx, hangUp := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- verifier.Verify(ctx, testToken, testClient) }()
	<-asked
	hangUp()
	err := <-done
	wantKind(t, err, ErrUnavailable)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestASVS_16_5_3_AServiceThatIsNotThereLetsNobodyIn(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	stranger := httptest.NewTLSServer(&vendor{t: t, tokens: map[string]string{testToken: "app.example.com"}})
	t.Cleanup(stranger.Close)
	stranger.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	hangsUp := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	for name, address := range map[string]string{
		"nobody listens":                          gone.URL,
		"nobody has the name":                     "https://siteverify.invalid/",
		"ASVS-12.3.2 its certificate is no one's": stranger.URL,
		"it hangs up":                             hangsUp,
		"it speaks something different":           "http://" + talks(t, "SSH-2.0-OpenSSH_9.2\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantKind(t, newVerifier(t, address).Verify(t.Context(), testToken, testClient), ErrUnavailable)
		})
	}
}

// talks is the address of a server that reads a request and then says text,
// with {body} as the request's body.
func talks(t *testing.T, text string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			request := make([]byte, 64<<10)
			var got string
			for !strings.Contains(got, "remoteip=") {
				n, err := conn.Read(request)
				if err != nil {
					break
				}
				got += string(request[:n])
			}
			_, body, _ := strings.Cut(got, "\r\n\r\n")
			_, _ = io.WriteString(conn, strings.ReplaceAll(text, "{body}", body))
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}

func TestTheSecretNeverShows(t *testing.T) {
	t.Parallel()
	echoed := func(status int, pattern string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			text := strings.NewReplacer("{secret}", r.PostForm.Get("secret"), "{token}", r.PostForm.Get("response")).Replace(pattern)
			says(status, text)(w, r)
		}
	}
	for name, address := range map[string]string{
		"as a code":               serve(t, echoed(200, `{"success":false,"error-codes":["{secret}"]}`)),
		"as a long code":          serve(t, echoed(200, `{"success":false,"error-codes":["`+strings.Repeat("x", 50)+`{secret}"]}`)),
		"as a code beside others": serve(t, echoed(200, `{"success":false,"error-codes":["invalid-input-secret","{secret}\n"]}`)),
		"as a hostname":           serve(t, echoed(200, `{"success":true,"hostname":"{secret}"}`)),
		"as a broken answer":      serve(t, echoed(200, `{secret}`)),
		"as a page of trouble":    serve(t, echoed(500, `{secret}`)),
		"as a status line":        "http://" + talks(t, "{body}\r\n\r\n"),
		"as a status":             "http://" + talks(t, "HTTP/1.1 {body}\r\n\r\n"),
		"as a header line":        "http://" + talks(t, "HTTP/1.1 200 OK\r\n{body}\r\n\r\n"),
		"as a length":             "http://" + talks(t, "HTTP/1.1 200 OK\r\nContent-Length: {body}\r\n\r\n"),
		"as a redirect":           "http://" + talks(t, "HTTP/1.1 302 Found\r\nLocation: http://%zz/{body}\r\nContent-Length: 0\r\n\r\n"),
		"not at all":              "https://siteverify.invalid/",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			verifier := newVerifier(t, address)
			err := verifier.Verify(t.Context(), testToken, testClient)
			if err == nil {
				t.Fatal("it passed")
			}
			checkShown(t, verifier, err)
		})
	}
}

// checkShown holds that no way of printing v or err shows the secret or forges
// a line.
func checkShown(t *testing.T, v *Verifier, err error) {
	t.Helper()
	var shown bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&shown, nil), slog.NewJSONHandler(&shown, nil)} {
		slog.New(handler).InfoContext(t.Context(), "challenge", slog.Any("error", err), slog.Any("verifier", v),
			slog.Any("config", Config{URL: v.url.String(), Secret: v.secret, Hostnames: v.hostnames}))
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		fmt.Fprintf(&shown, format+"\n", err)
		fmt.Fprintf(&shown, format+"\n", v)
	}
	for _, canary := range []string{testSecret, url.QueryEscape(testSecret), "canary", testToken} {
		if strings.Contains(shown.String(), canary) {
			t.Errorf("%q shows in %s", canary, shown.String())
		}
	}
}

func TestASVS_16_4_1_WhatTheServiceSaysForgesNoLine(t *testing.T) {
	t.Parallel()
	codes := `"a\nlevel=ERROR msg=\u202eforged\u001b[2J` + strings.Repeat("x", 10000) + `"` + strings.Repeat(`,"y"`, 1000)
	address := serve(t, says(200, `{"success":false,"error-codes":[`+codes+`]}`))
	err := newVerifier(t, address).Verify(t.Context(), testToken, testClient)
	wantKind(t, err, ErrRefused)
	if text := err.Error(); strings.ContainsAny(text, "\n\x1b\u202e") || len(text) > 500 {
		t.Errorf("it says %q", text)
	}
}
