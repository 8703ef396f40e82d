// Package loopback finds addresses of this machine for processes that are told
// where to listen: those of tests, and of the programs that try Portico out.
//
//	address.go   an address, or a port, that nobody listens on
//
// It refuses to listen: whoever gets the address does, and again after a
// restart.
package loopback
