// Package apitest holds answers of the API against the contract while tests
// run.
//
//	Transport   checks every answer of the API's address and fails the test
//	Client      an http.Client over a Transport that follows no redirect
//	Contract    the document, with the check as a function
//
// An answer must be one that openapi.yaml promises for its route and method:
// the status is declared, required headers are there, the body has the declared
// media type and fits its schema, and a problem's code is one of those that the
// operation names for that status. A path that the contract does not have must
// answer 404 not_found, and a method that it does not have 405
// method_not_allowed with Allow. Headers and cookies that every answer must, or
// must not, have are checked too, whatever the route.
//
// It refuses to know package api: what is checked is what a client sees.
package apitest
