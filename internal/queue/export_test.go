package queue

import (
	"context"
	"time"
)

// What the tests, which cannot be inside the package, need of it: the package
// that gives them databases imports this one.

// ForgottenAfter is forgottenAfter.
const ForgottenAfter = forgottenAfter

// NewForgotten is newForgotten.
var NewForgotten = newForgotten

// Look is look.
func (f *forgotten) Look(ctx context.Context, now time.Time) error { return f.look(ctx, now) }

// Reindexing is reindexing.
var Reindexing = reindexing
