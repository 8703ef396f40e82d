// Command portico is the front door of an app without passwords.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/portico-id/portico/cmd/internal/program"
)

func main() {
	// net/http writes what a peer sent out of turn to the standard library's
	// log, word for word. It may hold anybody's data.
	log.SetOutput(io.Discard) //nolint:forbidigo // to silence it
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := program.Run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "portico: "+err.Error())
	if usage := (*program.UsageError)(nil); errors.As(err, &usage) {
		os.Exit(2)
	}
	if differ := (*program.DifferencesError)(nil); errors.As(err, &differ) {
		os.Exit(3)
	}
	os.Exit(1)
}
