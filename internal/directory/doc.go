// Package directory says who a user is.
//
// It owns the values that identify a user and the rules that hold for them
// everywhere: the two ids that must never be mixed up, the address and its
// canonical form, the status and its legal moves.
//
//	received ─► provisioning ─► invited ─► active ⇄ suspended
//	                │   └────► failed          └► deleting ─► deleted
//	                └────────► conflict
//
//	id           ours, UUIDv7, primary key, never reused
//	external_id  ours as the provider stores it: users are matched by it
//	internal_id  the provider's own: what calls that modify a user take
//
// An address is compared in its canonical form only. [ParseEmail] says what an
// address is, a [Policy] which of them an operator admits, and every way in
// asks it:
//
//	ErrEmail            no address, or one that poses as another (UTS #39)
//	ErrPlusAddress      a tag where none is admitted
//	ErrEmailBlocked     on the block list and not on the allow list
//	ErrEmailDisposable  a throw-away mailbox, and not on the allow list
//
// It refuses to own storage, transport and the provider's wire format. Its
// neighbours: [store] keeps users, [signup] accepts them, [provision] carries
// them to the provider, [login] recognises them.
//
// [store]: https://pkg.go.dev/github.com/portico-id/portico/internal/store
// [signup]: https://pkg.go.dev/github.com/portico-id/portico/internal/signup
// [provision]: https://pkg.go.dev/github.com/portico-id/portico/internal/provision
// [login]: https://pkg.go.dev/github.com/portico-id/portico/internal/login
package directory
