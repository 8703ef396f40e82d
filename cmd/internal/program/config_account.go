package program

import (
	"errors"
	"time"
)

// longestGrace is as long as nobody remembers what they have closed.
const longestGrace = 90 * 24 * time.Hour

// checkAccounts checks the settings of what becomes of users.
func (c *Config) checkAccounts(*plan) error {
	if c.DeleteGrace < 0 || c.DeleteGrace > longestGrace {
		return errors.New("PORTICO_DELETE_GRACE must be between 0s and 2160h, which is 90 days")
	}
	return nil
}
