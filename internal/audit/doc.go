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
//	anyone         somebody of whom nothing is known
//
// It refuses to own what becomes of a user (package account and others) and
// where events are kept (package store).
package audit
