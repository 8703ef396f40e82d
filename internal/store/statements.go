package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm/logger"
)

// Statements sees each statement, without its values. Package telemetry does.
type Statements interface {
	// Begin returns the context in which the statement is carried out: its text
	// is as it was prepared.
	Begin(ctx context.Context, system, text string) context.Context
	// End is told how it ended. The error's text can hold values.
	End(ctx context.Context, err error)
	// Ended is told of one that is over.
	Ended(ctx context.Context, system, text string, begun time.Time, err error)
}

// tracer tells of what pgx sends, whoever asks it to: GORM, the queue, or we.
type tracer struct{ watch Statements }

// TraceQueryStart begins a statement.
func (t tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return t.watch.Begin(ctx, "postgresql", data.SQL)
}

// TraceQueryEnd ends it.
func (t tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	t.watch.End(ctx, data.Err)
}

// gormTracer tells of what GORM sends to SQLite, whose driver has nothing for
// that. What the queue sends there by itself is not seen.
type gormTracer struct {
	logger.Interface

	watch Statements
}

// LogMode changes nothing: this is no log.
func (t gormTracer) LogMode(logger.LogLevel) logger.Interface { return t }

// ParamsFilter keeps the values from being written into the statement.
func (t gormTracer) ParamsFilter(_ context.Context, text string, _ ...any) (string, []any) {
	return text, nil
}

// Trace tells of a statement that is over.
func (t gormTracer) Trace(ctx context.Context, begun time.Time, statement func() (string, int64), err error) {
	text, _ := statement()
	t.watch.Ended(ctx, "sqlite", text, begun, err)
}
