package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

// Exit codes.
const (
	exitProven  = 0
	exitMissing = 1 // something is missing, failed or contradicts
	exitNothing = 2 // there was nothing to judge
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run judges the results on stdin, or in the file that args name, and returns
// the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("checklists", flag.ContinueOnError)
	flags.SetOutput(stderr)
	folder := flags.String("lists", "checklists", "folder with the lists")
	file := flags.String("json", "", "file with what `go test -json` printed (else standard input)")
	quiet := flags.Bool("quiet", false, "print what go test itself says, and no lists")
	markdown := flags.Bool("markdown", false, "write tables in Markdown")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitProven
	case err != nil:
		return exitNothing
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "checklists: %s: nothing is expected here\n", flags.Arg(0))
		return exitNothing
	}

	lists, err := readLists(*folder)
	if err != nil {
		fmt.Fprintln(stderr, "checklists:", err)
		return exitNothing
	}
	input, progress := stdin, stderr
	if *file != "" {
		opened, err := os.Open(*file)
		if err != nil {
			fmt.Fprintln(stderr, "checklists:", err)
			return exitNothing
		}
		defer opened.Close()
		input, progress = opened, io.Discard
	}
	results, err := readResults(input, progress)
	if err != nil {
		fmt.Fprintln(stderr, "checklists:", err)
		return exitNothing
	}

	results.failures(stderr)
	if *quiet {
		if results.failed() {
			return exitMissing
		}
		return exitProven
	}
	verdict := judge(lists, results)
	if *markdown {
		verdict.markdown(stdout)
	} else {
		verdict.plain(stdout)
	}
	for _, problem := range verdict.problems {
		fmt.Fprintln(stderr, "checklists:", problem)
	}
	if !verdict.holds() || results.failed() {
		return exitMissing
	}
	return exitProven
}
