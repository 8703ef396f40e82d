// Package provision carries sign-ups out at the provider, durably: the queue
// calls it until it says that it is done, and whatever happens in between, the
// same external_id is sent every time.
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
// A mail is claimed before it is sent. If it surely did not go out the claim is
// taken back; if it may have, the person can wish again: nobody gets two for
// one wish.
//
// The reconciler gives sign-ups without a job another, and looks at users whom
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
