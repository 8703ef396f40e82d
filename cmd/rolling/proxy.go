package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"time"
)

// proxy hands each request to one replica of those that are ready, in turn, and
// to no other when that fails.
type proxy struct {
	backends []*backend
	turn     atomic.Int64
	// resent counts requests without a body that net/http has sent a second
	// time by itself, to the same replica, because a connection that was kept
	// had just been closed. They are shown, so that they hide nothing.
	resent atomic.Int64
}

// backend is a replica as the proxy knows it.
type backend struct {
	ready   string // address of its /readyz
	in      atomic.Bool
	forward *httputil.ReverseProxy
}

func newProxy(replicas []*replica, clients int) *proxy {
	p := &proxy{}
	for _, r := range replicas {
		forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: r.api})
		forward.Transport = p.counting(&http.Transport{MaxIdleConnsPerHost: clients, MaxIdleConns: clients})
		forward.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "proxy: "+err.Error(), http.StatusBadGateway)
		}
		p.backends = append(p.backends, &backend{ready: "http://" + r.ops + "/readyz", forward: forward})
	}
	return p
}

// counting notices requests that are sent again.
func (p *proxy) counting(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		sent := 0
		trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
			sent++
			if sent > 1 {
				p.resent.Add(1)
			}
		}}
		return next.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip sends the request.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// ServeHTTP hands the request to the next replica that is ready.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	first := p.turn.Add(1)
	for i := range p.backends {
		b := p.backends[int(first+int64(i))%len(p.backends)]
		if b.in.Load() {
			b.forward.ServeHTTP(w, r)
			return
		}
	}
	http.Error(w, "proxy: no replica is ready", http.StatusServiceUnavailable)
}

// fall is how many looks in a row have to fail before a replica gets no more
// requests, as load balancers have it (HAProxy's fall and Kubernetes'
// failureThreshold are 3): a machine that is busy answers one late.
const fall = 3

// watch looks at a replica's readiness until ctx ends.
func (b *backend) watch(ctx context.Context, every time.Duration) {
	// Each look has a connection of its own, as a new process needs it.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * time.Second}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for failures := 0; ; {
		if look(ctx, client, b.ready) == nil {
			failures = 0
			b.in.Store(true)
		} else {
			failures++
			if failures >= fall {
				b.in.Store(false)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func look(ctx context.Context, client *http.Client, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %d", response.StatusCode)
	}
	return nil
}
