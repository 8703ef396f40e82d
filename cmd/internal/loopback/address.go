package loopback

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
)

// ports counts through a part of 10000–29999 that depends on the process: below
// the range that the system gives out for outgoing connections, so that a port
// stays free while its process is being restarted.
//
//nolint:gochecknoglobals // several runs in one process must not meet
var ports atomic.Int64

// FreeAddress returns a loopback address that nobody listens on.
func FreeAddress(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	for range 200 {
		address := fmt.Sprintf("127.0.0.1:%d", 10000+(int64(os.Getpid())*131+ports.Add(1))%20000)
		if l, err := lc.Listen(ctx, "tcp", address); err == nil {
			return address, l.Close()
		}
	}
	return "", errors.New("no free port")
}
