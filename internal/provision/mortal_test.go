package provision_test

import (
	"context"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
)

// crash is what a process dies of in this test.
type crash struct{}

// fate ends the process at one of the points that it passes: before and after
// each call to the provider and each write that follows from one.
type fate struct{ left int } // points to pass yet; below zero for all of them

func (f *fate) point() {
	if f.left == 0 {
		f.left--
		panic(crash{})
	}
	f.left--
}

// mortalProvider and mortalStore are the real ones, with points around what
// matters.
type mortalProvider struct {
	*beyondidentity.Client

	fate *fate
}

func (p mortalProvider) CreateUser(ctx context.Context, user beyondidentity.NewUser) (beyondidentity.User, error) {
	p.fate.point()
	defer p.fate.point()
	return p.Client.CreateUser(ctx, user)
}

func (p mortalProvider) RecoverUser(ctx context.Context, id directory.ExternalID) (beyondidentity.User, error) {
	p.fate.point()
	defer p.fate.point()
	return p.Client.RecoverUser(ctx, id)
}

func (p mortalProvider) FindUser(ctx context.Context, id directory.ExternalID) (beyondidentity.User, error) {
	p.fate.point()
	defer p.fate.point()
	return p.Client.FindUser(ctx, id)
}

func (p mortalProvider) GetUser(ctx context.Context, id directory.InternalID) (beyondidentity.User, error) {
	p.fate.point()
	defer p.fate.point()
	return p.Client.GetUser(ctx, id)
}

func (p mortalProvider) UpdateUser(ctx context.Context, id directory.InternalID, change beyondidentity.UserChange) (beyondidentity.User, error) {
	p.fate.point()
	defer p.fate.point()
	return p.Client.UpdateUser(ctx, id, change)
}

func (p mortalProvider) DeleteUser(ctx context.Context, id directory.InternalID) error {
	p.fate.point()
	defer p.fate.point()
	return p.Client.DeleteUser(ctx, id)
}

type mortalStore struct {
	*store.Store

	fate *fate
}

func (s mortalStore) Enlist(ctx context.Context, id signup.ID, at time.Time) (provision.Subject, error) {
	defer s.fate.point()
	return s.Store.Enlist(ctx, id, at)
}

func (s mortalStore) Start(ctx context.Context, id signup.ID, until, at time.Time) (provision.Subject, bool, error) {
	defer s.fate.point()
	return s.Store.Start(ctx, id, until, at)
}

func (s mortalStore) Invite(ctx context.Context, p provision.Subject, id directory.InternalID, at time.Time) (bool, error) {
	defer s.fate.point()
	return s.Store.Invite(ctx, p, id, at)
}

func (s mortalStore) Settle(ctx context.Context, id signup.ID, at time.Time) error {
	s.fate.point()
	return s.Store.Settle(ctx, id, at)
}

func (s mortalStore) BeginChange(ctx context.Context, c provision.Change, claim provision.Claim) (bool, error) {
	defer s.fate.point()
	return s.Store.BeginChange(ctx, c, claim)
}

func (s mortalStore) EndChange(ctx context.Context, c provision.Change, o provision.Outcome) (bool, error) {
	defer s.fate.point()
	return s.Store.EndChange(ctx, c, o)
}
