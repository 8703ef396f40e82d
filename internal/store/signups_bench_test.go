package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
)

// BenchmarkAcceptSignup holds the acceptance of a sign-up against the same
// writes by hand, in turns, so that a busy machine is as busy for both: in a
// transaction of four steps, and in one statement, which is the best there is.
//
//	go test ./internal/store -run '^$' -bench AcceptSignup -benchtime 1x
func BenchmarkAcceptSignup(b *testing.B) {
	db := benchmarked(b)
	q, err := queue.New(queue.Config{DB: db.SQL(), Pool: db.Pool(), Workers: 1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	s := store.New(db, q)
	ways := []struct {
		name   string
		accept func(ctx context.Context, a signup.Acceptance) error
	}{
		{"portico", s.AcceptSignup},
		{"statement", func(ctx context.Context, a signup.Acceptance) error { return inOneStatement(ctx, db.Pool(), a) }},
		{"transaction", func(ctx context.Context, a signup.Acceptance) error { return inATransaction(ctx, db.Pool(), a) }},
	}
	const rounds, callers, turn = 8, 16, 400 * time.Millisecond
	rates := make(map[string][]float64)
	for b.Loop() {
		for round := range rounds {
			for i := range ways {
				way := ways[(i+round)%len(ways)]
				rates[way.name] = append(rates[way.name], perSecond(b, callers, turn, way.accept))
			}
		}
	}
	for _, way := range ways {
		b.ReportMetric(median(rates[way.name]), way.name+"/s")
	}
	for _, way := range ways[1:] {
		var ratios []float64
		for i, rate := range rates[way.name] {
			ratios = append(ratios, rates["portico"][i]/rate)
		}
		b.ReportMetric(median(ratios), "of_"+way.name)
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// perSecond lets the callers accept sign-ups for the time, and returns how many
// they did in a second.
func perSecond(b *testing.B, callers int, turn time.Duration, accept func(context.Context, signup.Acceptance) error) float64 {
	b.Helper()
	var done atomic.Int64
	var all sync.WaitGroup
	begun := time.Now()
	for range callers {
		all.Go(func() {
			for time.Since(begun) < turn {
				if err := accept(b.Context(), benchAcceptance(done.Add(1))); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return float64(done.Load()) / time.Since(begun).Seconds()
}

func benchAcceptance(n int64) signup.Acceptance {
	id := uuid.Must(uuid.NewV7())
	now := time.Now().UTC()
	a := signup.Acceptance{
		ID:        signup.ID(id.String()),
		Candidate: directory.NewUserID(),
		Email:     directory.RestoreEmail(fmt.Sprintf("User-%d-%s@Example.com", n, id), fmt.Sprintf("user-%d-%s@example.com", n, id)),
		At:        now, ResendAfter: now.Add(time.Minute),
	}
	copy(a.ReceiptHash[:], strings.Repeat(id.String(), 1))
	return a
}

const (
	insertReceipt = `INSERT INTO signups (id, receipt_hash, locale, terms_version, created_at, candidate_id,
		email, email_canonical, display_name, resend_after) VALUES ($1, $2, '', '', $3, $4, $5, $6, '', $7)`
	insertJob = `INSERT INTO river_job (args, kind, max_attempts, metadata, priority, queue, scheduled_at, state, tags)
		VALUES ($1, 'signup', 10000, '{}', 1, 'default', now(), 'available', '{}')`
)

func inATransaction(ctx context.Context, pool *pgxpool.Pool, a signup.Acceptance) error {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	_, err = tx.Exec(ctx, insertReceipt, string(a.ID), a.ReceiptHash[:], a.At, string(a.Candidate), a.Email.String(), a.Email.Canonical(), a.ResendAfter)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, insertJob, `{"signup_id":"`+string(a.ID)+`"}`); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

func inOneStatement(ctx context.Context, pool *pgxpool.Pool, a signup.Acceptance) error {
	_, err := pool.Exec(ctx, `WITH job AS (`+strings.Replace(insertJob, "$1", "$8", 1)+`) `+insertReceipt,
		string(a.ID), a.ReceiptHash[:], a.At, string(a.Candidate), a.Email.String(), a.Email.Canonical(), a.ResendAfter,
		`{"signup_id":"`+string(a.ID)+`"}`)
	return err
}
