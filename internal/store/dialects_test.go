package store_test

import (
	"testing"

	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestAViolationIsKnownByItsConstraintsName(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		store.CheckViolations(t, storetest.Open(t, databaseURL))
	})
}

func TestWhatEveryRequestAsksIsOneQueryOverAnIndex(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		store.CheckPlans(t, storetest.Open(t, databaseURL))
	})
}
