package webhook

import (
	"testing"
	"time"
)

func TestAnEndpointHasNoMoreUnderWayThanItMay(t *testing.T) {
	t.Parallel()
	var l lanes
	now := time.Unix(0, 0)
	var leave func(time.Duration)
	for range 4 {
		if leave, _ = l.enter("a", 4, now); leave == nil {
			t.Fatal("there is no room")
		}
	}
	if full, wait := l.enter("a", 4, now); full != nil || wait != shortestTurn {
		t.Errorf("the fifth may go, or waits for %v", wait)
	}
	if other, _ := l.enter("b", 4, now); other == nil {
		t.Error("another endpoint waits for it")
	}
	leave(time.Second)
	if again, _ := l.enter("a", 4, now); again == nil {
		t.Error("nobody may go although one is done")
	}
}

func TestThoseWhoAreTurnedAwayComeBackOneAfterTheOther(t *testing.T) {
	t.Parallel()
	var l lanes
	now := time.Unix(0, 0)
	leave, _ := l.enter("a", 4, now)
	for range 4 {
		if done, _ := l.enter("a", 4, now); done == nil {
			break
		}
	}
	leave(time.Second)
	if again, _ := l.enter("a", 4, now); again == nil {
		t.Fatal("there is no room")
	}
	var waits []time.Duration
	for range 200 {
		_, wait := l.enter("a", 4, now)
		waits = append(waits, wait)
	}
	if apart := waits[1] - waits[0]; apart != 250*time.Millisecond {
		t.Errorf("they come back %v apart", apart)
	}
	if last := waits[len(waits)-1]; last != longestTurn {
		t.Errorf("the last one waits for %v", last)
	}
}

func TestASlowEndpointGetsOneAtATime(t *testing.T) {
	t.Parallel()
	var l lanes
	now := time.Unix(0, 0)
	leave, _ := l.enter("a", 4, now)
	leave(slow)
	leave, _ = l.enter("a", 4, now)
	if second, _ := l.enter("a", 4, now); leave == nil || second != nil {
		t.Fatal("it has two, or none")
	}
	leave(time.Millisecond)
	for range 4 {
		if done, _ := l.enter("a", 4, now); done == nil {
			t.Fatal("it is quick again, and is still held back")
		}
	}
}
