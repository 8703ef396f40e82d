// Package queue runs what must happen after a commit, at least once, however
// often the process dies. It is the only importer of River; its tables lie in
// the same database as the rows that cause the jobs, so that a job exists if
// and only if they do.
//
//	signup         carry a sign-up out at the provider; snoozes until done
//	resend         send the enrolment mail again
//	notice         tell the owner of a registered address of a sign-up with it
//	change         carry what has changed of a user to the provider, or their
//	               deletion; snoozes until done
//	enrol          carry a user without a sign-up to the provider; those who are
//	               imported wait in a queue of their own
//	remind         send a user's enrolment mail again for an administrator
//	email_proof    mail a code to an address that a user wants
//	letter         send a letter about an account
//	webhook_event     make an event's deliveries, one for each endpoint
//	webhook_delivery  send one; snoozes until it is delivered or given up
//	reconcile      mend what the others have left; every 15 s, one replica
//	housekeeping   remove what has expired; every ten minutes, one replica
//
// A job that fails by its own fault, ten times or by its nature, is parked: it
// is cancelled, with its errors, and an operator is told. That the database is
// away is no job's fault and is never counted.
//
// Jobs of a process that died are handed back as soon as another notices that
// it is gone: on Postgres each process holds an advisory lock as a sign of
// life, on SQLite there is one process. Jobs of a process that lives, and that
// River has lost track of while the database was away, are handed back too.
//
// Who stops waits for the jobs under way. Those of the upkeep (reconcile, compare,
// housekeeping) are cancelled instead, and another process goes on with them.
//
// It refuses to own what a job does (package provision) and what causes it
// (package store).
package queue
