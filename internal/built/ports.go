package built

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// The ports that programs are given are below those that the system gives to
// whoever asks for any (32768 and up on Linux, 49152 and up elsewhere): there a
// port that is free now may be another test's by the time that the program
// listens on it.
const lowestPort, highestPort = 20000, 32767

// given has the ports that this process has given away.
var given sync.Map //nolint:gochecknoglobals // of the test's process

// Ports returns ports of the loopback that nobody listens on, for programs that
// have to be told theirs. None is returned twice.
func Ports(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, 0, n)
	for range 100 * n {
		if len(ports) == n {
			break
		}
		port := lowestPort + rand.IntN(highestPort-lowestPort+1) //nolint:gosec,forbidigo // it need only differ from others
		if !free(port) {
			continue
		}
		if _, taken := given.LoadOrStore(port, true); !taken {
			ports = append(ports, port)
		}
	}
	if len(ports) < n {
		t.Fatalf("of the ports from %d to %d, too few are free", lowestPort, highestPort)
	}
	return ports
}

// free reports whether nobody listens on the port, as far as a program on the
// loopback would notice.
func free(port int) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) //nolint:noctx // it is at once
	if err != nil {
		return false
	}
	_ = listener.Close()
	return true
}
