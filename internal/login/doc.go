// Package login is the OpenID Connect relying party: it begins a flow, finishes
// it, and does nothing else.
//
// A flow's secrets (state, nonce, PKCE verifier, return target) travel sealed
// with the user agent; nothing is stored before the provider's answer arrives.
// Finish checks that answer in one fixed order, and each step runs only after
// every step before it has passed:
//
//	the flow opens, for this kind of client   ErrFlowMissing, ErrFlowInvalid, ErrFlowExpired
//	state                                     ErrStateMismatch
//	iss                                       ErrIssuerMismatch, ErrProviderUnavailable before discovery
//	error                                     *ProviderError
//	code                                      ErrAnswerInvalid
//	the flow has not been used                ErrFlowUsed
//	the code is redeemed, once                ErrCodeRefused, ErrClientRefused, ErrProviderUnavailable
//	the ID token in full                      ErrIdentityRejected
//	UserInfo of the same subject              ErrIdentityRejected, ErrProviderUnavailable
//	an external_id in it                      directory.ErrNotRegistered
//
// It refuses to own cookies, routes and redirects (the API's), which flows were
// used (a [FlowStore]), who the identity belongs to, and sessions. The
// provider's tokens never leave Finish, and no token is used before the nonce
// has been compared (RFC 9700 §4.5.3.2).
//
// Its neighbours: [keyring] seals flows, [directory] names the two ids.
//
// [keyring]: https://pkg.go.dev/github.com/portico-id/portico/internal/keyring
// [directory]: https://pkg.go.dev/github.com/portico-id/portico/internal/directory
package login
