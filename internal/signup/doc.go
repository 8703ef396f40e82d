// Package signup accepts sign-ups: it reads the address, and stores the user,
// a receipt and the job that will carry the sign-up out, in one transaction,
// before it says yes. The provider is not called here.
//
//	receipt   128 random bits, given to whoever signed up; names the sign-up,
//	          never the user; only its SHA-256 is stored
//	status    received ─► invited ─► active
//	              └─► failed
//
// A duplicate gets a receipt like anyone's. Its status never becomes active:
// whether the owner of an address signs in is not for others to see.
//
// It refuses to own the provider's side (package provision) and HTTP (package
// api). Its store is package store.
package signup
