// Package hostile is an OpenID provider for tests that behaves until it is told
// not to. Only tests import it.
//
//	GET  /.well-known/openid-configuration  Metadata changes the document
//	GET  /jwks                              JWKS says which keys are in it
//	GET  /authorize                         sends the user agent back with a code
//	POST /token                             Auth, Claims, Header, IDToken, Answer
//	GET  /userinfo                          UserInfo changes the claims
//	POST /revoke, GET /logout               counted; where Metadata announces them
//
// Handlers replaces any of them, and [Provider.Count] and [Provider.Requests]
// say what was asked. [Provider.LogoutToken] and [Compact] write tokens that no
// endpoint gives.
//
// It writes its tokens and key sets with the standard library alone: sharing a
// library with the relying party would let the two agree on a mistake. For the
// same reason it knows nothing of the simulator of Beyond Identity, which is
// there to be realistic, not to be evil.
//
// It refuses to own what is right: a verdict is its caller's.
package hostile
