// Package telemetry shows what Portico does: numbers for Prometheus, and traces
// for a collector. It is the only importer of both libraries; the packages that
// it watches declare what they tell, in plain values.
//
//	Metrics     counters and times, by values that the program knows beforehand
//	Readings    what only the database knows: read for a scrape, and kept for a
//	            few seconds
//	Traces      spans of requests, statements, jobs and calls; off unless the
//	            environment says where they go
//	LogHandler  gives each line of the log the ids of its trace
//
// A label never has a value that came from outside. Each is one of a list that
// the program gave, or "other": whoever calls can neither grow the number of
// series nor write into them.
//
// A trace begins with a request, whatever the client says of its own: the
// client's is linked to, and neither joined nor asked whether to record. A job
// goes on with the trace of what caused it. Nothing of a trace is sent to the
// provider, to a webhook or to a mail server.
//
// A span has the route's pattern, a statement's text as it was prepared, ids of
// requests and jobs, statuses and classes: no path, query, header, address,
// token or value of a statement.
//
// It refuses to own what is measured, what the log says, and when to be
// alarmed (deploy/observe/alerts.yml).
package telemetry
