package simulator

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"
)

// serveFaulty carries out a fault, for which cause is the ledger's word. The
// body is read first: it is needed after the answer for a late effect, and only
// then does the server notice that the client has gone.
func (s *Simulator) serveFaulty(w *recordingWriter, r *http.Request, fault Effect, cause string) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		writeV2Error(w, &apiError{status: http.StatusRequestEntityTooLarge, message: "request body too large"})
		return
	}
	ep := s.epoch()
	lasting := context.WithoutCancel(r.Context())
	again := r.Clone(withOrigin(lasting, origin{
		cause: cause,
		late:  fault.Commit == CommitLate || fault.Commit == CommitAfter && fault.DelayMS > 0,
		letIn: s.isAuthorized(r),
	}))
	again.Body = io.NopCloser(bytes.NewReader(body))
	var truth *bufferedWriter
	switch fault.Commit {
	case CommitBefore:
		truth = s.commit(again)
		if !ep.sleep(r.Context(), fault.delay()) {
			w.abandon(false)
			return
		}
	case CommitAfter:
		if !ep.begin() {
			w.abandon(false)
			return
		}
		defer ep.wg.Done()
		if !ep.sleep(lasting, fault.delay()) {
			w.abandon(false)
			return
		}
		truth = s.commit(again)
	case CommitLate:
		if ep.begin() {
			go s.commitLate(lasting, ep, again, fault)
		}
	case CommitNever:
		if !ep.sleep(r.Context(), fault.delay()) {
			w.abandon(false)
			return
		}
	}
	if fault.silent() {
		w.abandon(fault.Reset)
		return
	}
	s.send(lasting, ep, w, fault, fault.compose(r, body, truth, s.now()))
}

// commit lets a request take effect and keeps its answer back.
func (s *Simulator) commit(r *http.Request) *bufferedWriter {
	b := &bufferedWriter{header: http.Header{}}
	s.mux.ServeHTTP(b, r)
	return b
}

func (s *Simulator) commitLate(ctx context.Context, ep *epoch, r *http.Request, fault Effect) {
	defer ep.wg.Done()
	if ep.sleep(ctx, fault.delay()) {
		s.commit(r)
	}
}

// compose lays the fault over the true answer, of which there is none when the
// effect comes late or never.
func (e Effect) compose(r *http.Request, request []byte, truth *bufferedWriter, now time.Time) *bufferedWriter {
	out := &bufferedWriter{header: http.Header{}, code: e.Status}
	if e.Status == 0 {
		out.code = truth.status()
		maps.Copy(out.header, truth.header)
		_, _ = out.body.Write(truth.body.Bytes())
	}
	if e.LimitKind != "" {
		_, _ = out.body.WriteString(`{"code":8,"message":"rate limit exceeded"}`)
		out.header.Set("Content-Type", "application/json")
		e.LimitKind.set(out.header, e.limitWait(), now)
	}
	switch {
	case e.BodyKind != "":
		out.body.Reset()
		_, _ = out.body.Write(e.BodyKind.spoil(out.header, likenessOf(r, request, truth)))
	case len(e.Body) > 0:
		body, contentType := e.text()
		out.body.Reset()
		_, _ = out.body.Write(body)
		if e.Status != 0 || out.header.Get("Content-Type") == "" {
			out.header.Set("Content-Type", contentType)
		}
	}
	for name, value := range e.Headers {
		out.header.Set(name, value)
	}
	return out
}

// send answers with what was composed: whole, in drops, or a part of it.
func (*Simulator) send(ctx context.Context, ep *epoch, w *recordingWriter, fault Effect, out *bufferedWriter) {
	maps.Copy(w.Header(), out.header)
	if fault.DropAfter == nil && fault.DripMS == 0 {
		w.WriteHeader(out.status())
		_, _ = out.body.WriteTo(w) // a test's own bytes, with nosniff; the client may have gone
		return
	}
	raw := rawAnswer(w.Header(), out)
	status := out.status()
	if fault.DropAfter != nil && *fault.DropAfter < len(raw) {
		raw, status = raw[:*fault.DropAfter], 0
	}
	conn := w.takeOver(status)
	if !ep.begin() {
		closeConn(conn, fault.Reset)
		return
	}
	defer ep.wg.Done()
	fault.drip(ctx, ep, conn, raw)
	closeConn(conn, fault.Reset)
}

// bufferedWriter keeps an answer that may never be sent.
type bufferedWriter struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (b *bufferedWriter) Header() http.Header { return b.header }

func (b *bufferedWriter) WriteHeader(code int) {
	if b.code == 0 {
		b.code = code
	}
}

func (b *bufferedWriter) Write(p []byte) (int, error) {
	b.WriteHeader(http.StatusOK)
	return b.body.Write(p)
}

func (b *bufferedWriter) status() int {
	if b.code == 0 {
		return http.StatusOK
	}
	return b.code
}

// recordingWriter records a call once, before its answer can reach the client:
// a test that reads an answer and then the record must find it there.
type recordingWriter struct {
	http.ResponseWriter

	record func(status int)
	once   sync.Once
}

func (w *recordingWriter) WriteHeader(code int) {
	w.once.Do(func() { w.record(code) })
	w.ResponseWriter.WriteHeader(code)
}

func (w *recordingWriter) Write(p []byte) (int, error) {
	w.once.Do(func() { w.record(http.StatusOK) })
	return w.ResponseWriter.Write(p)
}

// Unwrap lets an http.ResponseController see the connection.
func (w *recordingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// done records a handler that wrote nothing, which net/http answers with 200.
func (w *recordingWriter) done() { w.once.Do(func() { w.record(http.StatusOK) }) }
