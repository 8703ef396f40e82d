package check

// Evidence is everything that is known when all has come to rest. Addresses
// are canonical throughout.
type Evidence struct {
	// What the clients know.

	Sent     map[string]Wishes // by address
	Receipts []Receipt         // of every 202 to a sign-up
	Observed []Violation       // contradictions that a client or the harness met by itself

	// What Portico has stored.

	Signups     []Signup
	Users       []User
	Transitions []Transition // a user's in the order in which they happened
	Jobs        []Jobs

	// What the provider and the mailboxes have.

	Provider []ProviderUser
	Notices  map[string]int // mails of Portico's own, by address
	// Foreign are external_ids of users whom the provider had from elsewhere.
	Foreign map[string]bool

	// MayConflict are addresses that a foreign user has at the provider.
	MayConflict map[string]bool
}

// Wishes counts what was sent for one address, answered or not.
type Wishes struct {
	Unkeyed int // requests without an Idempotency-Key, replays included
	Keys    int // different Idempotency-Keys
	Resends int // requests to send the enrolment mail again
}

// Hash is SHA-256 of a receipt's bytes: what is stored of it.
type Hash [32]byte

// Receipt is a 202.
type Receipt struct {
	Address string
	Hash    Hash
	Key     int // number of the Idempotency-Key, zero for none
}

// Signup is a row of signups.
type Signup struct {
	ID      string
	Hash    Hash
	UserID  string // empty before its job found or made the user
	Kind    string // "", "new" or "duplicate"
	Settled bool
	HasJob  bool // that is still to be worked
	Resends int
}

// User is a row of users.
type User struct {
	ID, ExternalID, InternalID, Address, Status string
}

// Transition is a row of audit_events that moves a user.
type Transition struct {
	UserID, From, To, Action string
}

// Jobs counts the queue's jobs of one kind in one state.
type Jobs struct {
	Kind, State string
	Periodic    bool // comes back by itself, so that one may wait at any time
	Count       int
}

// ProviderUser is a user at the provider.
type ProviderUser struct {
	ExternalID, InternalID, Address string
	Deleted                         bool
	Creates                         int // of this external_id, over all users
	Mails                           int // enrolment mails
}

// Rule is a promise.
type Rule string

// The rules; the package's documentation says what they promise.
const (
	Lost       Rule = "lost"
	Unsettled  Rule = "unsettled"
	Stranded   Rule = "stranded"
	Surplus    Rule = "surplus"
	Key        Rule = "key"
	Doubled    Rule = "doubled"
	Orphan     Rule = "orphan"
	Mapping    Rule = "mapping"
	Unfinished Rule = "unfinished"
	Refused    Rule = "refused"
	Audit      Rule = "audit"
	Mail       Rule = "mail"
	Notice     Rule = "notice"
	Job        Rule = "job"
	Leak       Rule = "leak"
	Answer     Rule = "answer"
	Panicked   Rule = "panic"
)

// Violation is a promise that was not kept, with what shows it.
type Violation struct {
	Rule Rule
	Text string
}
