// Command rolling shows that replicas can be restarted one after another without
// a request that fails.
//
// It runs the real binary several times on a Postgres of its own, beside the
// simulator of Beyond Identity, and stands before the replicas as a reverse
// proxy: one that looks at each one's /readyz, hands requests to those that are
// ready, and gives no request to a second one. Clients sign up, wait for news of
// sign-ups, sign in and ask who they are, all the while one replica after the
// other gets a SIGTERM, ends, and is started again.
//
//	options.go   the flags
//	run.go       what a run consists of, and its verdict
//	replica.go   a process, its end and its next beginning
//	proxy.go     who gets the next request
//	people.go    somebody with a passkey, and their way through a login
//	load.go      what the clients do, and what counts as a failure
//	tally.go     what came of it
//
// Every answer but the one that was expected is a failure, and so is none: the
// proxy's own 502 and 503 count as any other. In the end the database must hold
// every sign-up that was accepted.
//
// -signal kill and -delay 0s are for seeing that it can fail: they end replicas
// without a word, and without the time that a proxy needs to notice.
//
// It is Linux's: it ends with status 1 when a request has failed.
package main
