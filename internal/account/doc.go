// Package account changes users: their own account by themselves, and anyone's
// by an administrator.
//
// It owns who may become what when, under which conditions, and what has to
// follow. A change is committed here first; where the provider has to know, the
// same transaction says so (sync: pending) and inserts the job that carries it
// there (package provision).
//
//	own       Update (display name), RequestEmail and ConfirmEmail (proof of
//	          the new address), Close (grace period, then deletion), Export
//	anyone's  Invite, Update, Suspend, Restore, Delete, Resend, Retry, Adopt,
//	          List, Get
//
//	what            from                          to
//	Suspend         invited, active               suspended; sessions end at once.
//	                                              The provider knows no suspension
//	Restore         suspended, deleting in grace  as far as they had come before
//	Close, Delete   all but deleting, deleted     deleting; sessions end at once
//	(grace is over, the provider has deleted)     deleted: nothing of the person
//	                                              is left but the ids, for good
//	Retry           failed, conflict              provisioning
//	Adopt           conflict                      provisioning, to take over the
//	                                              one whom the operator has named
//
// A version that the caller names must be the current one ([ErrVersion]); none
// means whatever it is.
//
// It refuses to own storage (package store), the provider (package provision),
// HTTP (package api) and sign-up (package signup).
package account
