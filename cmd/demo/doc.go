// Command demo runs everything that a newcomer needs in one process: Portico,
// the simulator of Beyond Identity, and a page that stands in for an app. It
// is for trials and is never part of a release.
//
//	demo              all of it, on an embedded database unless
//	                  PORTICO_DATABASE_URL names another
//	demo simulator    the simulator alone, for a Portico that runs elsewhere
package main
