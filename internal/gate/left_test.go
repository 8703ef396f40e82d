package gate_test

import (
	"testing"
	"time"

	"github.com/portico-id/portico/internal/gate"
)

func TestWhatIsLeftIsWhatCouldPassAtOnce(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name      string
		perMinute int
		emptyIn   time.Duration
		left      int
	}{
		{"without a budget nothing is counted", 0, 0, 0},
		{"an idle budget has its whole burst", 100, -time.Hour, 10},
		{"a call takes one", 100, 600 * time.Millisecond, 9},
		{"a budget that is used up has none", 100, time.Hour, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := &gate.Gate{PerMinute: test.perMinute, Now: func() time.Time { return now }}
			left, of := g.Left(gate.State{EmptyAt: now.Add(test.emptyIn)})
			if left != test.left || of != test.perMinute {
				t.Errorf("%d of %d are left, not %d", left, of, test.left)
			}
		})
	}
}
