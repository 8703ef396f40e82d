package session_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

// gathering is the store with a door before it: look-ups wait until it is
// open, and what they are is told.
type gathering struct {
	*store.Store

	came chan []session.Hash // gets every look-up, before it waits
	door chan struct{}       // closed to let all through
	// instead, if not nil, is what is done in the store's stead.
	instead func(ctx context.Context, hashes []session.Hash) ([]session.Found, error)
}

// FindSessions looks up when the door is open. Until then it does not mind that
// ctx ends: a query's time is the clock's, and a test may take longer than that
// to get its crowd before the door.
func (g *gathering) FindSessions(ctx context.Context, hashes []session.Hash) ([]session.Found, error) {
	g.came <- slices.Clone(hashes)
	<-g.door
	if g.instead != nil {
		return g.instead(ctx, hashes)
	}
	return g.Store.FindSessions(context.WithoutCancel(ctx), hashes)
}

// outcome is what one Recognise has returned.
type outcome struct {
	user  directory.User
	found session.Session
	err   error
}

// jam is a world in which every lane that a quick database has is at work, on
// sessions that nobody has, and does not end yet.
type jam struct {
	*world

	t       *testing.T
	store   *gathering
	opened  []session.Opened // of different users
	running sync.WaitGroup
	opening sync.Once
}

func newJam(t *testing.T, databaseURL string, users int) *jam {
	t.Helper()
	j := &jam{world: newWorld(t, databaseURL), t: t}
	for _, address := range numbered(users) {
		j.identity = j.invite(t, address)
		j.opened = append(j.opened, j.open(t, session.Browser))
	}
	j.store = &gathering{Store: j.world.store, came: make(chan []session.Hash, 2*session.MaxQueue), door: make(chan struct{})}
	j.sessions.Store = j.store
	t.Cleanup(func() {
		j.openDoor() // a test that failed has not
		j.running.Wait()
	})
	for lane := range session.Lanes {
		want := max(1, lane*session.Worthwhile)
		for range want {
			j.ask(t.Context(), session.NewToken(session.Browser))
		}
		if batch := <-j.store.came; len(batch) != want {
			t.Fatalf("lane %d begins with %d look-ups, not %d", lane+1, len(batch), want)
		}
	}
	return j
}

// openDoor lets all look-ups through.
func (j *jam) openDoor() { j.opening.Do(func() { close(j.store.door) }) }

// ask recognises a token meanwhile.
func (j *jam) ask(ctx context.Context, token session.Token) <-chan outcome {
	answered := make(chan outcome, 1)
	j.running.Go(func() {
		var o outcome
		o.user, o.found, o.err = j.sessions.Recognise(ctx, token)
		answered <- o
	})
	return answered
}

// askAll recognises all tokens meanwhile, and returns when every one waits.
func (j *jam) askAll() []<-chan outcome {
	j.t.Helper()
	before := j.sessions.Waiting()
	var answers []<-chan outcome
	for _, o := range j.opened {
		answers = append(answers, j.ask(j.t.Context(), o.Token))
	}
	j.waiting(before + len(j.opened))
	return answers
}

// waiting returns when so many wait.
func (j *jam) waiting(n int) {
	j.t.Helper()
	await.True(j.t, "the look-ups wait", func() bool { return j.sessions.Waiting() == n })
}

// own fails the test unless the answer is that session's.
func own(t *testing.T, got outcome, want session.Opened) {
	t.Helper()
	if got.err != nil || got.user.ID != want.User.ID || got.found.ID != want.Session.ID || got.found.UserID != want.User.ID {
		t.Errorf("got session %s of user %s, %v; want %s of %s",
			got.found.ID, got.user.ID, got.err, want.Session.ID, want.User.ID)
	}
}

func TestLookUpsThatWaitAreAnsweredByOneQuery(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		j := newJam(t, databaseURL, 5)
		j.opened = append(j.opened, j.opened[0], j.opened[0]) // one of them has many tabs
		answers := j.askAll()
		unknown := j.ask(t.Context(), session.NewToken(session.Browser))
		asBearer, err := session.ParseToken(session.Native, "pts_"+j.opened[1].Token.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		otherKind := j.ask(t.Context(), asBearer)
		j.waiting(len(j.opened) + 2)
		j.openDoor()
		for i, answer := range answers {
			own(t, <-answer, j.opened[i])
		}
		for name, answer := range map[string]<-chan outcome{"a token that is not known": unknown, "a token of the other kind": otherKind} {
			if got := <-answer; !errors.Is(got.err, session.ErrUnknown) || got.user != (directory.User{}) {
				t.Errorf("%s: %+v", name, got)
			}
		}
		if batch := <-j.store.came; len(batch) != len(j.opened)+2 || len(j.store.came) != 0 {
			t.Errorf("a query for %d sessions, and %d more queries", len(batch), len(j.store.came))
		}
	})
}

