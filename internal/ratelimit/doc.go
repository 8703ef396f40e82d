// Package ratelimit owns how often somebody may ask for something: the
// buckets, their arithmetic and the answer to who asks too often.
//
// A [Limit] is a burst of Count that drains at Count per Per: the generic cell
// rate algorithm, which keeps one time a bucket, when it will have drained.
//
//	bucket    one for each                                  default
//	client    address; of IPv6 its /64, of IPv4 all of it   30/1m
//	address   canonical e-mail address, hashed              5/1h
//	domain    canonical domain                              600/1m
//	global    action                                        3000/1m
//	login     as client                                     300/1m
//	logout    as client                                     600/1m
//	email     user                                          5/1h
//
// An action takes one token from each of its buckets or none from any, so that
// whom one bucket refuses drains no other: a blocked client cannot empty the
// global bucket for everyone.
//
//	sign-up   client, address, domain, global
//	resend    client, global; with tokens of its own
//	login     login: flows begun and codes redeemed
//	logout    logout: logout tokens sent by what may be a provider
//	email     email, address: wishes for another address, with tokens of their own
//
// The buckets are the database's, shared by all replicas. A refusal is
// remembered by the process until the database would think better of it, so
// that a flood costs no query.
//
// It refuses to own who the client is behind a proxy and the headers of an
// answer (package api), and the time between two mails (package signup). Its
// store is package store, where a client's address lies in the clear until its
// bucket has drained and is purged.
package ratelimit
