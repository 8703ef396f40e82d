// Command checklists says what the tests that ran prove of each checklist.
//
//	go test -json ./... | go run ./cmd/checklists -lists checklists
//	go run ./cmd/checklists -lists checklists -json test.json   of a run that was
//	go run ./cmd/checklists -lists checklists -markdown <…      for the documentation
//
// # Ids in names
//
// A test proves the rows whose ids stand in its own part of its name:
//
//	BBA-10, S-01, BCL-05, FAPI2-03, GOIDC-12, ASVS-7.4.1   in a subtest's name
//	oidcc-client-test-invalid-iss                          in a subtest's name
//	TestBBA10_…, TestS06Flow…, TestASVS_7_4_1_…            in a function's name
//
// An id ends where its word does: S-011 is not S-01. What stands in a message,
// a comment or a table without t.Run proves nothing, since it never runs.
//
// # What becomes of a row
//
//	proven           a test with the id passed, and none with it failed
//	not applicable   the list gives the reason, and no test claims otherwise
//	missing          neither; where the list says "later", that is known
//
// A pass counts only if nothing above or below it failed or was skipped: a
// story that left a step out has proven nothing. So does a test of a package
// that broke outside of its tests, by a leak or in TestMain.
//
// Exit code 0: every row is proven, not applicable or for later. 1: one is
// missing, a test failed or did not end, or lists and tests contradict each
// other: an id that no list has, a test for a row that is not applicable, one
// for a row that the list puts off. 2: there was nothing to judge.
//
// It says itself that the run failed, and shows how: a shell's pipe forgets the
// exit code of its left side.
//
// It refuses to run the tests and to judge whether a test proves what its name
// says: that is the reviewer's. The lists are in the folder checklists.
package main
