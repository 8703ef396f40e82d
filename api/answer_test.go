package api_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/api"
)

// heldLog holds each request's line back until it is let go.
type heldLog struct {
	slog.Handler

	letGo chan struct{}
}

func (h heldLog) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "request" {
		<-h.letGo
	}
	return h.Handler.Handle(ctx, r)
}

func TestWhoeverIsAloneDoesNotWaitForTheLineOfTheLog(t *testing.T) {
	t.Parallel()
	letGo := make(chan struct{})
	w := newWorld(t, options{serve: func(c *api.Config) { c.Log = slog.New(heldLog{c.Log.Handler(), letGo}) }})
	t.Cleanup(func() { close(letGo) }) // before the server is closed
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/signup", strings.NewReader(`{"email":"ada@example.com"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := w.server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusAccepted || answer.ContentLength != int64(len(body)) || len(body) == 0 {
		t.Errorf("%s with %d of %d bytes, %v", answer.Status, len(body), answer.ContentLength, err)
	}
	if strings.Contains(w.log.text(), `"msg":"request"`) {
		t.Error("the line was there first")
	}
}
