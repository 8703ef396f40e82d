// Command native is an example of an app on a user's own machine: it signs in
// through the system's browser, as RFC 8252 has it, and keeps its session as a
// bearer token in a file that only the user can read.
//
//	native login     opens the browser and waits for it to come back
//	native me        says who is signed in
//	native logout    ends the session
//
// The way of a login, with nothing but the public API:
//
//	verifier, challenge   made here (RFC 7636); the verifier never leaves
//	http://127.0.0.1:…    where the browser comes back to: a port of the moment
//	GET /login            in the browser: client=native, redirect_uri, code_challenge, state
//	?code=&state=         what it comes back with: good for a minute, once
//	POST /sessions        code and verifier for the session's token
//
// A mobile app does the same with a claimed https address or com.example.app:/…
// in place of the loopback. An app that uses Beyond Identity's SDK asks
// POST /login for the address, hands it to the SDK, and posts what that returns,
// with the flow, to POST /callback.
package main
