package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// balancer hands requests to the replicas in turn and, as load balancers do,
// hands the same request to another replica when one does not answer: because
// the connection broke, because it says that it cannot, or because it takes
// too long, in which case the first may still be at work on it.
type balancer struct {
	count    *counters
	replicas []*replica
	client   *http.Client
	turn     atomic.Int64
}

// tries is how many replicas get one request.
const tries = 3

func newBalancer(c *counters, replicas []*replica, clients int) *balancer {
	return &balancer{count: c, replicas: replicas, client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 2 * clients, MaxIdleConns: 2 * clients * len(replicas)},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}}
}

// call is one request as a client makes it.
type call struct {
	method, path, body string
	header             map[string]string
	patience           time.Duration // with one replica
	sends              func()        // is called before each try
}

// answer is what came back; status zero is nothing.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a call until a replica answers it or none is left to ask.
func (b *balancer) do(ctx context.Context, c call) answer {
	var last answer
	first := b.turn.Add(1)
	for try := range tries {
		if ctx.Err() != nil {
			return last
		}
		if try > 0 {
			b.count.replays.Add(1)
		}
		r := b.replicas[int(first+int64(try))%len(b.replicas)]
		a, err := b.try(ctx, "http://"+r.api, c)
		if err == nil {
			last = a
		}
		switch {
		case err != nil:
		case a.status == http.StatusBadGateway, a.status == http.StatusServiceUnavailable, a.status == http.StatusGatewayTimeout:
		default:
			return a
		}
	}
	return last
}

func (b *balancer) try(ctx context.Context, base string, c call) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, c.method, base+c.path, strings.NewReader(c.body)) //nolint:gosec // our own replicas
	if err != nil {
		return answer{}, err
	}
	if c.body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for name, value := range c.header {
		request.Header.Set(name, value)
	}
	if c.sends != nil {
		c.sends()
	}
	response, err := b.client.Do(request) //nolint:gosec // the same
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(io.LimitReader(response.Body, 64<<10)); err != nil {
		return answer{}, err
	}
	return answer{response.StatusCode, response.Header, body.Bytes()}, nil
}
