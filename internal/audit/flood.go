package audit

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// How many refusals are kept in a window, of one source and of all.
const (
	window     = time.Minute
	perSource  = 20
	fromAll    = 600
	ipv6Prefix = 64 // what one client has of IPv6
)

// flood counts what is refused. Its zero value has counted nothing. It is safe
// for concurrent use.
type flood struct {
	mu      sync.Mutex
	ends    time.Time // of the window
	kept    int
	sources map[string]*source // as many as events were kept, and the one for the rest
}

// source is what one client's address has to do with a window.
type source struct {
	kept    int
	counted map[string]int // by action
}

// theRest is whoever comes when enough of all has been kept.
const theRest = ""

// admit reports whether the event is to be kept, and returns the events that
// stand for those of the window before which were not.
func (f *flood) admit(event Event, now time.Time) (kept bool, before []Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before = f.roll(now)
	name := sourceOf(event.Origin.Address)
	from := f.sources[name]
	if f.kept >= fromAll && from == nil {
		name = theRest
		from = f.sources[name]
	}
	if from == nil {
		from = &source{counted: make(map[string]int)}
		f.sources[name] = from
	}
	if from.kept >= perSource || f.kept >= fromAll {
		from.counted[event.Action]++
		return false, before
	}
	from.kept++
	f.kept++
	return true, before
}

// end returns the events that stand for what was not kept, if the window is
// over.
func (f *flood) end(now time.Time) []Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.roll(now)
}

func (f *flood) roll(now time.Time) []Event {
	if now.Before(f.ends) {
		return nil
	}
	var counted []Event
	for name, from := range f.sources {
		n := 0
		for _, of := range from.counted {
			n += of
		}
		if n > 0 {
			counted = append(counted, Event{
				At:      f.ends,
				Origin:  Origin{Actor: Anyone, Address: name},
				Action:  Suppressed,
				Outcome: Refused,
				After:   Values{"count": n, "actions": from.counted},
			})
		}
	}
	slices.SortFunc(counted, func(a, b Event) int { return strings.Compare(a.Origin.Address, b.Origin.Address) })
	f.ends, f.kept, f.sources = now.Truncate(window).Add(window), 0, make(map[string]*source)
	return counted
}

// sourceOf is whose the address is: of IPv6 a client has a network.
func sourceOf(address string) string {
	parsed, err := netip.ParseAddr(address)
	if err != nil {
		return theRest
	}
	parsed = parsed.Unmap().WithZone("")
	if parsed.Is4() {
		return parsed.String()
	}
	network, err := parsed.Prefix(ipv6Prefix)
	if err != nil {
		return theRest
	}
	return network.String()
}
