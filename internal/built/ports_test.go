package built_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/portico-id/portico/internal/built"
)

func TestPortsAreFreeAndNobodyElses(t *testing.T) {
	t.Parallel()
	seen := make(map[int]bool)
	for range 50 {
		for _, port := range built.Ports(t, 4) {
			if seen[port] || port > 32767 { // from where the system gives ports away
				t.Errorf("%d is given", port)
			}
			seen[port] = true
			listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				t.Error(err)
				continue
			}
			t.Cleanup(func() { _ = listener.Close() })
		}
	}
	if len(seen) != 200 {
		t.Errorf("%d ports", len(seen))
	}
}
