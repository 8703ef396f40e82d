package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo: "+err.Error())
		os.Exit(1)
	}
}

// cli is the command line.
type cli struct {
	Run       runCmd       `cmd:"" default:"withargs" help:"Run everything in one process."`
	Simulator simulatorCmd `cmd:"" help:"Run the simulator of Beyond Identity alone."`
}

// output is where a command writes what a person reads.
type output struct {
	stdout, stderr io.Writer
}

// run runs the command line until ctx ends.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	var c cli
	exited := false
	parser, err := kong.New(
		&c,
		kong.Name("demo"),
		kong.Description("Portico, a simulator of Beyond Identity and a page, for trials on this machine."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { exited = true }),
		kong.Bind(environment(environ), output{stdout, stderr}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Resolvers(environment(environ)),
	)
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	if exited {
		return nil
	}
	if err != nil {
		return err
	}
	return parsed.Run()
}
