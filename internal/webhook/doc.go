// Package webhook tells the application what becomes of users, by Standard
// Webhooks (https://www.standardwebhooks.com, version 1.0.0): what is said, how
// it is signed, and when it is sent again.
//
//	user.created    accepted here                user.updated    what is shown has changed
//	user.invited    the provider has them        user.restored   neither suspended nor leaving any more
//	user.activated  has a passkey                user.deleted    gone for good; ids only
//	user.suspended  may not sign in              user.conflict   an operator has to decide
//	portico.test    asked for by an operator     user.failed     an operator has to decide
//
// An event is written in the transaction that causes it, with a job that makes
// one delivery for each endpoint which wants it, each with a job of its own. A
// delivery is sent until an answer of 2xx, under the same webhook-id:
//
//	an attempt …                        the delivery is
//	answered with 2xx                   delivered
//	answered with 410                   failed, and the endpoint disabled
//	answered otherwise, or not at all   sent again: after 5 s, 5 min, 30 min, 2 h,
//	                                    5 h, 10 h, 14 h, 20 h and 24 h, or later
//	                                    where Retry-After asks for it
//	the last of these                   failed, kept to be replayed
//	endpoint disabled meanwhile         failed, kept to be replayed
//
// An attempt whose outcome was not written, because the process died, is made
// again: at least once, never at most once. Nothing is promised about order;
// each event carries its time and the user's version.
//
// It refuses to own what becomes of users, how requests are made and which
// addresses they may reach (package sender), and where things are kept (package
// store). No secret leaves it but once, when it is made.
package webhook
