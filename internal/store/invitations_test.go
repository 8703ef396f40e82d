package store_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/invitation"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

// invited stores an invitation that was created at moment.
func invited(t *testing.T, s *store.Store, terms invitation.Terms) invitation.Created {
	t.Helper()
	service := invitation.Service{Store: s, Now: func() time.Time { return moment }}
	created, err := service.Create(t.Context(), terms)
	if err != nil {
		t.Fatal(err)
	}
	return created
}

// listed returns the one invitation that there is.
func listed(t *testing.T, s *store.Store) invitation.Invitation {
	t.Helper()
	found, err := s.ListInvitations(t.Context(), "", 2)
	if err != nil || len(found) != 1 {
		t.Fatalf("got %v, %v", found, err)
	}
	return found[0]
}

func TestACodeLetsInWhomItShould(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		terms   invitation.Terms
		address string
		later   time.Duration
		revoked bool
		other   bool // another code than the one that was given out
		want    error
	}{
		"anyone": {
			terms: invitation.Terms{Uses: 1, Life: time.Hour}, address: "anna@example.com",
		},
		"the address that it is bound to": {
			terms: invitation.Terms{Uses: 1, Life: time.Hour, Email: "Anna@EXAMPLE.com"}, address: "anna@example.com",
		},
		"not another address": {
			terms: invitation.Terms{Uses: 1, Life: time.Hour, Email: "anna@example.com"}, address: "berta@example.com",
			want: invitation.ErrInvalid,
		},
		"not no address where it is bound to one": {
			terms: invitation.Terms{Uses: 1, Life: time.Hour, Email: "anna@example.com"}, address: "",
			want: invitation.ErrInvalid,
		},
		"up to its last moment": {
			terms: invitation.Terms{Uses: 1, Life: time.Hour}, address: "anna@example.com", later: time.Hour - time.Microsecond,
		},
		"not at its end": {
			terms: invitation.Terms{Uses: 1, Life: time.Hour}, address: "anna@example.com", later: time.Hour,
			want: invitation.ErrInvalid,
		},
		"not once it is revoked": {
			terms: invitation.Terms{Uses: 1, Life: time.Hour}, address: "anna@example.com", revoked: true,
			want: invitation.ErrInvalid,
		},
		"not whoever guesses": {
			terms: invitation.Terms{Uses: 1, Life: time.Hour}, address: "anna@example.com", other: true,
			want: invitation.ErrInvalid,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, databaseURL string) {
				_, s := newStore(t, databaseURL)
				created := invited(t, s, c.terms)
				hash := created.Code.Hash()
				if c.other {
					hash[0] ^= 1
				}
				if c.revoked {
					if err := s.RevokeInvitation(t.Context(), created.Invitation.ID, moment); err != nil {
						t.Fatal(err)
					}
				}
				id, err := store.RedeemInvitation(t.Context(), s, hash, c.address, moment.Add(c.later), nil)
				left := 1
				if c.want == nil {
					left = 0
					if id != created.Invitation.ID {
						t.Errorf("got the invitation %q, not %q", id, created.Invitation.ID)
					}
				}
				if !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
				if got := listed(t, s).UsesLeft; got != left {
					t.Errorf("%d uses are left, not %d", got, left)
				}
			})
		})
	}
}

func TestASVS_15_4_2_ACodeLetsInAsManyAsItHasUsesHoweverTheyArrive(t *testing.T) {
	t.Parallel()
	const uses, comers = 10, 50
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		created := invited(t, s, invitation.Terms{Uses: uses, Life: time.Hour})
		var succeeded, refused atomic.Int32
		start := make(chan struct{})
		var all sync.WaitGroup
		for range comers {
			all.Go(func() {
				<-start
				id, err := store.RedeemInvitation(t.Context(), s, created.Code.Hash(), "anna@example.com", moment, nil)
				switch {
				case err == nil && id == created.Invitation.ID:
					succeeded.Add(1)
				case errors.Is(err, invitation.ErrInvalid):
					refused.Add(1)
				default:
					t.Errorf("got %q, %v", id, err)
				}
			})
		}
		close(start)
		all.Wait()
		if succeeded.Load() != uses || refused.Load() != comers-uses {
			t.Errorf("%d were let in and %d refused, of %d uses", succeeded.Load(), refused.Load(), uses)
		}
		if left := listed(t, s).UsesLeft; left != 0 {
			t.Errorf("%d uses are left", left)
		}
	})
}

func TestASignUpThatFailsTakesNoUse(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		created := invited(t, s, invitation.Terms{Uses: 1, Life: time.Hour})
		for range 3 {
			if _, err := store.RedeemInvitation(t.Context(), s, created.Code.Hash(), "anna@example.com", moment, boom); !errors.Is(err, boom) {
				t.Fatal(err)
			}
		}
		if _, err := store.RedeemInvitation(t.Context(), s, created.Code.Hash(), "anna@example.com", moment, nil); err != nil {
			t.Errorf("the use is gone: %v", err)
		}
	})
}

func TestASVS_11_4_1_OfACodeOnlyTheHashIsStored(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		created := invited(t, s, invitation.Terms{Uses: 1, Life: time.Hour})
		hash := created.Code.Hash()
		if n := count(t, db, `SELECT count(*) FROM invitations WHERE code_hash = $1 AND note = '' AND email_canonical IS NULL`, hash[:]); n != 1 {
			t.Errorf("%d rows have its hash and nothing else", n)
		}
	})
}

func TestACodeIsGivenOutOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		created := invited(t, s, invitation.Terms{Uses: 1, Life: time.Hour})
		again := created.Invitation
		again.ID = invitation.ID(directory.NewUserID())
		if err := s.CreateInvitation(t.Context(), again); err == nil {
			t.Error("two invitations have one code")
		}
	})
}
