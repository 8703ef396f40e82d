package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/portico-id/portico/cmd/internal/program"
	"github.com/portico-id/portico/examples/spa"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
)

// runCmd is the demo. The pages of the app and of the API are of one site and
// of two origins, as they would be in production.
type runCmd struct {
	Port          int  `help:"Port of Portico's API." default:"8080"`
	OpsPort       int  `help:"Port of Portico's operations." default:"9090"`
	SimulatorPort int  `help:"Port of the simulator." default:"8081"`
	ExamplePort   int  `help:"Port of the example app." default:"3000"`
	Verbose       bool `short:"v" help:"Write Portico's log to the terminal instead of a file."`
}

func (cmd runCmd) appURL() string     { return fmt.Sprintf("http://localhost:%d", cmd.Port) }
func (cmd runCmd) simURL() string     { return fmt.Sprintf("http://localhost:%d", cmd.SimulatorPort) }
func (cmd runCmd) exampleURL() string { return fmt.Sprintf("http://localhost:%d", cmd.ExamplePort) }

// onLoopback is the address of a port that nobody else can reach.
func onLoopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// Run runs everything until ctx ends, and removes what it kept.
func (cmd runCmd) Run(ctx context.Context, env environment, out output) (err error) {
	folder, err := os.MkdirTemp("", "portico-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	listeners, err := cmd.takePorts(ctx)
	if err != nil {
		return err
	}
	defer listeners.close()
	log := out.stderr
	logName := "this terminal"
	if !cmd.Verbose {
		logName = filepath.Join(folder, "portico.log")
		file, err := os.Create(logName)
		if err != nil {
			return err
		}
		defer file.Close()
		log = file
	}
	secrets := newSecrets()
	sim, err := simulator.New(simulator.Config{
		BaseURL:                 cmd.simURL(),
		APIToken:                secrets.apiToken,
		ClientID:                "portico",
		ClientSecret:            secrets.clientSecret,
		RedirectURIs:            []string{cmd.appURL() + "/callback"},
		RegistrationRedirectURI: cmd.appURL() + "/login",
	})
	if err != nil {
		return err
	}
	defer sim.Close()
	var lc net.ListenConfig
	smtp, err := lc.Listen(ctx, "tcp", onLoopback(0)) // for the mails that Portico sends itself
	if err != nil {
		return err
	}
	defer smtp.Close()
	page, err := spa.Handler(spa.Config{API: cmd.appURL(), Mailbox: cmd.simURL() + "/mailbox"})
	if err != nil {
		return err
	}

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ready := &announcer{out: out.stdout, text: cmd.tour(logName), log: log}
	var running sync.WaitGroup
	failures := make(chan error, 4)
	for _, start := range []func() error{
		func() error { return serve(ctx, listeners.sim, sim) },
		func() error { return serveSMTP(ctx, smtp, sim) },
		func() error { return serve(ctx, listeners.example, page) },
		func() error {
			return program.Run(ctx, []string{"serve"}, env.with(cmd.settings(secrets, folder, smtp.Addr())...), ready, out.stderr)
		},
	} {
		running.Go(func() {
			if err := start(); err != nil {
				failures <- err
			}
			stop() // one that ends takes the others with it
		})
	}
	running.Wait()
	close(failures)
	for failure := range failures {
		err = errors.Join(err, failure)
	}
	return err
}

// ports are what the demo holds while Portico starts.
type ports struct {
	sim, example net.Listener
}

// takePorts takes the demo's own ports and makes sure of Portico's, so that a
// taken one is one line that says which.
func (cmd runCmd) takePorts(ctx context.Context) (ports, error) {
	var p ports
	var lc net.ListenConfig
	for _, port := range []struct {
		address, role string
		keep          *net.Listener
	}{
		{onLoopback(cmd.Port), "Portico's API", nil},
		{onLoopback(cmd.OpsPort), "Portico's operations", nil},
		{onLoopback(cmd.SimulatorPort), "the simulator", &p.sim},
		{onLoopback(cmd.ExamplePort), "the example app", &p.example},
	} {
		listener, err := lc.Listen(ctx, "tcp", port.address)
		if err != nil {
			p.close()
			return ports{}, fmt.Errorf("port %s is taken, which is for %s: stop what uses it, or choose another (make run ARGS=--help)", port.address, port.role)
		}
		if port.keep != nil {
			*port.keep = listener
		} else if err := listener.Close(); err != nil {
			return ports{}, err
		}
	}
	return p, nil
}

func (p ports) close() {
	for _, listener := range []net.Listener{p.sim, p.example} {
		if listener != nil {
			_ = listener.Close()
		}
	}
}

// secrets are made anew at each start: nothing here is worth guessing.
type secrets struct {
	apiToken, clientSecret, key string
}

func newSecrets() secrets {
	var key [32]byte
	_, _ = rand.Read(key[:])
	return secrets{
		apiToken:     rand.Text(),
		clientSecret: rand.Text(),
		key:          base64.StdEncoding.EncodeToString(key[:]),
	}
}

// settings are Portico's. Whatever the environment says wins over them.
func (cmd runCmd) settings(s secrets, folder string, smtp net.Addr) []string {
	return []string{
		"PORTICO_PUBLIC_URL=" + cmd.appURL(),
		"PORTICO_LISTEN=" + onLoopback(cmd.Port),
		"PORTICO_OPS_LISTEN=" + onLoopback(cmd.OpsPort),
		"PORTICO_DATABASE_URL=sqlite:" + filepath.Join(folder, "portico.db"),
		"PORTICO_FRONTEND_ORIGINS=" + cmd.exampleURL(),
		"PORTICO_DEFAULT_RETURN_TO=" + cmd.exampleURL() + "/",
		"PORTICO_BEYOND_API_URL=" + cmd.simURL(),
		"PORTICO_BEYOND_API_TOKEN=" + s.apiToken,
		"PORTICO_BEYOND_QUARANTINE=5s", // the simulator commits at once
		"PORTICO_DELETE_GRACE=10s",     // long enough to be restored in
		"PORTICO_OIDC_ISSUER=" + cmd.simURL() + "/v2",
		"PORTICO_OIDC_CLIENT_ID=portico",
		"PORTICO_OIDC_CLIENT_SECRET=" + s.clientSecret,
		"PORTICO_KEYS=" + s.key,
		"PORTICO_SMTP_URL=smtp://" + smtp.String(),
		"PORTICO_APP_NAME=Example",
		// Everybody is one client here, and tries things out.
		"PORTICO_RATE_LIMITS=client=600/1m,address=60/1m",
		"PORTICO_NATIVE_REDIRECT_URIS=http://127.0.0.1/signed-in,com.example.app:/signed-in",
		"PORTICO_DOCS=true",
		"PORTICO_ALLOW_INSECURE_LOCALHOST=true",
		"PORTICO_SHUTDOWN_DELAY=0s", // nobody stands before it
	}
}

// announcer passes Portico's log on and prints the tour when it says that it
// is ready.
type announcer struct {
	out  io.Writer
	text string
	log  io.Writer
	once sync.Once
}

// Write takes one line of the log.
func (a *announcer) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(`"msg":"ready"`)) {
		a.once.Do(func() { _, _ = io.WriteString(a.out, a.text) })
	}
	return a.log.Write(line)
}

func (cmd runCmd) tour(log string) string {
	return strings.NewReplacer(
		"APP", cmd.appURL(), "SIM", cmd.simURL(), "EXAMPLE", cmd.exampleURL(), "OPS", "http://"+onLoopback(cmd.OpsPort), "LOG", log,
	).Replace(`
Portico runs.

  the API         APP
  operations      OPS/readyz
  the simulator   SIM  (its mailbox: SIM/mailbox)
  an example app  EXAMPLE
  its contract    APP/docs
  the log         LOG

From an address to a signed-in user, in another terminal:

  curl -s APP/signup -H 'Content-Type: application/json' -d '{"email":"ada@example.com"}'
  LINK=$(curl -s 'SIM/sim/mailbox?to=ada@example.com' | sed -n 's/.*"link":"\([^"]*\)".*/\1/p')
  curl -s -c jar -b jar -X POST -o /dev/null -w '%{redirect_url}\n' "$LINK"
  curl -s -c jar -b jar -L -o /dev/null -w '%{url_effective}\n' APP/login
  curl -s -c jar -b jar -H 'X-CSRF: 1' APP/me
  curl -s -c jar -b jar -H 'X-CSRF: 1' -X POST APP/logout

Ctrl-C stops everything and forgets it.
`)
}
