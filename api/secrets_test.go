package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// lines is a log in memory.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer

	underWay sync.RWMutex // held for reading by each request
}

// of tells text of the requests under way: the line of one is written when
// whoever made it may have its answer already.
func (l *lines) of(served http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.underWay.RLock()
		defer l.underWay.RUnlock()
		served.ServeHTTP(w, r)
	})
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// text is what has been written when no request is under way any more.
func (l *lines) text() string {
	l.underWay.Lock()
	defer l.underWay.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// entries decodes the lines whose message is msg.
func (l *lines) entries(t *testing.T, msg string) []map[string]any {
	t.Helper()
	var found []map[string]any
	for line := range strings.Lines(l.text()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("the log has a line that is no JSON: %q", line)
		}
		if entry["msg"] == msg {
			found = append(found, entry)
		}
	}
	return found
}

// secrets are what must appear in no answer, and what must appear in no log.
// Every world is searched for them when its test ends.
type secrets struct {
	mu       sync.Mutex
	tokens   []string // the provider's tokens and our credentials: neither in answers nor in logs
	personal []string // codes, receipts, session tokens, addresses: not in logs
	answers  strings.Builder
}

func (s *secrets) keep(personal ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.personal = append(s.personal, personal...)
}

// answered remembers an answer of the API.
func (s *secrets) answered(response *http.Response, body []byte) {
	var head bytes.Buffer
	_ = response.Header.Write(&head)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers.Write(head.Bytes())
	s.answers.Write(body)
}

// overhear notes the tokens that the provider gives out, and the verifiers and
// codes that it is shown.
func (s *secrets) overhear(provider http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/token") {
			provider.ServeHTTP(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := httptest.NewRecorder()
		provider.ServeHTTP(answer, r)
		var tokens map[string]any
		_ = json.Unmarshal(answer.Body.Bytes(), &tokens)
		s.mu.Lock()
		for _, name := range []string{"access_token", "id_token", "refresh_token"} {
			if token, _ := tokens[name].(string); token != "" {
				s.tokens = append(s.tokens, token)
			}
		}
		for field := range strings.SplitSeq(string(body), "&") {
			name, value, _ := strings.Cut(field, "=")
			switch name {
			case "code_verifier":
				s.tokens = append(s.tokens, value)
			case "code":
				s.personal = append(s.personal, value)
			}
		}
		s.mu.Unlock()
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

func (s *secrets) check(t *testing.T, log string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	answers := s.answers.String()
	for _, secret := range append([]string{clientSecret, apiToken}, s.tokens...) {
		if strings.Contains(answers, secret) {
			t.Errorf("BBA-18 ASVS-10.1.1 an answer holds %.12s…", secret)
		}
		if strings.Contains(log, secret) {
			t.Errorf("ASVS-16.2.5 the log holds %.12s…", secret)
		}
	}
	for _, secret := range s.personal {
		if secret != "" && strings.Contains(log, secret) {
			t.Errorf("ASVS-16.2.5 the log holds %s", secret)
		}
	}
}
