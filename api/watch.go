package api

import (
	"context"
	"net/http"
	"time"
)

// Watch sees requests come and go. Package telemetry does.
type Watch interface {
	// Route returns who sees those to a route of a listener, asked once. With
	// neither method nor path it is for the requests to no route at all.
	Route(listener, method, path string) RouteWatch
}

// RouteWatch sees the requests to one route.
type RouteWatch interface {
	// Begin returns the context in which the request is answered.
	Begin(r *http.Request) context.Context
	// End is told how it was; the code is the problem's, or "".
	End(ctx context.Context, status int, code, requestID string, took time.Duration)
}

// The listeners, as Watch is told of them.
const (
	publicListener = "public"
	opsListener    = "ops"
)

// watchers are who sees the requests of one listener. The zero value is nobody.
type watchers struct {
	routes map[routeName]RouteWatch
	rest   RouteWatch // that of requests to no route
}

type routeName struct{ method, path string }

// watch finds out who sees the routes' requests.
func (a *API) watch(listener string, routes []route) watchers {
	if a.config.Watch == nil {
		return watchers{}
	}
	w := watchers{routes: make(map[routeName]RouteWatch), rest: a.config.Watch.Route(listener, "", "")}
	for _, r := range routes {
		w.routes[routeName{r.method, echoPath(r.path)}] = a.config.Watch.Route(listener, r.method, r.path)
	}
	return w
}

// of returns who sees the request: by the route, and not by what was asked for,
// which anybody can choose.
func (w watchers) of(method, path string) RouteWatch {
	if one, ok := w.routes[routeName{method, path}]; ok {
		return one
	}
	return w.rest
}

// Codes are the codes of all problems.
func Codes() []string {
	codes := make([]string, 0, len(kinds))
	for code := range kinds {
		codes = append(codes, string(code))
	}
	return codes
}
