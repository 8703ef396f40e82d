// Package nativeapp owns which addresses a login may hand a native app's code
// to, as RFC 8252 §7 has them:
//
//	claimed https      https://app.example/signed-in      to the letter
//	private-use        com.example.app:/signed-in         to the letter
//	loopback           http://127.0.0.1/signed-in         on any port
//
// A claimed address is the first choice: the system proves that it is the
// app's. A private-use scheme can be taken by another app, and a port of the
// loopback by another program, which is why the code is worth nothing without
// the verifier that only the app has (RFC 7636 §1).
//
// It refuses to own the code and its verifier (package session) and the
// redirect itself (package api).
package nativeapp
