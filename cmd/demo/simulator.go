package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
)

type simulatorCmd struct {
	Listen                  string   `help:"Address to listen on. Nobody is asked for a password here: keep it private." default:"127.0.0.1:8081"`
	SMTPListen              string   `name:"smtp-listen" help:"Address of a mail server for the same mailbox. None by default." placeholder:"HOST:PORT"`
	BaseURL                 string   `help:"Where browsers and Portico reach it." default:"http://localhost:8081"`
	APIToken                string   `name:"api-token" help:"Token of the management APIs." required:""`
	ClientID                string   `name:"client-id" help:"Client id of Portico." default:"portico"`
	ClientSecret            string   `help:"Client secret of Portico." required:""`
	RedirectURI             []string `name:"redirect-uri" help:"Where a login may end." default:"http://localhost:8080/callback"`
	RegistrationRedirectURI string   `name:"registration-redirect-uri" help:"Where an enrolment ends." default:"http://localhost:8080/login"`
}

// Run serves the simulator until ctx ends.
func (cmd simulatorCmd) Run(ctx context.Context, out output) error {
	sim, err := simulator.New(simulator.Config{
		BaseURL:                 cmd.BaseURL,
		APIToken:                cmd.APIToken,
		ClientID:                cmd.ClientID,
		ClientSecret:            cmd.ClientSecret,
		RedirectURIs:            cmd.RedirectURI,
		RegistrationRedirectURI: cmd.RegistrationRedirectURI,
	})
	if err != nil {
		return err
	}
	defer sim.Close()
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", cmd.Listen)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out.stdout, "simulator of Beyond Identity at %s\n", cmd.BaseURL)
	if cmd.SMTPListen == "" {
		return serve(ctx, listener, sim)
	}
	smtp, err := lc.Listen(ctx, "tcp", cmd.SMTPListen)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		defer stop()
		ended <- serveSMTP(ctx, smtp, sim)
	}()
	err = serve(ctx, listener, sim)
	stop()
	return errors.Join(err, <-ended)
}

// serveSMTP takes mail until ctx ends.
func serveSMTP(ctx context.Context, listener net.Listener, sim *simulator.Simulator) error {
	stopped := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stopped()
	return sim.ServeSMTP(listener) //nolint:contextcheck // it ends with the listener
}

// serve serves until ctx ends.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	stopped := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stopped()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
