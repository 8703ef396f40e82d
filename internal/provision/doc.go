// Package provision carries sign-ups, and what changes of users, out at the
// provider, durably: the queue calls it until it says that it is done, and
// whatever happens in between, the same external_id is sent every time.
//
// The provider is looked at first wherever an earlier create may have happened,
// and a create is sent again only when its quarantine is over and there is
// still nobody. Before one is sent, the attempt and the end of its quarantine
// are written, so that a process that dies with the request under way leaves
// the same traces as an answer that was lost. The write is conditional: of two
// workers with one sign-up, one creates.
//
//	a create answers …                 the user becomes …
//	2xx with our two ids               invited, internal_id stored, once
//	anything else after it was sent    provisioning, in quarantine: looked for
//	                                   until the provider must have settled it
//	not sent (refused, DNS, TLS)       provisioning; surely nothing was done,
//	401, 403, 429, an address that     and the attempt does not count: again
//	is not the API's                   when the gate lets it through
//	409                                looked for; invited if the one in the way
//	                                   is ours by external_id, else conflict
//	2xx with an internal_id that       conflict
//	another user here has
//	400, 422 and other refusals        failed
//
//	a look-up answers …                then
//	one user, ours                     invited
//	no user, in quarantine             look again, ever more rarely: a slow
//	                                   create may still be under way
//	no user, after it                  create again
//	several users                      conflict
//	anything else                      look again: it proves nothing, and
//	                                   nothing is created meanwhile
//
// Where there is no look-up, sending the enrolment mail again (recover) answers
// the same question, after the quarantine and at the price of a mail. That it
// is refused counts as "no user".
//
// Where the store can, and calls are not counted, a new sign-up is enlisted and
// its first create recorded in one step (Start). Creates for sign-ups have a
// number of places (Service.Creates); the jobs are more than these, so that what
// came of one is written while the next is on its way.
//
// Nothing is counted towards giving up: an outage of any length ends in
// invited. Failed and conflict are an operator's to decide.
//
//	a duplicate meets a user who is …  and then
//	received, provisioning             follows: settled when the other is
//	invited                            the enrolment mail again, once a wish and
//	                                   once a pause; active instead if a look-up
//	                                   shows a passkey
//	active, suspended                  a notice to the owner by mail, once a
//	                                   day, where there is a mail server
//	failed, conflict, deleting,        settled
//	deleted
//
// It calls the provider and waits for it as a new sign-up does, and is settled
// no sooner than half the creates are. A wish for another mail (resend) is met
// in the same way.
//
// A mail is claimed before it is sent, for a sign-up's wish or an
// administrator's. If it surely did not go out the claim is
// taken back; if it may have, the person can wish again: nobody gets two for
// one wish.
//
// A user without a sign-up (invited by an administrator, imported, or tried
// again) is carried in the same way. If the external_id comes from elsewhere, the
// provider is looked at before the first create too: it may have had them before
// us, and then they are not ours to mail or to delete.
//
//	before the first create        the user becomes …
//	nobody is there                created
//	somebody, to be taken over     active or invited, as they have a passkey;
//	                               what differs is a change; no mail
//	somebody, and nobody said so   conflict (already_there)
//	an operator has named them     the one there gets our external_id: the same;
//	                               conflict (not_found) if there is none
//
// A change is committed in the directory first, and its job carries what the
// directory says by then: ten changes are one call. One worker at a time has a
// user, by a claim that outlasts a call; one who dies is waited out. Before a
// change is sent, the end of its quarantine is written, as for a create. A user
// who is not at the provider yet needs no call: whoever brings them there
// inserts the job again.
//
//	a change answers …                 sync becomes …
//	2xx that shows our values          synced, unless there is a newer change or
//	                                   an older one is still in quarantine
//	2xx that shows others              looked after; failed (differs) the second
//	                                   time
//	anything else after it was sent    pending (ambiguous): looked after when the
//	                                   quarantine is over, and sent again if the
//	                                   provider shows other values by then
//	not sent, 401, 403, 429, an        pending; surely nothing was done
//	address that is not the API's
//	409, 404, other refusals           failed (conflict, vanished, rejected)
//	no interface to change users       failed (unsupported_by_provider), and
//	                                   pending again once there is one
//
// A newer change does not wait for the quarantine of an older one. It is synced
// only after a look that was taken past it: the older one may have come later.
//
//	a deletion whose grace is over     and then
//	made there for us                  deleted there by internal_id, as often as
//	                                   it takes; then a tombstone here
//	a create may have made them        looked for past its quarantine, and
//	                                   deleted there if found
//	the provider had them before us,   a tombstone here at once; those who are
//	or never had them                  there stay (left_at_provider)
//
// The reconciler gives sign-ups and users without a job another, and looks at users whom
// the provider has, rarely and ever more rarely, for a passkey that nobody told
// us of (active) and for those who are gone (noted as vanished, the status
// stays). It stops where the gate does.
//
// Every move from one status to another, and that a user vanished or
// reappeared, is a line of the audit in the same transaction. Postponements are
// in the log only.
//
// It refuses to own the queue (package queue), when the provider may be called
// (package gate), the wire (package beyondidentity) and the wording of mails
// (package mail). Its store is package store.
package provision
