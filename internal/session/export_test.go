package session

// What the tests of gathered look-ups count up to.
const (
	Lanes      = lanes
	Worthwhile = worthwhile
	MaxLanes   = maxLanes
	Slow       = slow
	MaxBatch   = maxBatch
	MaxQueue   = maxQueue
)

// Waiting is how many look-ups wait for a lane.
func (s *Service) Waiting() int {
	s.gather.mu.Lock()
	defer s.gather.mu.Unlock()
	return len(s.gather.queue)
}
