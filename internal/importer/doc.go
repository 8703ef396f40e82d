// Package importer brings the users of an existing directory in.
//
// It owns how a file or a query's rows are read ([NewCSV], [NewNDJSON],
// [NewTable]), what is wrong with a person who is brought, and the phases of an
// import:
//
//	staging     the input is read and kept in rows of its own, a batch at a
//	            time; what is wrong with each by itself is noted beside it
//	validated   the whole was held against itself and against the directory;
//	            nothing of it is in the directory yet
//	committing  users are made, a batch a transaction, each with the job that
//	            carries them to the provider
//	committed   all of them are made; the replicas carry them there
//	discarded   it was only a trial, or not valid, or stopped while it was read
//
// One process at a time works on imports, by a claim that it renews; what is
// stored is bound to it. A process that is killed leaves an import that another
// resumes where the last batch ended.
//
// A person whom the directory has already, under the same external_id and the
// same address, is left as they are: the same input can be brought again.
//
// It refuses to own storage and other people's databases (package store), files
// and terminals (package program), and what the provider is told (package
// provision).
package importer
