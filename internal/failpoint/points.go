package failpoint

// The variables of the environment that a process with the build tag reads.
const (
	EnvPoints = "PORTICO_TEST_FAILPOINTS"
	EnvBug    = "PORTICO_TEST_SEEDED_BUG"
)

// The lines that a process with the build tag writes to standard error: the
// prefix, the point and what became of it.
const (
	ReportPrefix = "failpoint: "
	Passed       = "passed" // for the first time
	Killed       = "killed"
)

// Points are the names that Here may be called with.
//
//nolint:gochecknoglobals // a table
var Points = []string{
	// Accepting: the receipt and its job.
	"accept.before_commit", "accept.after_commit",
	// Making or finding the user.
	"enlist.before_commit", "enlist.after_commit",
	// Writing down that a create is about to be sent.
	"attempt.before_commit", "attempt.after_commit",
	// The calls to the provider.
	"create.before", "create.after",
	"lookup.before", "lookup.after",
	"recover.before", "recover.after",
	// Writing down what came of it.
	"invite.before_commit", "invite.after_commit",
	"settle.before_commit", "settle.after_commit",
	// Telling the owner of an address.
	"notice.before_commit", "notice.after_commit",
	"mail.before", "mail.after",
	// The gate in front of the provider.
	"gate.after_admit", "gate.before_done",
}

// The seeded bugs. Each breaks one promise, and whoever watches over that
// promise has to notice.
const (
	JobOutsideTransaction = "job-outside-transaction" // the job is inserted after the sign-up's commit
	NoQuarantine          = "no-quarantine"           // a lost answer is not waited out
	NoLookup              = "no-lookup"               // a second create is sent without looking
	AdoptByEmail          = "adopt-by-email"          // whoever has the address is taken for ours
	CommitRetried         = "commit-retried"          // a COMMIT without an answer is tried again
	SelectUnique          = "select-unique"           // uniqueness is a SELECT, not a constraint
)

// Bugs are the names that Seeded may be called with.
//
//nolint:gochecknoglobals // a table
var Bugs = []string{JobOutsideTransaction, NoQuarantine, NoLookup, AdoptByEmail, CommitRetried, SelectUnique}
