// Package loopback finds addresses of this machine for the processes that a
// program starts.
//
//	address.go   an address that nobody listens on
//
// It refuses to listen: whoever gets the address does, and again after a
// restart.
package loopback
