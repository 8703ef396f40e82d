package loopback_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/portico-id/portico/internal/loopback"
)

func TestAddressesAreFreeAndNobodyElses(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for range 200 {
		address, err := loopback.FreeAddress(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(address)
		// From 32768 on the system gives ports away by itself.
		if n, err := strconv.Atoi(port); err != nil || n < 1024 || n > 32767 || seen[address] {
			t.Errorf("%s is given", address)
		}
		seen[address] = true
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Error(err)
			continue
		}
		t.Cleanup(func() { _ = listener.Close() })
	}
}

func TestAPortThatIsTakenIsPassedOver(t *testing.T) {
	t.Parallel()
	last, err := loopback.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	taken := make(map[int]bool)
	for next := last + 1; next <= last+20; next++ {
		if listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(next))); err == nil {
			taken[next] = true
			t.Cleanup(func() { _ = listener.Close() })
		}
	}
	for range 3 {
		port, err := loopback.FreePort(t.Context())
		if err != nil || taken[port] {
			t.Errorf("%d is given, %v", port, err)
		}
	}
}