func TestAQueryThatTakesTooLongIsOvertaken(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		j := newJam(t, databaseURL, 3)
		var answers []<-chan outcome
		for range session.MaxLanes - session.Lanes {
			answers = append(answers, j.askAll()...)
			j.clock.advance(session.Slow)
			answers = append(answers, j.ask(t.Context(), j.opened[0].Token)) // it is not too long yet
			j.waiting(4)
			j.clock.advance(1)
			answers = append(answers, j.ask(t.Context(), j.opened[1].Token))
			if batch := <-j.store.came; len(batch) != 5 {
				t.Fatalf("a query for %d sessions", len(batch))
			}
			j.waiting(0)
		}
		j.clock.advance(time.Hour / 4)
		answers = append(answers, j.askAll()...) // there is no more lane
		j.openDoor()
		for i, answer := range answers {
			own(t, <-answer, j.opened[[]int{0, 1, 2, 0, 1}[i%5]])
		}
		if batch := <-j.store.came; len(batch) != 3 || len(j.store.came) != 0 {
			t.Errorf("a query for %d sessions, and %d more queries", len(batch), len(j.store.came))
		}
	})
}

func TestABatchHasABound(t *testing.T) {
	t.Parallel()
	j := newJam(t, storetest.SQLite(t), 1)
	j.opened = slices.Repeat(j.opened, 2*session.MaxBatch+1)
	answers := j.askAll()
	j.openDoor()
	for _, answer := range answers {
		own(t, <-answer, j.opened[0])
	}
	var batches []int
	for len(j.store.came) > 0 {
		batches = append(batches, len(<-j.store.came))
	}
	slices.Sort(batches)
	if want := []int{1, session.MaxBatch, session.MaxBatch}; !slices.Equal(batches, want) {
		t.Errorf("queries for %d sessions, not %d", batches, want)
	}
}

func TestWhoeverWaitsGivesUpAloneAndAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		j := newJam(t, databaseURL, 3)
		answers := j.askAll()
		leaving, leave := context.WithCancel(t.Context())
		canceled := j.ask(leaving, j.opened[0].Token)
		j.waiting(4)
		leave()
		if got := <-canceled; !errors.Is(got.err, context.Canceled) || errors.Is(got.err, directory.ErrUnavailable) {
			t.Errorf("canceled while it waited: %v", got.err)
		}
		j.waiting(3) // its place is free again
		late, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if got := <-j.ask(late, j.opened[0].Token); !errors.Is(got.err, directory.ErrUnavailable) {
			t.Errorf("out of time while it waited: %v", got.err)
		}
		j.waiting(3)
		j.openDoor()
		for i, answer := range answers {
			own(t, <-answer, j.opened[i])
		}
	})
}

func TestWhoeverLeavesABatchUnderWayHurtsNobodyInIt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		j := newJam(t, databaseURL, 3)
		second := make(chan struct{})
		j.store.instead = func(ctx context.Context, hashes []session.Hash) ([]session.Found, error) {
			if len(hashes) > 1 {
				<-second
			}
			if _, ok := ctx.Deadline(); !ok {
				t.Error("the query may take for ever")
			}
			return j.world.store.FindSessions(context.WithoutCancel(ctx), hashes)
		}
		leaving, leave := context.WithCancel(t.Context())
		first := j.ask(leaving, j.opened[0].Token) // the batch begins with it
		j.waiting(1)
		answers := j.askAll()
		j.openDoor()
		if batch := <-j.store.came; len(batch) != 4 {
			t.Fatalf("a query for %d sessions", len(batch))
		}
		leave()
		if got := <-first; !errors.Is(got.err, context.Canceled) {
			t.Errorf("canceled: %v", got.err)
		}
		close(second)
		for i, answer := range answers {
			own(t, <-answer, j.opened[i])
		}
		if len(j.store.came) != 0 {
			t.Errorf("it took %d more queries", len(j.store.came))
		}
	})
}

