package await

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"time"
)

// Patience is how long a test waits for what must happen. It is long, because
// machines are busy; nothing waits for it to pass.
const Patience = 2 * time.Minute

// again is the pause between two tries.
const again = 5 * time.Millisecond

// Until tries until try returns nil, and fails the test with its last error
// when that takes longer than Patience.
func Until(t testing.TB, what string, try func() error) {
	t.Helper()
	deadline := time.After(Patience)
	ticker := time.NewTicker(again)
	defer ticker.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: not in %s: %v", what, Patience, err)
		case <-ticker.C:
		}
	}
}

// True waits until holds does.
func True(t testing.TB, what string, holds func() bool) {
	t.Helper()
	Until(t, what, func() error {
		if !holds() {
			return errNotYet
		}
		return nil
	})
}

var errNotYet = errors.New("not yet")

// Log is a log that may be written to and read by several goroutines at once.
// Its zero value is empty.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write appends to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String is the log so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
