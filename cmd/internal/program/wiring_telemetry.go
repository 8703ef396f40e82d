package program

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/portico-id/portico/api"
	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/gate"
	"github.com/portico-id/portico/internal/mail"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/ratelimit"
	"github.com/portico-id/portico/internal/reconcile"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/telemetry"
	"github.com/portico-id/portico/internal/webhook"
)

// openTelemetry are the OpenTelemetry SDK's own variables.
type openTelemetry map[string]string

// newOpenTelemetry picks them from "NAME=value" pairs.
func newOpenTelemetry(pairs []string) openTelemetry {
	variables := make(openTelemetry)
	for _, pair := range pairs {
		if name, value, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "OTEL_") {
			variables[name] = value
		}
	}
	return variables
}

func (o openTelemetry) get(name string) string { return o[name] }

// witness is what sees Portico at work: each package's own idea of it, in
// terms of telemetry's.
type witness struct {
	*telemetry.Metrics

	traces *telemetry.Traces
	read   *readings
}

// newWitness returns it. Nothing is read before the parts are there.
func newWitness(traces *telemetry.Traces) *witness {
	read := &readings{now: time.Now}
	return &witness{traces: traces, read: read, Metrics: telemetry.New(telemetry.Config{
		Version:     version(),
		Codes:       api.Codes(),
		Endings:     []string{audit.LoggedOut, audit.Revoked, audit.Replaced, audit.TooMany, audit.ProviderLogout},
		Statuses:    texts(directory.Statuses()),
		Classes:     append(texts(beyondidentity.Classes()), provision.Classes()...),
		Calls:       beyondCalls(),
		Jobs:        queue.Kinds(),
		Buckets:     ratelimit.Kinds(),
		Attempts:    texts(webhook.Classes()),
		Letters:     letterKinds(),
		Differences: texts(reconcile.Classes()),
		Closures:    texts(gate.Reasons()),
		Readings:    read,
		Now:         time.Now,
	})}
}

func texts[T ~string](values []T) []string {
	all := make([]string, len(values))
	for i, value := range values {
		all[i] = string(value)
	}
	return all
}

// statements is what the database tells of its statements, or nothing.
func statements(traces *telemetry.Traces) store.Statements {
	if s := traces.Statements(); s != nil {
		return s
	}
	return nil // and no interface around a nil
}

// Route is api.Watch.
func (w *witness) Route(listener, method, path string) api.RouteWatch {
	return w.Metrics.Route(w.traces, listener, method, path)
}

// Carry is a part of queue.Watch.
func (w *witness) Carry(ctx context.Context) string { return w.traces.Carry(ctx) }

// Work is the rest of it.
func (w *witness) Work(ctx context.Context, job queue.Job) (context.Context, func(string, time.Duration)) {
	ctx, end := w.traces.Job(ctx, job.Kind, job.ID, job.Attempt, job.Carried)
	return w.WithJob(ctx, job.Kind), func(outcome string, took time.Duration) {
		w.Worked(job.Kind, outcome, took)
		end(outcome)
	}
}

// event counts what is committed.
func (w *witness) event(e audit.Event) {
	w.Audited(string(e.Outcome))
	switch e.Action {
	case audit.LoginSucceeded:
		w.LoggedIn()
	case audit.LoginCodeGranted:
		w.CodeGranted()
	case audit.LoginCodeRedeemed:
		w.CodeRedeemed()
	case audit.SessionEnded:
		w.SessionEnded(e.Reason)
	case audit.Dropped:
		if n, ok := e.After["count"].(int64); ok {
			w.AuditDropped(int(n))
		}
	}
	if e.To != "" && e.From != e.To {
		w.UserMoved(string(e.To), e.Class)
	}
}

// countedAudit counts refusals where they are decided: not all of them are kept.
type countedAudit struct {
	api.Auditor

	watch *witness
}

// Record counts the event and has it written.
func (c countedAudit) Record(ctx context.Context, event audit.Event) {
	switch event.Action {
	case audit.LoginRefused:
		c.watch.LoginRefused(event.Reason)
	case audit.LoginFailed:
		c.watch.LoginFailed(event.Reason)
	}
	c.Auditor.Record(ctx, event)
}

// countedSender sees requests to webhooks. Where they go is not for a trace.
type countedSender struct {
	webhook.Sender

	watch *witness
}

// Send makes the request.
func (c countedSender) Send(ctx context.Context, r webhook.Request) webhook.Answer {
	ctx, end := c.watch.traces.Call(ctx, "send webhook", "webhook")
	answer := c.Sender.Send(ctx, r)
	end(answer.Status, string(answer.Class))
	c.watch.WebhookTried(string(answer.Class))
	return answer
}

// watchedTransport sees requests to the OpenID provider.
type watchedTransport struct {
	next  http.RoundTripper
	watch *witness
}

// RoundTrip makes the request. Its URL can hold a code: only who is asked is
// told.
func (t watchedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	begun := time.Now()
	ctx, end := t.watch.traces.Call(r.Context(), "openid "+r.Method, "openid provider")
	response, err := t.next.RoundTrip(r.WithContext(ctx))
	status, class := 0, ""
	if response != nil {
		status = response.StatusCode
	}
	if err != nil {
		class = "no_answer"
	}
	end(status, class)
	t.watch.AskedProvider(status, time.Since(begun))
	return response, err
}

// transport sees the requests of next, unless nobody watches.
func (w *witness) transport(next http.RoundTripper) http.RoundTripper {
	if w == nil {
		return next
	}
	return watchedTransport{next, w}
}

