// Package sender makes the requests that webhooks are: one POST each, to
// addresses that somebody outside has named, from within a network that they
// cannot see (server-side request forgery, CWE-918).
//
//	the connection   judged when it is made, after the name was resolved: a name
//	                 that leads elsewhere a moment later gains nothing
//	refused          private, loopback, link-local, shared, reserved and mapped
//	                 addresses, those of clouds' metadata services, and ports
//	                 below 1024 other than 443
//	the answer       its status counts, and Retry-After; redirects are not
//	                 followed, and no text is kept
//	proxies          none, whatever the environment says: a proxy would resolve
//	                 the name out of our sight
//
// It refuses to own what is sent, when, and how it is signed: package webhook
// does.
package sender
