package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errTooSlow):
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(2)
	}
}

// run is the program. Beside what a user starts, it is what it starts itself:
// a contestant or the load generator. It returns errTooSlow when -check has
// found that.
func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case "serve":
			return serveContestant(ctx, args[1:], in, out)
		case "load":
			return generateLoad(ctx, in, out)
		}
	}
	o, err := commandLine(args, out)
	if err != nil {
		return err
	}
	return measure(ctx, o, out)
}

// options are what one run does.
type options struct {
	rounds   int
	seconds  float64 // for each contestant at each number of connections
	sessions int     // in the table
	// connections are the columns to measure; empty for all of the contest's.
	connections []int
	signups     int    // that wait where provisioning is measured
	starts      int    // of the program by itself
	only        string // part of the name of what is measured
	check       bool
	profile     string // a folder
}

// commandLine reads the flags. It returns flag.ErrHelp after -help.
func commandLine(args []string, out io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.IntVar(&o.rounds, "rounds", 11, "rounds, of which the median counts")
	flags.Float64Var(&o.seconds, "seconds", 1, "seconds for each contestant, at each number of connections, in each round")
	flags.IntVar(&o.sessions, "sessions", 1000, "users, with one session each, in the database")
	flags.IntVar(&o.signups, "signups", 2000, "sign-ups that wait, where provisioning is measured")
	flags.IntVar(&o.starts, "starts", 9, "starts of the program by itself, of which the median counts")
	flags.StringVar(&o.only, "only", "", "part of the name of what to measure, in place of all")
	flags.BoolVar(&o.check, "check", false, "exit with 1 if a ratio is below half its target three times")
	flags.StringVar(&o.profile, "profile", "", "folder for profiles of each contestant: CPU and allocations")
	flags.Func("connections", "numbers of connections, comma-separated, in place of each contest's own", func(list string) error {
		for text := range strings.SplitSeq(list, ",") {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 {
				return fmt.Errorf("%q is no number of connections", text)
			}
			o.connections = append(o.connections, n)
		}
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	if o.rounds < 1 || o.seconds <= 0 || min(o.sessions, o.signups, o.starts) < 1 {
		return o, errors.New("-rounds, -seconds, -sessions, -signups and -starts must be positive")
	}
	return o, nil
}