// CloseIdleConnections lets http.Client's method of that name through.
func (t watchedTransport) CloseIdleConnections() {
	if closer, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// watchedMailer sees mails.
type watchedMailer struct {
	account.Mailer

	watch *witness
}

// The kinds of letters.
const (
	letterNotice  = "notice"
	letterProof   = "proof"
	letterChanged = "email_changed"
	letterClosing = "closing"
)

func letterKinds() []string {
	return []string{letterNotice, letterProof, letterChanged, letterClosing}
}

func (m watchedMailer) see(ctx context.Context, letter string, send func(ctx context.Context) error) error {
	ctx, end := m.watch.traces.Call(ctx, "mail "+letter, "mail server")
	err := send(ctx)
	class := ""
	if err != nil {
		class = "failed"
	}
	end(0, class)
	m.watch.Mailed(letter, err)
	return err
}

// Send sends a notice.
func (m watchedMailer) Send(ctx context.Context, n mail.Notice) error {
	return m.see(ctx, letterNotice, func(ctx context.Context) error { return m.Mailer.Send(ctx, n) })
}

// SendProof sends a code.
func (m watchedMailer) SendProof(ctx context.Context, p mail.Proof) error {
	return m.see(ctx, letterProof, func(ctx context.Context) error { return m.Mailer.SendProof(ctx, p) })
}

// SendEmailChanged tells of another address.
func (m watchedMailer) SendEmailChanged(ctx context.Context, c mail.EmailChanged) error {
	return m.see(ctx, letterChanged, func(ctx context.Context) error { return m.Mailer.SendEmailChanged(ctx, c) })
}

// SendClosing tells of a deletion.
func (m watchedMailer) SendClosing(ctx context.Context, c mail.Closing) error {
	return m.see(ctx, letterClosing, func(ctx context.Context) error { return m.Mailer.SendClosing(ctx, c) })
}

// readings reads what the database knows, for telemetry.
type readings struct {
	now func() time.Time

	mu       sync.Mutex
	parts    *parts // nil until they are there
	sessions int
	counted  time.Time // when sessions were
}

// countSessionsEvery is how often open sessions are counted: there may be a
// million.
const countSessionsEvery = time.Minute

func (r *readings) of(p *parts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.parts = p
}

func (r *readings) all() *parts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.parts
}

// Pool is a part of telemetry.Source.
func (r *readings) Pool() telemetry.Pool {
	p := r.all()
	if p == nil {
		return telemetry.Pool{}
	}
	return telemetry.Pool(p.db.Connections())
}

// Readings is the rest of it.
func (r *readings) Readings(ctx context.Context) (telemetry.Readings, error) {
	p := r.all()
	if p == nil {
		return telemetry.Readings{}, errors.New("not yet started")
	}
	var found telemetry.Readings
	for _, read := range []func(context.Context, *parts, *telemetry.Readings) error{
		r.backlog, r.openSessions, waitingJobs, providerGate, lastComparison,
	} {
		if err := read(ctx, p, &found); err != nil {
			p.log.DebugContext(ctx, "metrics cannot be read from the database", slog.Any("error", err))
			return telemetry.Readings{}, err
		}
	}
	return found, nil
}

func (r *readings) backlog(ctx context.Context, p *parts, into *telemetry.Readings) error {
	b, err := p.store.Backlog(ctx, r.now())
	if err != nil {
		return err
	}
	into.OldestSignup, into.OldestUser, into.Quarantined = b.OldestSignup, b.OldestUser, b.Quarantined
	into.Deliveries, into.OldestDelivery, into.Imports = b.Deliveries, b.OldestDelivery, b.Imports
	into.Endpoints = map[string]int{"enabled": b.Enabled, "disabled": b.Disabled}
	into.Users = make(map[string]int, len(b.Users))
	for status, n := range b.Users {
		into.Users[string(status)] = n
	}
	return nil
}

// openSessions counts the open sessions now and then.
func (r *readings) openSessions(ctx context.Context, p *parts, into *telemetry.Readings) error {
	now := r.now()
	r.mu.Lock()
	known, counted := r.sessions, r.counted
	r.mu.Unlock()
	if !counted.IsZero() && now.Sub(counted) < countSessionsEvery {
		into.Sessions = known
		return nil
	}
	n, err := p.store.OpenSessions(ctx, now)
	if err != nil {
		return err
	}
	into.Sessions = n
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions, r.counted = n, now
	return nil
}

func waitingJobs(ctx context.Context, p *parts, into *telemetry.Readings) error {
	waiting, err := p.queue.Waiting(ctx)
	for _, jobs := range waiting {
		into.Jobs = append(into.Jobs, telemetry.Jobs(jobs))
	}
	return err
}

func providerGate(ctx context.Context, p *parts, into *telemetry.Readings) error {
	state, err := p.gate.State(ctx)
	if err != nil {
		return err
	}
	into.Paused = string(state.Because)
	into.BudgetLeft, into.Budget = p.gate.Left(state)
	return nil
}

func lastComparison(ctx context.Context, p *parts, into *telemetry.Readings) error {
	run, err := p.store.LastComparison(ctx)
	if errors.Is(err, reconcile.ErrNothing) {
		return nil
	}
	if err != nil {
		return err
	}
	into.Reconciled, into.Differences = run.EndedAt, make(map[string]int)
	for class, count := range run.Counts {
		into.Differences[string(class)] = count.Found
	}
	return nil
}
