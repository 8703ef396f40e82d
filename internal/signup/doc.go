// Package signup accepts sign-ups: it reads the address, and stores a receipt,
// the candidate for a user and the job that will carry the sign-up out, in one
// transaction, before it says yes. The provider is not called here, and nobody
// looks whether the address is registered: the job finds out. So a registered
// address and a new one cost the same writes and the same time.
//
//	receipt   128 random bits, given to whoever signed up; names the sign-up,
//	          never the user; only its SHA-256 is stored
//	status    received ─► invited ─► active
//	              └─► failed
//
//	what refuses a sign-up, for every address alike, in this order:
//	policy       blocked, disposable or malformed addresses (package directory)
//	limits       by client, address, domain and in all (package ratelimit)
//	mode         open, by invitation (package invitation), closed
//	challenge    one of a program's, not a person's (package challenge)
//
// The status of a receipt moves in coarse steps after its acceptance, and
// becomes active only if the user got their passkey after it: how quickly a job
// was done, and who had an account before, is not for others to see.
//
// An idempotency key is remembered for a day, with the answer sealed under what
// only the same request knows.
//
// It refuses to own the provider's side (package provision) and HTTP (package
// api). Its store is package store.
package signup
