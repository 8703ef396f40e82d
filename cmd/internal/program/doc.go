// Package program is Portico's command line, for the commands beneath cmd and
// for nobody else: it reads the configuration, wires everything together, runs
// it and stops it.
//
//	serve           the API and the workers, until told to stop
//	migrate up      bring the database's schema up to date
//	migrate status  which steps the database has
//	check           try everything that serve needs, and say what is wrong
//	invitations     create, list and revoke the codes that let people sign up
//	client-key      make the key for private_key_jwt, and print its public half
//	version         which build this is
//
// [Run] is the program; main only translates. serve.go is the one place that
// sees every package.
package program
