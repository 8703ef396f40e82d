// Package gate is the one way out to the provider. Every call asks it for a
// permit and tells it how the call went, and what one replica learns all of
// them act on: the state is one row that they share.
//
//	state                    who may pass           becomes
//	open                     whoever the budget     failing after 5 calls in a row that were
//	                         has room for           unreachable or ambiguous; one answer
//	                                                between them starts the count again
//	failing                  nobody for 1 s, then   open when the probe is answered, else
//	                         one probe              failing for twice as long, up to 30 s
//	rate_limited (429)       nobody for as long     open when the probe is answered, else
//	                         as the provider says,  what it was refused for, again
//	                         or 10 s up to 1 min;
//	                         then one probe
//	unauthorized (401, 403)  one probe a minute,    open when the probe is answered; an
//	                         and one at once with   operator is alarmed once
//	                         a token that was not
//	                         refused
//	misconfigured (3xx, 404  the same               the same
//	where none is meant)
//
// A probe holds the gate for 15 s: if it is not heard of again, the next one
// may pass. A call that was begun before a closure and ends after it cannot
// open the gate, nor shorten the closure; that it fails too is no news.
//
// A token that was refused is remembered after another has opened the gate:
// while a new one is on its way to the replicas, those that still have the old
// one hold themselves back and do not close the gate for the others.
//
// The budget is a bucket (GCRA) that all replicas draw from. In no minute are
// there more calls than it says. Lower lanes leave a part of the bucket for
// those above, so that under load the higher lane goes first, and an idle
// provider is there for all:
//
//	lane       Signup  Resend  Change  Import  Reconcile
//	may empty  all     3/4     1/2     1/4     what one call needs
//
// The replicas' clocks must agree to about a second.
//
// It refuses to own the calls and what becomes of a user (package provision),
// the judgement of an answer (package beyondidentity), and waiting: it says
// for how long. Its store is package store.
package gate
