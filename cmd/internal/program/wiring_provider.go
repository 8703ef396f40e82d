package program

import (
	"context"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/directory"
)

// provider is what Portico asks of the provider's management API.
type provider interface {
	CreateUser(ctx context.Context, user beyondidentity.NewUser) (beyondidentity.User, error)
	RecoverUser(ctx context.Context, id directory.ExternalID) (beyondidentity.User, error)
	FindUser(ctx context.Context, id directory.ExternalID) (beyondidentity.User, error)
	GetUser(ctx context.Context, id directory.InternalID) (beyondidentity.User, error)
	ListUsers(ctx context.Context, page beyondidentity.Page) (beyondidentity.Listed, error)
	UpdateUser(ctx context.Context, id directory.InternalID, change beyondidentity.UserChange) (beyondidentity.User, error)
	DeleteUser(ctx context.Context, id directory.InternalID) error
}

// The calls, as metrics and traces name them.
const (
	callCreate  = "create_user"
	callRecover = "recover_user"
	callFind    = "find_user"
	callGet     = "get_user"
	callList    = "list_users"
	callUpdate  = "update_user"
	callDelete  = "delete_user"
)

func beyondCalls() []string {
	return []string{callCreate, callRecover, callFind, callGet, callList, callUpdate, callDelete}
}

// watchedProvider sees the calls.
type watchedProvider struct {
	next  provider
	watch *witness
}

// seen makes a call, and tells how it ended.
func seen[T any](ctx context.Context, w watchedProvider, name string, call func(ctx context.Context) (T, error)) (T, error) {
	begun := time.Now()
	ctx, end := w.watch.traces.Call(ctx, "provider "+name, "provider")
	answer, err := call(ctx)
	class := string(beyondidentity.ClassOf(err))
	end(0, class)
	w.watch.Called(ctx, name, class, time.Since(begun))
	return answer, err
}

// CreateUser creates a user.
func (w watchedProvider) CreateUser(ctx context.Context, user beyondidentity.NewUser) (beyondidentity.User, error) {
	return seen(ctx, w, callCreate, func(ctx context.Context) (beyondidentity.User, error) { return w.next.CreateUser(ctx, user) })
}

// RecoverUser sends the enrolment mail again.
func (w watchedProvider) RecoverUser(ctx context.Context, id directory.ExternalID) (beyondidentity.User, error) {
	return seen(ctx, w, callRecover, func(ctx context.Context) (beyondidentity.User, error) { return w.next.RecoverUser(ctx, id) })
}

// FindUser looks a user up by external_id.
func (w watchedProvider) FindUser(ctx context.Context, id directory.ExternalID) (beyondidentity.User, error) {
	return seen(ctx, w, callFind, func(ctx context.Context) (beyondidentity.User, error) { return w.next.FindUser(ctx, id) })
}

// GetUser looks a user up by internal_id.
func (w watchedProvider) GetUser(ctx context.Context, id directory.InternalID) (beyondidentity.User, error) {
	return seen(ctx, w, callGet, func(ctx context.Context) (beyondidentity.User, error) { return w.next.GetUser(ctx, id) })
}

// ListUsers reads a page of users.
func (w watchedProvider) ListUsers(ctx context.Context, page beyondidentity.Page) (beyondidentity.Listed, error) {
	return seen(ctx, w, callList, func(ctx context.Context) (beyondidentity.Listed, error) { return w.next.ListUsers(ctx, page) })
}

// UpdateUser changes a user.
func (w watchedProvider) UpdateUser(
	ctx context.Context, id directory.InternalID, change beyondidentity.UserChange,
) (beyondidentity.User, error) {
	return seen(ctx, w, callUpdate, func(ctx context.Context) (beyondidentity.User, error) { return w.next.UpdateUser(ctx, id, change) })
}

// DeleteUser deletes a user.
func (w watchedProvider) DeleteUser(ctx context.Context, id directory.InternalID) error {
	_, err := seen(ctx, w, callDelete, func(ctx context.Context) (struct{}, error) { return struct{}{}, w.next.DeleteUser(ctx, id) })
	return err
}
