// Package openapi holds the models of the contract, openapi.yaml, generated
// from it. Nothing in it is written by hand but this map; routes and handlers
// are in its parent.
package openapi
