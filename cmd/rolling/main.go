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
	o, err := commandLine(os.Args[1:], os.Stdout)
	if err == nil {
		err = run(ctx, o, os.Stdout)
	}
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errFailed):
		fmt.Fprintln(os.Stderr, "rolling:", err)
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "rolling:", err)
		os.Exit(2)
	}
}
