package program

import (
	"errors"
	"time"
)

// checkReconcile checks the settings of the comparison of the directories.
func (c *Config) checkReconcile(*plan) error {
	if c.ReconcileEvery != 0 && c.ReconcileEvery < time.Second {
		return errors.New("PORTICO_RECONCILE_EVERY must be 0s or at least a second")
	}
	return nil
}

// compareEvery is the time between two comparisons, or 0 for none: where users
// cannot be looked up there is nothing to compare with.
func (c *Config) compareEvery() time.Duration {
	if c.BeyondLookup != lookupV2 {
		return 0
	}
	return c.ReconcileEvery
}

// lookupV2 is the setting that says that users can be looked up.
const lookupV2 = "v2"
