// Command native is an example of an app on a user's own machine. It signs in
// in either of the two ways that a native app has, and keeps its session as a
// bearer token in a file that only the user can read.
//
//	native login        by the system's browser: opens it and waits for it to come back
//	native bind LINK    by an SDK: the enrolment mail's link gives this device a passkey
//	native login-sdk    and signs in with it, without a browser
//	native me           says who is signed in
//	native logout       ends the session
//
// By the system's browser, as RFC 8252 has it, with nothing but the public API:
//
//	verifier, challenge   made here (RFC 7636); the verifier never leaves
//	http://127.0.0.1:…    where the browser comes back to: a port of the moment
//	GET /login            in the browser: client=native, redirect_uri, code_challenge, state
//	?code=&state=         what it comes back with: good for a minute, once
//	POST /sessions        code and verifier for the session's token
//
// A mobile app does the same with a claimed https address or com.example.app:/…
// in place of the loopback.
//
// By Beyond Identity's SDK, of which sdk.go is a stand-in for the simulator:
//
//	POST /login           client=native: authorization_url, and the flow, which stays here
//	authenticate          the SDK goes to that address with the device's passkey
//	code, state, iss      what it returns to the app
//	POST /callback        those and the flow for the session's token
package main
