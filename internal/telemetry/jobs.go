package telemetry

import (
	"context"
	"time"
)

func (m *Metrics) aboutJobs() {
	m.jobs = m.counter("jobs_total",
		"Times that a job was worked, by its kind and how that ended.", "kind", "outcome")
	m.jobTime = m.histogram("job_duration_seconds", "What these took.", slow(), "kind")
	for kind := range m.kinds {
		for _, outcome := range jobOutcomes() {
			m.jobs.WithLabelValues(kind, outcome)
		}
	}
}

// jobOutcomes are how a job's work can end.
func jobOutcomes() []string { return []string{"done", "snoozed", "failed", "parked"} }

type jobKey struct{}

// WithJob returns a context in which work is done for a job of the kind.
func (m *Metrics) WithJob(ctx context.Context, kind string) context.Context {
	return context.WithValue(ctx, jobKey{}, among(m.kinds, kind))
}

// jobOf is the kind of the job that the work is done for, or "none".
func (m *Metrics) jobOf(ctx context.Context) string {
	if kind, ok := ctx.Value(jobKey{}).(string); ok {
		return kind
	}
	return none
}

// Worked counts that a job was worked.
func (m *Metrics) Worked(kind, outcome string, took time.Duration) {
	kind = among(m.kinds, kind)
	m.jobs.WithLabelValues(kind, outcome).Inc()
	m.jobTime.WithLabelValues(kind).Observe(took.Seconds())
}
