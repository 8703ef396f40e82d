// Package session owns a session's life: its token, the token's hash, its
// idle and its absolute end, and its revocation.
//
//	token         32 random bytes; a browser's is bare, a native app's begins
//	              with pts_; neither is accepted in the other's place
//	at rest       SHA-256 of the bytes, nothing that opens anything
//	idle end      last use + Idle; uses are written in batches
//	absolute end  login + Absolute; nothing moves it
//
// A session is only what the database says it is: there is no cache, so a
// revocation is seen by the next request on every replica.
//
// It refuses to own cookies and headers (package api) and the decision who
// may log in (package directory). Its store is package store.
package session
