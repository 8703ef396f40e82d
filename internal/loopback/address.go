package loopback

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"sync/atomic"
)

// ports counts through a part of 10000–29999 that depends on the process: below
// the range that the system gives out to whoever asks for any port and for
// outgoing connections, so that a port stays free until the process that is to
// have it listens, and while it is being restarted.
//
//nolint:gochecknoglobals // several runs in one process must not meet
var ports atomic.Int64

// FreePort returns a loopback port that nobody listens on.
func FreePort(ctx context.Context) (int, error) {
	var lc net.ListenConfig
	for range 200 {
		port := 10000 + (os.Getpid()*131+int(ports.Add(1)))%20000
		if l, err := lc.Listen(ctx, "tcp", address(port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port")
}

// FreeAddress returns a loopback address that nobody listens on.
func FreeAddress(ctx context.Context) (string, error) {
	port, err := FreePort(ctx)
	if err != nil {
		return "", err
	}
	return address(port), nil
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
