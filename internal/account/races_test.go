package account_test

import (
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/store/storetest"
)

const (
	racers = 16
	rounds = 10
)

// atOnce calls all of them at the same time.
func atOnce(each func(i int)) {
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range racers {
		all.Go(func() {
			<-start
			each(i)
		})
	}
	close(start)
	all.Wait()
}

func TestASVS_15_4_2_OfManyAdministratorsWithOneVersionOneWins(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		for round := range rounds {
			user := w.user("anna"+strconv.Itoa(round)+"@example.com", directory.Active)
			errs := make([]error, racers)
			atOnce(func(i int) {
				name := "Anna " + strconv.Itoa(i)
				switch i % 3 {
				case 0:
					_, errs[i] = w.accounts.Update(t.Context(), user.ID, account.Change{DisplayName: &name}, user.Version)
				case 1:
					_, errs[i] = w.accounts.Suspend(t.Context(), user.ID, user.Version)
				default:
					_, errs[i] = w.accounts.Delete(t.Context(), user.ID, grace, user.Version)
				}
			})
			won := 0
			for _, err := range errs {
				if err == nil {
					won++
				} else if !errors.Is(err, account.ErrVersion) {
					t.Error(err)
				}
			}
			if lines := w.audited(user.ID); won != 1 || len(lines) != 1 {
				t.Errorf("round %d: %d won, the audit says %q", round, won, lines)
			}
		}
	})
}

func TestASVS_7_4_2_OfALoginAndAnEndNoSessionIsLeft(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]struct {
		do     func(w *world, user directory.User) error
		status directory.Status
		why    error
	}{
		"a suspension": {
			func(w *world, user directory.User) error {
				_, err := w.accounts.Suspend(w.t.Context(), user.ID, account.AnyVersion)
				return err
			},
			directory.Suspended, directory.ErrSuspended,
		},
		"a deletion": {
			func(w *world, user directory.User) error {
				_, err := w.accounts.Delete(w.t.Context(), user.ID, grace, account.AnyVersion)
				return err
			},
			directory.Deleting, directory.ErrDeleting,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, databaseURL string) {
				w := newWorld(t, databaseURL)
				for round := range rounds {
					user := w.user("anna"+strconv.Itoa(round)+"@example.com", directory.Active)
					errs := make([]error, racers)
					atOnce(func(i int) {
						if i == 0 {
							errs[i] = end.do(w, user)
							return
						}
						if errs[i] = w.logIn(user.ID); errors.Is(errs[i], end.why) {
							errs[i] = nil
						}
					})
					if err := errors.Join(errs...); err != nil {
						t.Error(err)
					}
					if now := w.get(user.ID); now.Status != end.status {
						t.Errorf("round %d: the user is %s", round, now.Status)
					}
					if n := w.count(`SELECT count(*) FROM sessions`); n != 0 {
						t.Errorf("round %d: %d sessions are left", round, n)
					}
				}
			})
		})
	}
}
