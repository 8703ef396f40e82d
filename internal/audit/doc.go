// Package audit says who did something, from where, and how that is written
// down.
//
// An [Origin] travels with a request's or a command's context, and whatever is
// written on its behalf is written under it:
//
//	portico        the program itself: a job, a periodic task
//	user:ID        a signed-in user, about themselves
//	admin:NAME     the holder of an administrator's token of that name
//	operator:NAME  who has run a command, by the name of their account there
//	provider       the OpenID provider, by a token that it has signed
//	anyone         somebody of whom nothing is known
//	database:ROLE  the schema's own triggers, about how long events are kept
//
// An [Event] is written in the transaction that does what it tells of. Where
// there is none, as of what was refused, a [Recorder] writes it a little later,
// and counts what is more than anybody would read. Every event that is kept is a
// line of the log too, without the values that it changed.
//
// It refuses to own what becomes of a user (package account and others) and
// where events are kept (package store).
package audit
