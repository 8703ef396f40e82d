// Package session owns a session's life: its token, the token's hash, its
// ends, and its revocation by its user, an operator or the provider.
//
//	token         32 random bytes; a browser's is bare, a native app's begins
//	              with pts_; neither is accepted in the other's place
//	at rest       SHA-256 of the bytes, nothing that opens anything
//	idle end      last use + Idle; uses are written in batches
//	absolute end  login + Absolute, or the proof at the provider + ProviderAge
//	              where that is sooner; nothing moves it
//	one too many  ends the user's session that was used longest ago
//	code          what a native app trades for its session with the verifier
//	              of its challenge: ptc_ and 32 random bytes, once, CodeTTL
//
// A session is only what the database says it is: there is no cache, so a
// revocation is seen by the next request on every replica. What makes that
// cheap is that look-ups are gathered (gather.go):
//
//	nobody looks up     a look-up is on its way at once; there is no timer
//	a query is on       look-ups wait, and the next query is for all who wait
//	enough of them wait the next who comes takes another lane with all of them
//	it takes too long   so does the next who comes, however few wait
//	it fails            everybody in it asks once more, alone
//	a request ends      its look-up is given up, and nobody else's
//	the queue is full   directory.ErrUnavailable
//
// It refuses to own cookies and headers (package api) and the decision who
// may log in (package directory). Its store is package store.
package session
