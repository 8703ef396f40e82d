// Package invitation owns invitations: the codes that let people sign up where
// sign-up is by invitation only.
//
//	code        128 random bits in Crockford's base32, shown once; case, dashes
//	            and spaces do not matter, and 0/O and 1/I/L are the same
//	at rest     SHA-256 of the bits, nothing that anyone could use
//	open        it can be used
//	used_up     every use has been taken
//	expired     its time is over
//	revoked     an operator took it back; those who used it stay
//
// A use is taken in the transaction that accepts the sign-up, so that a code
// for ten lets ten in however they arrive, and a sign-up that fails costs none.
// Whatever is wrong with a code, whoever holds it hears [ErrInvalid].
//
// It refuses to own when a code is asked for (package signup's modes), the
// taking of a use (package store, inside its transaction), and how codes are
// handed out (the command line).
package invitation
