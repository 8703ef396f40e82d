package webhook

import (
	"sync"
	"time"
)

// Bounds on how soon a delivery is asked again for which there was no room.
const (
	shortestTurn = 50 * time.Millisecond
	longestTurn  = 30 * time.Second
)

// slow is an attempt that keeps a worker for so long that its endpoint gets no
// more than one at a time.
const slow = 2 * time.Second

// lanes bound what is under way to each endpoint, so that one which answers
// slowly leaves workers to the others.
type lanes struct {
	mu sync.Mutex
	of map[EndpointID]*lane
}

type lane struct {
	inFlight int
	took     time.Duration // by the last attempt
	turn     time.Time     // that was given out last
}

// enter returns a function that ends the attempt, or when to ask again if
// there is no room. Those who are turned away come back one after the other,
// as fast as the endpoint has been.
func (l *lanes) enter(id EndpointID, limit int, now time.Time) (leave func(took time.Duration), wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.of = make(map[EndpointID]*lane)
	}
	in := l.of[id]
	if in == nil {
		in = new(lane)
		l.of[id] = in
	}
	if in.took >= slow {
		limit = 1
	}
	if in.inFlight >= limit {
		if in.turn.Before(now) {
			in.turn = now
		}
		in.turn = in.turn.Add(max(in.took/time.Duration(limit), shortestTurn))
		if latest := now.Add(longestTurn); in.turn.After(latest) {
			in.turn = latest
		}
		return nil, in.turn.Sub(now)
	}
	in.inFlight++
	return func(took time.Duration) { l.leave(id, in, took) }, 0
}

func (l *lanes) leave(id EndpointID, in *lane, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in.inFlight--
	in.took = took
	if in.inFlight == 0 && took < slow {
		delete(l.of, id) // nothing of it has to be known
	}
}
