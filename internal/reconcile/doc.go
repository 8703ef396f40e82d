// Package reconcile compares the two directories, ours and the provider's, and
// mends what it is told to mend.
//
//	class              here                          there                   repair
//	missing_there      invited, active, suspended    nobody                  created again; only if asked for by
//	                                                                         name, as it sends a mail
//	unknown_here       nobody                        a user                  none: import them, or leave them
//	attributes_differ  an address, a display name    another                 ours is sent
//	status_differs     invited, active               suspended               suspended here
//	                   deleted, and we made them     still there             deleted there
//	                   failed, provisioning          there after all         taken over
//	ids_differ         one pair of ids               another pair            none: an operator decides
//	duplicate          one user                      several with their      none: an operator decides
//	                                                 external_id or address
//	stuck              waiting for longer than       nobody is asked         a job again
//	                   they should
//
// A run is a row, and moves through its states:
//
//	reading     the provider's users are copied page by page, from the newest to
//	            the oldest: when one is deleted all newer ones move towards the
//	            front, so that one may be met twice, and none is missed
//	comparing   one statement a class finds who is suspected of a difference
//	confirming  each suspect is looked up on both sides, ours before and after.
//	            Nothing is a difference on the evidence of a page: what was
//	            made, changed or deleted meanwhile looks like one
//	repairing   what was asked for; each is compared again first
//	done        with its findings and their numbers; abandoned if another was
//	            begun before
//
// Whoever works on a run holds it by a lease; a process that dies loses it, and
// the run goes on where it was. All that is written is written only while the
// lease is held, in the transaction that moves the run on.
//
// Nothing is ever deleted there that we have not made, and nobody is touched
// there who is unknown here. Repairs take the ordinary ways: jobs of package
// provision, moves of package account. A run touches no more users than its
// limit says, which [Plan] bounds to a part of the directory.
//
// It refuses to own storage (package store), the wire (package beyondidentity),
// when the provider may be called (package gate), and how findings are shown.
package reconcile
