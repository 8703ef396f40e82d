// Package login is the OpenID Connect relying party: it begins a flow, finishes
// it, and takes part in logouts.
//
// A flow's secrets (state, nonce, PKCE verifier, return target) and what it
// wants (max_age, a fresh login, the app to go back to) travel sealed with the
// user agent; nothing is stored before the provider's answer arrives. There are
// three kinds, and a flow of one does not open as another:
//
//	Browser   in a cookie; ends at a return target
//	System    in a cookie; begun by a native app, ends at the app's redirect
//	Native    in the app's own requests
//
// Finish checks the answer in one fixed order, and each step runs only after
// every step before it has passed:
//
//	the flow opens, for this kind of client   ErrFlowMissing, ErrFlowInvalid, ErrFlowExpired
//	state                                     ErrStateMismatch
//	iss                                       ErrIssuerMismatch, ErrProviderUnavailable before discovery
//	error                                     *ProviderError
//	code                                      ErrAnswerInvalid
//	our own secret or key can be read         an error of no kind
//	the flow has not been used                ErrFlowUsed; the store's errors
//	the code is redeemed, once                ErrCodeRefused, ErrClientRefused, ErrProviderUnavailable
//	the ID token in full                      ErrIdentityRejected, ErrProviderUnavailable
//	auth_time is what the flow wanted         ErrAuthTooOld
//	UserInfo of the same subject              ErrIdentityRejected, ErrProviderUnavailable
//	an external_id in it                      directory.ErrNotRegistered
//
// From "the flow has not been used" on, a flow that fails is spent.
//
// It refuses to own cookies, routes and redirects (the API's), which flows and
// logout tokens were used (a [FlowStore], and VerifyLogoutToken's caller), who
// the identity belongs to, and sessions. The provider's tokens never leave
// Finish but to be revoked, and none is used before the nonce has been compared
// (RFC 9700 §4.5.3.2).
//
// Its neighbours: [keyring] seals flows, [clientkey] signs assertions,
// [directory] names the two ids.
//
// [keyring]: https://pkg.go.dev/github.com/portico-id/portico/internal/keyring
// [clientkey]: https://pkg.go.dev/github.com/portico-id/portico/internal/clientkey
// [directory]: https://pkg.go.dev/github.com/portico-id/portico/internal/directory
package login
