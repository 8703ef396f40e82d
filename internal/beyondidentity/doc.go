// Package beyondidentity is the client of Beyond Identity's management APIs.
//
// It owns the wire format of seven calls, the way they are sent, the tokens
// that they carry, and the judgement of what an outcome proves. Each failure is
// an [*Error] whose [Class] says what the caller may assume:
//
//	class          when                                            what it proves
//	unreachable    no connection: DNS, dial, TLS, proxy, or the     nothing was sent
//	               caller gave up before there was one; no token
//	               could be fetched for it
//	ambiguous      timeout, reset, 408, 425, 499, 5xx, or a 2xx     nothing: it may have
//	               that does not name our user, does not show the   happened, now or later
//	               change, or is no page of the list; a 404 of
//	               which it is not clear what is missing
//	rejected       400, 422, other 4xx; input we cannot send        the data was refused
//	unauthorized   401, 403, for the call or for its token; no      the token was refused
//	               usable token
//	misconfigured  3xx, 405, 407, 421, 426; 404 where it cannot     the address is not the
//	               mean "no such user"                              API's
//	not_found      recover: 404; find: a complete, empty answer;    no such user right now
//	               get, update, delete: a 404 with the API's own
//	               error, about nobody else
//	conflict       409                                              another user is in the way
//	duplicate      find: several users carry the external_id        the provider is inconsistent
//	rate_limited   429                                              refused unread, try later
//
// A look-up's 404 is misconfigured and never not_found: the list does not
// answer 404 for a user who is missing, only a host without that API does,
// and "not found" would let the caller create the user a second time. For the
// same reason a list of strangers is ambiguous: it answers another question.
//
// Redirects are not followed: one would carry the bearer token to an address
// that nobody configured (RFC 6750 §5.3).
//
//	CreateUser   POST   /v1/manage/users          creates and sends the mail
//	RecoverUser  POST   /v1/manage/recover-user   sends the mail again
//	FindUser     GET    /v2/users?filter=…        looks up by external_id
//	GetUser      GET    /v2/users/{internal_id}   looks up by internal_id
//	ListUsers    GET    /v2/users?page_size=…     a page of everybody
//	UpdateUser   PATCH  /v2/users/{internal_id}   changes
//	DeleteUser   DELETE /v2/users/{internal_id}   deletes
//
// A change that is ambiguous may come to happen after a newer one, which it
// then undoes: who needs the last word waits, and looks.
//
// The token is one of the console's, or is fetched with client credentials
// (POST /v2/oauth2/token), kept in memory, and renewed before its end. Of a
// fetched one alone, a 401 or 403 makes a call be repeated, once, with a newer
// token: that refusal proves that nothing was done. This is the one repetition
// that is made here.
//
// It refuses to own other retries, waiting, budgets and what becomes of a user;
// and it logs nothing. Its neighbours: [directory] for the identifiers, and at the
// other end [provision], which acts on the classes.
//
// [provision]: https://pkg.go.dev/github.com/portico-id/portico/internal/provision
package beyondidentity
