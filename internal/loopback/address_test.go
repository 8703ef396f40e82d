package loopback_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/portico-id/portico/internal/loopback"
)

// TestPortsAreFreeAndNobodyElses takes fewer ports than lie between those of one
// process and of the next: somebody beside it may have been given theirs, and
// not listen yet.
func TestPortsAreFreeAndNobodyElses(t *testing.T) {
	t.Parallel()
	listen := func(port int) error {
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			t.Cleanup(func() { _ = listener.Close() })
		}
		return err
	}
	seen := make(map[int]bool)
	last := 0
	for range 20 {
		port, err := loopback.FreePort(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if seen[port] || port < 1024 || port > 32767 { // from where the system gives ports away by itself
			t.Errorf("%d is given", port)
		}
		if err := listen(port); err != nil {
			t.Error(err)
		}
		seen[port], last = true, port
	}
	taken := make(map[int]bool)
	for port := last + 1; port <= last+20; port++ {
		taken[port] = listen(port) == nil
	}
	for range 3 {
		if port, err := loopback.FreePort(t.Context()); err != nil || taken[port] {
			t.Errorf("%d is given, %v", port, err)
		}
	}
}

func TestAnAddressIsOfTheLoopback(t *testing.T) {
	t.Parallel()
	address, err := loopback.FreeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if host, _, err := net.SplitHostPort(address); err != nil || host != "127.0.0.1" {
		t.Errorf("it is %s", address)
	}
}
