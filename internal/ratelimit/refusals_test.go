package ratelimit

import (
	"strconv"
	"sync"
	"testing"
	"time"
)

var moment = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestARefusalIsRememberedUntilItsEndAndNoLonger(t *testing.T) {
	t.Parallel()
	var r refusals
	until := moment.Add(time.Second)
	r.add(refusal{key: "a", until: until}, moment)
	r.add(refusal{key: "a", until: moment.Add(time.Millisecond)}, moment) // an answer that was overtaken
	for _, test := range []struct {
		key  string
		now  time.Time
		want bool
	}{
		{"a", moment, true},
		{"a", until.Add(-1), true},
		{"a", until, false},
		{"b", moment, false},
	} {
		if _, got := r.find(test.key, test.now); got != test.want {
			t.Errorf("%s at %s: %v", test.key, test.now, got)
		}
	}
}

func TestOfTooManyRefusalsTheSoonestToEndIsForgotten(t *testing.T) {
	t.Parallel()
	var r refusals
	for i := range maxRefusals {
		r.add(refusal{key: strconv.Itoa(i), until: moment.Add(time.Duration(i+1) * time.Second)}, moment)
	}
	// The first gets a later end, so that the second is now the soonest.
	r.add(refusal{key: "0", until: moment.Add(24 * time.Hour)}, moment)
	r.add(refusal{key: "late", until: moment.Add(time.Hour)}, moment)
	r.add(refusal{key: "soon", until: moment.Add(time.Second)}, moment)
	for key, want := range map[string]bool{"0": true, "1": false, "2": true, "late": true, "soon": false} {
		if _, got := r.find(key, moment); got != want {
			t.Errorf("%s is remembered: %v", key, got)
		}
	}
	if len(r.byKey) != maxRefusals || len(r.ends) != maxRefusals {
		t.Errorf("%d and %d are remembered", len(r.byKey), len(r.ends))
	}
	// What has ended makes room for what comes.
	r.add(refusal{key: "new", until: moment.Add(48 * time.Hour)}, moment.Add(12*time.Hour))
	if len(r.byKey) != 2 || len(r.ends) != 2 {
		t.Errorf("%d and %d are remembered after their end", len(r.byKey), len(r.ends))
	}
}

func TestASVS_15_4_1_RefusalsAreRememberedByManyAtOnce(t *testing.T) {
	t.Parallel()
	var r refusals
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 1000 {
				now := moment.Add(time.Duration(i) * time.Millisecond)
				key := strconv.Itoa(i % 100)
				r.add(refusal{key: key, until: now.Add(50 * time.Millisecond)}, now)
				r.find(key, now)
			}
		})
	}
	all.Wait()
	if len(r.byKey) != len(r.ends) || len(r.byKey) > 100 {
		t.Errorf("%d and %d are remembered", len(r.byKey), len(r.ends))
	}
	for i, known := range r.ends {
		if known.at != i || r.byKey[known.key] != known {
			t.Errorf("%+v is out of place at %d", known, i)
		}
	}
}
