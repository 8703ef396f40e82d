package simulator

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"sync"
)

// serveFaulty carries out a fault. The body is read first: it is needed after
// the answer for a late effect, and only then does the server notice that the
// client has gone.
func (s *Simulator) serveFaulty(w *recordingWriter, r *http.Request, fault Effect) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		writeV2Error(w, &apiError{status: http.StatusRequestEntityTooLarge, message: "request body too large"})
		return
	}
	ep := s.epoch()
	lasting := context.WithoutCancel(r.Context())
	again := r.Clone(lasting)
	again.Body = io.NopCloser(bytes.NewReader(body))
	var truth *bufferedWriter
	switch fault.Commit {
	case CommitBefore:
		truth = s.commit(again)
		if !ep.sleep(r.Context(), fault.delay()) {
			w.abandon()
			return
		}
	case CommitAfter:
		if !ep.begin() {
			w.abandon()
			return
		}
		defer ep.wg.Done()
		if !ep.sleep(lasting, fault.delay()) {
			w.abandon()
			return
		}
		truth = s.commit(again)
	case CommitLate:
		if ep.begin() {
			go s.commitLate(lasting, ep, again, fault)
		}
	case CommitNever:
		if !ep.sleep(r.Context(), fault.delay()) {
			w.abandon()
			return
		}
	}
	if fault.Drop {
		w.abandon()
		return
	}
	fault.answer(w, truth)
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

// answer lays the fault over the true answer, of which there is none when the
// effect comes late or never.
func (e Effect) answer(w http.ResponseWriter, truth *bufferedWriter) {
	status := e.Status
	var body []byte
	if status == 0 {
		status, body = truth.status(), truth.body.Bytes()
		maps.Copy(w.Header(), truth.header)
	}
	if len(e.Body) > 0 {
		var contentType string
		body, contentType = e.text()
		if e.Status != 0 || w.Header().Get("Content-Type") == "" {
			w.Header().Set("Content-Type", contentType)
		}
	}
	for name, value := range e.Headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) //nolint:gosec // a test's own bytes, with nosniff; the client may have gone
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

// abandon closes the connection without an answer.
func (w *recordingWriter) abandon() {
	w.once.Do(func() { w.record(0) })
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		// HTTP/2 has no connection to take over; this resets the stream.
		panic(http.ErrAbortHandler)
	}
	_ = conn.Close() // it is to be broken
}
