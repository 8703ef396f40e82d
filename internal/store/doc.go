// Package store keeps users, sign-ups and sessions in Postgres or, for trials
// on one machine, in SQLite: the same code over both. It is the only importer
// of GORM.
//
//	users             who is in the directory, and how far the provider has them
//	signups           receipts, their candidates until there is a user, and
//	                  whether their job is done
//	idempotency_keys  sign-ups that can be sent again
//	invitations       codes that let people sign up
//	sessions          who is signed in, by the hash of the token
//	native_codes      what native apps trade for sessions, by the hash
//	used_flows        logins that were finished, so that none is finished twice
//	used_logout_tokens  logouts of the provider's that were obeyed, likewise
//	email_changes     addresses that users want, and the hashes of the codes
//	letters           what is about to be mailed, and where to
//	rate_limits       buckets: a client's, an address's, a domain's and all's
//	provider_gate     what all replicas know of the provider: one row
//	audit_events      every change of a status, written with the change
//
// A method is one use case and, where it writes more than one thing, one
// transaction. Invariants are named constraints of the schema; their
// violations are translated, not checked for first. Rows are types of their
// own, with two converters each. A transaction locks the user before their
// sessions, and several sessions in the order of their ids.
//
// It refuses to own rules: what may become of a user is package directory's,
// and the queue's tables are package queue's. A job is inserted in the
// transaction that causes it, through [Jobs].
package store
