// Package simulator stands in for Beyond Identity: its management APIs, its
// OpenID provider, the mailbox in which its enrolment mails arrive, and the
// ways in which a remote service fails.
//
//	POST /v1/manage/users, /v1/manage/recover-user   manage v1
//	GET, POST /v2/users; GET, PATCH, DELETE …/{id}   workforce v2
//	POST /v2/oauth2/token                            both grants: a code, client credentials
//	/v2/.well-known/…, /v2/authorize, /v2/userinfo   OpenID provider, issuer <BaseURL>/v2
//	/enroll/{token}, /mailbox, /                     pages for a person
//	/sim/mailbox, users, requests, ledger, reset,    controls for a test
//	     modes, faults, hostility, keys/rotate,
//	     tokens/revoke
//	ServeSMTP                                        a mail server for the same mailbox
//
// It restates the wire format itself and imports no other package of this
// module: a client and a simulator that share types agree on their mistakes.
// It refuses to keep anything: all is in memory and gone with the process, but
// for Config.LedgerFile.
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
// What else a fault may say:
//
//	drop_after     the connection closes after so many bytes of the answer, the
//	               status line and headers included; if that cuts it, the
//	               request is recorded with status 0
//	reset          with drop or drop_after: a TCP reset instead of a close
//	drip_ms        pauses so long after each drip_bytes (64) of the answer
//	body_kind      a body like a success that is none, see [BodyKind]
//	limit_kind     a 429, or the status given, with one of the ways to say how
//	               long to wait, see [LimitKind]; limit_seconds (1)
//	flap           beside match and fault, {up_ms, down_ms} or {up, down} in
//	               matching calls: it acts in the down periods, and up is first
//
// The mail sink meets faults whose match is {"method":"SMTP","path":"rcpt"} or
// "data": a status of 400 or more, drop, reset, delay_ms, and commit "before",
// where the mail arrives and its sender is told that it did not, or "never".
//
// # Hostility
//
// [Simulator.BeHostile] or POST /sim/hostility {"seed":…, "level":0..1,
// "max_late_ms":…} lets each management call meet, with probability level, one
// of these. The n-th call's fate depends on the seed and n alone, so the same
// sequence of calls meets the same misfortunes. GET tells how often each struck,
// DELETE ends it. Armed faults go first. "unauthorized":true adds the last row,
// "oidc":true the OpenID provider's paths.
//
//	misfortune                  of 100  the client sees         the effect
//	error_before, _never, _late     32  500, 502, 503, 504, 408 done, not done, done later
//	drop_before, _never, _late      26  a close or a reset      done, not done, done later
//	cut                             10  0 to 600 bytes          done
//	body_before, _never, _late      14  200, any body_kind      done, not done, done later
//	limit                            8  429, any limit_kind     not done
//	                                    but huge
//	drip                             4  the answer, drop by     done
//	                                    drop
//	slow_before, slow_after          6  the answer, late        done at once, done late
//	unauthorized                        401, 403                not done
//
// Later and late are at most max_late_ms (2 s), and more often soon than late.
//
// # Ledger
//
// The ledger says what really happened, whatever was answered, and when: "at
// once", or "late", after its request's answer or delay. Nothing but a reset
// makes it forget, and the file not even that. GET /sim/ledger takes ?after=SEQ
// and ?external_id=; GET /sim/users takes ?external_id= and ?email=.
//
// # Drift
//
// PATCH /sim/users/{internal_id} {"status", "email", "display_name",
// "external_id", "user_name"}, of which some, changes a user behind everyone's
// back: a deleted one too, and to values that are taken. DELETED and ACTIVE
// again is a user who went missing and came back.
//
// # Clocks
//
// Config.Now rules users, mails, links, codes, tokens' ends and rate limits.
// The times inside an ID token come from the OpenID library, which reads the
// machine's clock.
package simulator