func TestAQueueThatIsFullTurnsLookUpsAway(t *testing.T) {
	t.Parallel()
	j := newJam(t, storetest.SQLite(t), 1)
	leaving, leave := context.WithCancel(t.Context())
	var waiting []<-chan outcome
	for range session.MaxQueue {
		waiting = append(waiting, j.ask(leaving, j.opened[0].Token))
	}
	j.waiting(session.MaxQueue)
	if _, _, err := j.sessions.Recognise(t.Context(), j.opened[0].Token); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("one too many: %v", err)
	}
	leave()
	for _, answer := range waiting {
		if got := <-answer; !errors.Is(got.err, context.Canceled) {
			t.Fatal(got.err)
		}
	}
	answers := j.askAll()
	j.openDoor()
	own(t, <-answers[0], j.opened[0])
}

func TestABatchThatFailsIsAskedAgainOneByOneByEachRequestItself(t *testing.T) {
	t.Parallel()
	broken := errors.New("this one breaks every query that asks for it")
	for name, fail := range map[string]func() error{
		"with an error":      func() error { return broken },
		"with a panic":       func() error { panic("a fault of ours") },
		"by taking too long": func() error { return context.DeadlineExceeded },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, databaseURL string) {
				j := newJam(t, databaseURL, 4)
				type key struct{} // of a request's context
				poison := j.opened[0].Token.Hash()
				j.store.instead = func(ctx context.Context, hashes []session.Hash) ([]session.Found, error) {
					switch request, ok := ctx.Value(key{}).(session.Hash); {
					case len(hashes) > 1:
						return nil, fail()
					case ok && hashes[0] != request:
						t.Error("a request has asked for another's session")
					case hashes[0] == poison:
						return nil, broken
					}
					return j.world.store.FindSessions(ctx, hashes)
				}
				var answers []<-chan outcome
				for _, o := range j.opened {
					answers = append(answers, j.ask(context.WithValue(t.Context(), key{}, o.Token.Hash()), o.Token))
				}
				j.waiting(len(j.opened))
				j.openDoor()
				if got := <-answers[0]; !errors.Is(got.err, broken) {
					t.Errorf("the one that breaks queries: %v", got.err)
				}
				for i, answer := range answers[1:] {
					own(t, <-answer, j.opened[i+1])
				}
				asked := 0
				for len(j.store.came) > 0 {
					if slices.Contains(<-j.store.came, j.opened[1].Token.Hash()) {
						asked++
					}
				}
				if asked != 2 { // with the others, and alone
					t.Errorf("one of them was asked for %d times", asked)
				}
			})
		})
	}
}

func TestAnAnswerBelongsToItsHashWhateverElseComesWithIt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		j := newJam(t, databaseURL, 4)
		gone, stranger := j.opened[0], j.opened[3]
		j.opened = j.opened[:3]
		if err := j.sessions.End(t.Context(), gone.Token); err != nil {
			t.Fatal(err)
		}
		j.store.instead = func(ctx context.Context, hashes []session.Hash) ([]session.Found, error) {
			// In another order, and with one more that nobody has asked for.
			found, err := j.world.store.FindSessions(ctx, append(hashes, stranger.Token.Hash()))
			slices.Reverse(found)
			return found, err
		}
		answers := j.askAll()
		j.openDoor()
		if got := <-answers[0]; !errors.Is(got.err, session.ErrUnknown) {
			t.Errorf("whoever is gone gets %+v", got)
		}
		own(t, <-answers[1], j.opened[1])
		own(t, <-answers[2], j.opened[2])
	})
}

// SQLite works inside the goroutine that asks, so its time may be a bubble's.
func TestAQueryThatHangsIsGivenUpAndAskedAgain(t *testing.T) {
	t.Parallel()
	databaseURL := storetest.SQLite(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, databaseURL)
		opened := w.open(t, session.Browser)
		hanging := &gathering{Store: w.store, came: make(chan []session.Hash, 2), door: make(chan struct{})}
		close(hanging.door)
		hanging.instead = func(ctx context.Context, hashes []session.Hash) ([]session.Found, error) {
			if len(hanging.came) == 1 {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return w.store.FindSessions(ctx, hashes)
		}
		w.sessions.Store = hanging
		begun := time.Now()
		user, found, err := w.sessions.Recognise(t.Context(), opened.Token)
		own(t, outcome{user, found, err}, opened)
		if took := time.Since(begun); took != 2*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}
