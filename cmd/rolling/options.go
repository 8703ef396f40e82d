package main

import (
	"errors"
	"flag"
	"io"
	"os"
	"syscall"
	"time"
)

// options are what a run is told.
type options struct {
	replicas, restarts, clients int
	rate                        float64       // requests a second, long polls beside them
	delay                       time.Duration // PORTICO_SHUTDOWN_DELAY
	check                       time.Duration // between two looks at a replica's /readyz
	signal                      os.Signal     // what a replica is ended with
	binary                      string        // built where it is ""
	keep                        bool          // the replicas' logs
}

// commandLine reads the flags.
func commandLine(args []string, out io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("rolling", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.IntVar(&o.replicas, "replicas", 3, "replicas of Portico")
	flags.IntVar(&o.restarts, "restarts", 50, "restarts, of one replica after the other")
	flags.IntVar(&o.clients, "clients", 32, "clients, with a connection each")
	flags.Float64Var(&o.rate, "rate", 200, "requests a second, long polls beside them")
	flags.DurationVar(&o.delay, "delay", time.Second, "PORTICO_SHUTDOWN_DELAY of the replicas")
	flags.DurationVar(&o.check, "check", 100*time.Millisecond, "between two looks of the proxy at a replica")
	how := flags.String("signal", "term", "term, or kill to see requests fail")
	flags.StringVar(&o.binary, "binary", "", "a portico that is built already")
	flags.BoolVar(&o.keep, "keep", false, "keep the replicas' logs")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	switch *how {
	case "term":
		o.signal = syscall.SIGTERM
	case "kill":
		o.signal = syscall.SIGKILL
	default:
		return options{}, errors.New("-signal must be term or kill")
	}
	if o.replicas < 2 || o.restarts < 1 || o.clients < len(jobs) || o.rate <= 0 || o.check <= 0 || flags.NArg() > 0 {
		return options{}, errors.New("two replicas, a restart and four clients at least, a rate, and nothing beside the flags")
	}
	return o, nil
}
