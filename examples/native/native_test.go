package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/built"
	"github.com/portico-id/portico/internal/loopback"
)

// demo is Portico with all that it needs, as `make run` starts it.
type demo struct{ api, sim string }

func TestMain(m *testing.M) { built.Main(m) }

// builtDemo is the demo's binary.
var builtDemo = built.Once("github.com/portico-id/portico/cmd/demo")

func startDemo(t *testing.T) demo {
	t.Helper()
	binary, err := builtDemo()
	if err != nil {
		t.Fatal(err)
	}
	process := exec.Command(binary) // it is told to stop, and waited for, below
	at := make(map[string]string)
	for _, name := range []string{"port", "ops-port", "simulator-port", "example-port"} {
		port, err := loopback.FreePort(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		process.Args = append(process.Args, fmt.Sprintf("--%s=%d", name, port))
		at[name] = fmt.Sprintf("http://localhost:%d", port)
	}
	process.Stderr = t.Output()
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Signal(syscall.SIGTERM)
		if err := process.Wait(); err != nil {
			t.Error(err)
		}
	})
	for lines := bufio.NewScanner(out); ; {
		if !lines.Scan() {
			t.Fatal("the demo has not started")
		}
		if strings.Contains(lines.Text(), "Ctrl-C stops everything") {
			return demo{api: at["port"], sim: at["simulator-port"]}
		}
	}
}

// browser is the system's, with a passkey of its own.
type browser struct {
	t      *testing.T
	client *http.Client
}

func (b browser) get(method, address, body string) (text string) {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := b.client.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(raw)
}

// enrol signs somebody up and registers a passkey in this browser.
func (b browser) enrol(d demo, email string) {
	b.t.Helper()
	b.get(http.MethodPost, b.signUp(d, email), "")
}

// signUp signs somebody up and returns the link that they are mailed.
func (b browser) signUp(d demo, email string) (link string) {
	b.t.Helper()
	b.get(http.MethodPost, d.api+"/signup", fmt.Sprintf(`{"email":%q}`, email))
	await.Until(b.t, "the mail", func() error {
		found := regexp.MustCompile(`"link":"([^"]*)"`).FindStringSubmatch(b.get(http.MethodGet, d.sim+"/sim/mailbox?to="+email, ""))
		if found == nil {
			return errors.New("no mail yet")
		}
		link = found[1]
		return nil
	})
	return link
}

func TestSignsInThroughTheSystemsBrowser(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	b := browser{t: t, client: &http.Client{Jar: jar, Transport: transport}}
	b.enrol(d, "ada@example.com")
	file := filepath.Join(t.TempDir(), "sub", "session")
	native := func(command string, open func(context.Context, string) error) (string, error) {
		var out bytes.Buffer
		err := run(t.Context(), []string{"-api", d.api, "-session", file, command}, &out, open)
		return out.String(), err
	}

	if _, err := native("me", nil); err == nil || !strings.Contains(err.Error(), "nobody is signed in") {
		t.Errorf("before the login: %v", err)
	}
	said, err := native("login", func(_ context.Context, address string) error {
		// Somebody else's visit comes first, and is not taken for ours.
		back := regexp.MustCompile(`redirect_uri=([^&]*)`).FindStringSubmatch(address)[1]
		back = strings.NewReplacer("%3A", ":", "%2F", "/").Replace(back)
		if page := b.get(http.MethodGet, back+"?code=ptc_stolen&state=guessed", ""); !strings.Contains(page, "not the login") {
			t.Errorf("a stranger is told %q", page)
		}
		if page := b.get(http.MethodGet, address, ""); !strings.Contains(page, "That is all.") {
			t.Errorf("the browser ends at %q", page)
		}
		return nil
	})
	if err != nil || !strings.Contains(said, "Signed in as ada@example.com.") {
		t.Fatalf("%s: %v", said, err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the session's file is %v: %v", info, err)
	}
	if said, err = native("me", nil); err != nil || !strings.Contains(said, `"client": "native"`) {
		t.Errorf("%s: %v", said, err)
	}
	if said, err = native("logout", nil); err != nil || !strings.Contains(said, "Signed out.") {
		t.Errorf("%s: %v", said, err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the session's file is left: %v", err)
	}
	if said, err = native("dance", nil); err == nil || !strings.Contains(said, "login-sdk | me") {
		t.Errorf("%s: %v", said, err)
	}
}
