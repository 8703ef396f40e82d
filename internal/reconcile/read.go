package reconcile

import (
	"context"
	"errors"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity"
)

// leastPage is the smallest page that is taken for the most that the provider
// gives.
const leastPage = 10

var errRefused = errors.New("the provider refuses to list its users")

// read copies one page of the provider's users, the newest first.
func (w *worker) read(ctx context.Context) (time.Duration, error) {
	next := w.run
	if next.Unread < 0 {
		listed, wait, err := w.list(ctx, beyondidentity.Page{Size: 1})
		if err != nil || wait > 0 {
			return wait, err
		}
		next.Total, next.Unread = listed.Total, listed.Total
		if err := w.Store.StageUsers(ctx, next, nil); err != nil {
			return 0, err
		}
		w.run = next
		return 0, nil
	}
	if next.Unread == 0 {
		return 0, w.enter(ctx, Comparing)
	}
	page := beyondidentity.Page{Skip: max(0, next.Unread-w.pageSize())}
	page.Size = next.Unread - page.Skip
	listed, wait, err := w.list(ctx, page)
	if err != nil || wait > 0 {
		return wait, err
	}
	n := len(listed.Users)
	switch {
	case n == page.Size, page.Skip+n >= listed.Total:
		next.Unread = page.Skip
	case n < leastPage:
		return w.pause(), nil // it contradicts itself, or has a bad moment
	default:
		// Its pages are smaller than that. The users that it has shown begin
		// the page; those behind them are not read yet.
		w.size = n
		return 0, nil
	}
	if err := w.Store.StageUsers(ctx, next, listed.Users); err != nil {
		return 0, err
	}
	w.run = next
	return 0, nil
}

func (w *worker) list(ctx context.Context, page beyondidentity.Page) (listed beyondidentity.Listed, wait time.Duration, err error) {
	wait, answer, err := w.ask(ctx, func() (err error) {
		listed, err = w.Provider.ListUsers(ctx, page)
		return err
	})
	if err == nil && answer != nil {
		err = errors.Join(errRefused, answer)
	}
	return listed, wait, err
}

// pageSize is how many users are asked for at once.
func (w *worker) pageSize() int {
	if w.size > 0 {
		return w.size
	}
	return w.Service.pageSize()
}

// compare finds the suspects.
func (w *worker) compare(ctx context.Context) error {
	importing, err := w.Jobs.Importing(ctx)
	if err != nil {
		return err
	}
	next := w.run
	next.State = Confirming
	if err := w.Store.CompareDirectories(ctx, next, Bounds{StuckBefore: w.now().Add(-w.StuckAfter), Importing: importing}); err != nil {
		return err
	}
	w.run = next
	return nil
}
