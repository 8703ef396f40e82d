// Package simulator stands in for Beyond Identity: its management APIs, its
// OpenID provider, the mailbox in which its enrolment mails arrive, and the
// ways in which a remote service fails.
//
//	POST /v1/manage/users, /v1/manage/recover-user   manage v1
//	GET, POST /v2/users; GET, PATCH, DELETE …/{id}   workforce v2
//	POST /v2/oauth2/token                            both grants: a code, client credentials
//	/v2/.well-known/…, /v2/authorize, /v2/userinfo   OpenID provider, issuer <BaseURL>/v2
//	/enroll/{token}, /mailbox, /                     pages for a person
//	/sim/mailbox, users, requests, reset, modes,     controls for a test
//	     faults, keys/rotate
//
// It restates the wire format itself and imports no other package of this
// module: a client and a simulator that share types agree on their mistakes.
// It refuses to keep anything: all is in memory and gone with the process.
// Real passkeys are not its business either: a credential is a random id in a
// cookie of the browser that registered it.
//
// # Faults
//
// A fault applies to management and provider paths (/v1/, /v2/), never to the
// controls. The oldest fault that matches and is not used up is the one that
// acts. What becomes of the request's effect is its commit:
//
//	before  the effect is committed first; then the delay passes; then the
//	        faulty answer goes out. "It errored and happened anyway."
//	after   the delay passes first, then the effect is committed and the answer
//	        goes out, even if the client has gone meanwhile.
//	late    the faulty answer goes out at once; the effect is committed delay_ms
//	        later, unless a reset or Close comes first.
//	never   nothing is committed; the faulty answer goes out after the delay.
//
// Without commit it is never when the fault fails (a status of 400 or more, or
// drop), else before. The answer is the fault's status, headers and body; with
// no status it is the true answer, with the fault's headers and body laid over
// it. drop closes the connection without an answer, and such a request is
// recorded with status 0. A waiting answer ends with its request's context.
//
// # Clocks
//
// Config.Now rules users, mails, links, codes, tokens' ends and rate limits.
// The times inside an ID token come from the OpenID library, which reads the
// machine's clock.
package simulator
