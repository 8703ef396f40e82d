// Package docs is the contract as a page that a person can read: /docs, with
// the files that it is made of, and /openapi.yaml itself.
//
//	/docs              the page                                    never kept
//	/docs/NAME-HASH.EXT  Redoc, the contract as data, a style sheet   kept for good
//	/openapi.yaml      the contract, with this server's own address  never kept
//
// Everything is in the binary. The page asks nobody for anything, not even
// Portico: it runs in a sandbox, with an origin that is nobody's, so that
// whatever went wrong in a megabyte of somebody else's script could neither use
// the session of who reads it nor tell anyone of it. See [Policy].
//
// It refuses to own when it is there and what surrounds it: package api does.
// fetch.sh says where the bundle comes from.
package docs
