package audit

import (
	"context"

	"github.com/portico-id/portico/internal/directory"
)

// Origin is on whose behalf, and from where, something is done.
type Origin struct {
	Actor     string // see the package's map
	Address   string // of the client, without a port; empty within the program
	RequestID string // empty within the program
	SessionID string // of the signed-in user; else empty
}

// The actors that need no name.
const (
	Portico = "portico"
	Anyone  = "anyone"
	// Provider is the OpenID provider, who has proved it by a signed token.
	Provider = "provider"
)

// User is the actor of a signed-in user.
func User(id directory.UserID) string { return "user:" + string(id) }

// Admin is the actor of the holder of an administrator's token.
func Admin(name string) string { return "admin:" + name }

// Operator is the actor of who has run a command.
func Operator(account string) string { return "operator:" + account }

type originKey struct{}

// With returns a context whose doings are the origin's.
func With(ctx context.Context, origin Origin) context.Context {
	return context.WithValue(ctx, originKey{}, origin)
}

// From returns the origin of ctx: the program itself, where nobody has said.
func From(ctx context.Context) Origin {
	if origin, ok := ctx.Value(originKey{}).(Origin); ok {
		return origin
	}
	return Origin{Actor: Portico}
}
