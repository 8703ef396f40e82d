// Package provision carries sign-ups out at the provider, durably: the queue
// calls it until it says that it is done, and whatever happens in between, the
// same external_id is sent every time.
//
//	the create answers …               the user becomes …
//	2xx with our two ids               invited, internal_id stored
//	anything else after it was sent    provisioning, in quarantine: only looked
//	                                   up until the provider must have settled
//	                                   it, then created again
//	not sent (refused, DNS, TLS)       provisioning, tried again with backoff
//	409                                invited if the one in the way is ours by
//	                                   external_id, else conflict
//	2xx with an internal_id that       conflict
//	another user here has
//	400, 422 and other refusals        failed
//	401, 403, an address that is not   provisioning, tried again each minute
//	the API's
//	429                                provisioning, tried again when it says
//
// A look-up that fails proves nothing: it is repeated, and nothing is created
// meanwhile.
//
// Before a create is sent, the attempt and the end of its quarantine are
// written, so that a process that dies with the request under way leaves the
// same traces as an answer that was lost. The write is conditional: of two
// workers with one sign-up, one creates.
//
// It refuses to own the queue (package queue) and the wire (package
// beyondidentity). Its store is package store.
package provision
