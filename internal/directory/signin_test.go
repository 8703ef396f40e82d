package directory_test

import (
	"errors"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/directory"
)

// anna is a user who has been invited, and what the provider says of her.
func anna() (directory.User, directory.Identity) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	user := directory.User{
		ID:         "01890a5d-ac96-774b-bcce-b302099a8057",
		ExternalID: "ext-anna",
		InternalID: "int-anna",
		Email:      directory.RestoreEmail("Anna@example.com", "anna@example.com"),
		Status:     directory.Invited,
		CreatedAt:  at,
		UpdatedAt:  at,
	}
	return user, directory.Identity{
		Issuer:     "https://auth.example/v2",
		Subject:    "ext-anna",
		ExternalID: "ext-anna",
		InternalID: "int-anna",
	}
}

func TestAFirstLoginActivatesTheUserAndBindsTheIdentity(t *testing.T) {
	t.Parallel()
	before, identity := anna()
	after, err := before.SignIn(identity)
	if err != nil {
		t.Fatal(err)
	}
	want := before
	want.Status = directory.Active
	want.Issuer, want.Subject = identity.Issuer, identity.Subject
	if after != want {
		t.Errorf("got %+v, not %+v", after, want)
	}
}

func TestALaterLoginChangesNothing(t *testing.T) {
	t.Parallel()
	user, identity := anna()
	first, err := user.SignIn(identity)
	if err != nil {
		t.Fatal(err)
	}
	second, err := first.SignIn(identity)
	if err != nil || second != first {
		t.Errorf("got %+v, %v", second, err)
	}
}

func TestALoginSettlesACreateWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	user, identity := anna()
	user.Status, user.InternalID = directory.Provisioning, ""
	after, err := user.SignIn(identity)
	if err != nil {
		t.Fatal(err)
	}
	if after.Status != directory.Active || after.InternalID != identity.InternalID {
		t.Errorf("status %s, internal_id %q", after.Status, after.InternalID)
	}
}

func TestALoginIsRefused(t *testing.T) {
	t.Parallel()
	bound := func(u *directory.User, i *directory.Identity) {
		u.Status, u.Issuer, u.Subject = directory.Active, i.Issuer, i.Subject
	}
	for name, test := range map[string]struct {
		change func(u *directory.User, i *directory.Identity)
		want   error
	}{
		"with another external_id": {
			func(_ *directory.User, i *directory.Identity) { i.ExternalID = "ext-bert" }, directory.ErrIdentityMismatch,
		},
		"with an external_id in another case": {
			func(_ *directory.User, i *directory.Identity) { i.ExternalID = "EXT-ANNA" }, directory.ErrIdentityMismatch,
		},
		"without an internal_id": {
			func(_ *directory.User, i *directory.Identity) { i.InternalID = "" }, directory.ErrIdentityMismatch,
		},
		"with another internal_id": {
			func(_ *directory.User, i *directory.Identity) { i.InternalID = "int-bert" }, directory.ErrIdentityMismatch,
		},
		"with another internal_id, when bound": {
			func(u *directory.User, i *directory.Identity) { bound(u, i); i.InternalID = "int-bert" },
			directory.ErrIdentityMismatch,
		},
		"with another subject than the first time": {
			func(u *directory.User, i *directory.Identity) { bound(u, i); i.Subject = "ext-bert" },
			directory.ErrIdentityMismatch,
		},
		"from another issuer than the first time": {
			func(u *directory.User, i *directory.Identity) { bound(u, i); i.Issuer = "https://other.example" },
			directory.ErrIdentityMismatch,
		},
		"of a user who is suspended": {
			func(u *directory.User, _ *directory.Identity) { u.Status = directory.Suspended }, directory.ErrSuspended,
		},
		"of a suspended user, with a foreign identity, as a foreign one": {
			func(u *directory.User, i *directory.Identity) {
				u.Status = directory.Suspended
				i.InternalID = "int-bert"
			},
			directory.ErrIdentityMismatch,
		},
		"of a user whom the provider was never asked for": {
			func(u *directory.User, _ *directory.Identity) { u.Status, u.InternalID = directory.Received, "" },
			directory.ErrNotReady,
		},
		"of a user whom the provider refused": {
			func(u *directory.User, _ *directory.Identity) { u.Status, u.InternalID = directory.Failed, "" },
			directory.ErrNotReady,
		},
		"of a user in conflict": {
			func(u *directory.User, _ *directory.Identity) { u.Status, u.InternalID = directory.Conflict, "" },
			directory.ErrNotReady,
		},
		"of a user who is being deleted": {
			func(u *directory.User, _ *directory.Identity) { u.Status = directory.Deleting }, directory.ErrDeleting,
		},
		"of a user who is deleted": {
			func(u *directory.User, _ *directory.Identity) { u.Status = directory.Deleted }, directory.ErrNotReady,
		},
		"of a user whose status is unknown": {
			func(u *directory.User, _ *directory.Identity) { u.Status = "ACTIVE" }, directory.ErrNotReady,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			user, identity := anna()
			test.change(&user, &identity)
			after, err := user.SignIn(identity)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, not %v", err, test.want)
			}
			if after != (directory.User{}) {
				t.Errorf("the refusal came with a user: %+v", after)
			}
		})
	}
}
