package program

import (
	"errors"
	"time"
)

// longestShutdownDelay bounds how long a stop may be put off: with the requests
// and the jobs that are then let end, it stays within what supervisors wait.
const longestShutdownDelay = 5 * time.Minute

// checkShutdown checks how serve stops.
func (c *Config) checkShutdown(*plan) error {
	if c.ShutdownDelay < 0 || c.ShutdownDelay > longestShutdownDelay {
		return errors.New("PORTICO_SHUTDOWN_DELAY must be between 0s and 5m")
	}
	return nil
}
