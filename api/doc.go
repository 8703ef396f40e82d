// Package api is all of HTTP, and nothing else: routes, guards, cookies,
// strict decoding, problem documents. It is the only importer of Echo.
//
//	POST   /signup                      anyone           accepts a sign-up
//	GET    /signup/{signup_id}          anyone           where it stands
//	POST   /signup/{signup_id}/resend   anyone           the mail again
//	GET    /login                       anyone           to the provider, by redirect
//	POST   /login                       anyone           the same, as JSON
//	GET    /callback                    anyone           the provider's answer, by redirect
//	POST   /callback                    anyone           the same, as JSON
//	POST   /sessions                    anyone           an app's code for a session
//	GET    /me                          signed in        who that is
//	PATCH  /me                          signed in        changes what is known of them
//	DELETE /me                          signed in lately closes the account
//	POST   /me/email                    signed in lately has another address proven
//	POST   /me/email/confirm            signed in lately takes the proof
//	GET    /me/export                   signed in lately everything that is held
//	GET    /me/sessions                 signed in        where they are signed in
//	DELETE /me/sessions[/{session_id}]  signed in lately ends the others, or one
//	POST   /logout                      signed in        ends the session
//	GET    /logout/callback             anyone           back from the provider's logout page
//	POST   /backchannel-logout          a signed token   the provider ends sessions
//
// Where the configuration has them, beside HEAD of each:
//
//	GET    /openapi.yaml                anyone           the contract
//	GET    /docs[/{file}]               anyone           the same as a page
//
// On the operations listener, each behind an administrator's token with a scope:
//
//	GET,POST         /admin/users                             users:read, users:write
//	GET,PATCH,DELETE /admin/users/{user_id}                   users:read, users:write
//	POST             /admin/users/{user_id}/suspend|restore   users:write
//	POST             /admin/users/{user_id}/resend|retry      users:write
//	POST             /admin/users/{user_id}/resolve           users:write
//	GET,DELETE       /admin/users/{user_id}/sessions[/{id}]   users:read, sessions:write
//	GET              /admin/audit                             audit:read
//
// The contract is openapi.yaml; [routes] carries what of it the code must
// know, and tests hold the two, and every response, against each other. A
// handler decodes, makes one call into the domain, and encodes; errors pass
// through one table, in problem.go.
//
// It refuses to own what a user, a flow or a session is: packages directory,
// login, session and signup do.
package api
