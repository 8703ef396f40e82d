package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errBroken):
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	default:
		fmt.Fprintln(os.Stderr, "gauntlet:", err)
		stop()
		os.Exit(2)
	}
}
