package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, openBrowser)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "native: "+err.Error())
		os.Exit(1)
	}
}

// run is the program. open shows an address to the user's browser.
func run(ctx context.Context, args []string, out io.Writer, open func(ctx context.Context, address string) error) error {
	flags := flag.NewFlagSet("native", flag.ContinueOnError)
	flags.SetOutput(out)
	api := flags.String("api", "http://localhost:8080", "where Portico is")
	file := flags.String("session", defaultFile(), "file that keeps the session; with .passkey behind it, the one that keeps the SDK's passkey")
	flags.Usage = func() {
		_, _ = fmt.Fprintln(out, "native [flags] login | bind LINK | login-sdk | me | logout")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	a := app{api: strings.TrimRight(*api, "/"), file: *file, out: out, open: open, sdk: sdk{file: *file + ".passkey"}}
	switch flags.Arg(0) {
	case "login":
		return a.logIn(ctx)
	case "bind":
		return a.bind(ctx, flags.Arg(1))
	case "login-sdk":
		return a.logInWithSDK(ctx)
	case "me":
		return a.me(ctx)
	case "logout":
		return a.logOut(ctx)
	default:
		flags.Usage()
		return errors.New("say what to do: login, bind, login-sdk, me or logout")
	}
}

func defaultFile() string {
	folder, err := os.UserConfigDir()
	if err != nil {
		folder = "."
	}
	return filepath.Join(folder, "portico-native-example", "session")
}

// openBrowser opens the user's own browser: an embedded one could read what is
// typed into it, and has none of the user's passkeys (RFC 8252 §8.12).
func openBrowser(ctx context.Context, address string) error {
	command := map[string][]string{
		"darwin": {"open"}, "windows": {"rundll32", "url.dll,FileProtocolHandler"},
	}[runtime.GOOS]
	if command == nil {
		command = []string{"xdg-open"}
	}
	return exec.CommandContext(ctx, command[0], append(command[1:], address)...).Start() //nolint:gosec // the address is our own
}
