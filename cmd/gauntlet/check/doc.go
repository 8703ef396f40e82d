// Package check holds ledgers against each other: what clients sent and were
// told, what Portico has stored, and what the provider and the mailboxes have.
//
//	Evidence     all ledgers after everything has come to rest
//	Run          every Violation of a promise that the evidence shows
//
// The promises, by Rule:
//
//	lost         every 202 has its one row
//	unsettled    every row has its user and is settled
//	stranded     no row that is not settled is without a job
//	surplus      there are no more rows for an address than wishes were sent
//	key          one Idempotency-Key and body, one receipt
//	doubled      one user per address, here and at the provider; one create each
//	orphan       no user on one side alone
//	mapping      external_id and internal_id name the same user on both sides
//	unfinished   nobody is still received or provisioning
//	refused      nobody has failed whom nothing was wrong with
//	audit        one row per transition, in one legal chain per user
//	mail         no more enrolment mails than wishes for one
//	notice       one notice per owner and day
//	job          no job is left, dropped or given up
//	leak         no secret in a log or a column that is not for it
//	answer       no answer contradicts an earlier one
//	panic        no process has panicked
//
// It restates the rules itself and imports nothing of the product's: code that
// checks itself agrees with its own mistakes. It refuses to collect: its
// neighbour, the command around it, fills the evidence.
package check
