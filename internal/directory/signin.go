package directory

import "errors"

// The reasons for which a proven identity is not signed in.
var (
	// ErrNotRegistered says that nobody here has the identity's external_id.
	ErrNotRegistered = errors.New("not registered")
	// ErrSuspended says that the user may not log in until restored.
	ErrSuspended = errors.New("user is suspended")
	// ErrDeleting says that the user is to be deleted: until then an operator
	// can restore them.
	ErrDeleting = errors.New("user is being deleted")
	// ErrNotReady says that the user's status does not allow a login.
	ErrNotReady = errors.New("user may not log in yet")
	// ErrIdentityMismatch says that the provider now tells another
	// internal_id, issuer or subject than the ones on record.
	ErrIdentityMismatch = errors.New("identity is not the one on record")
)

// ErrUnavailable says that the directory cannot be reached at present. It says
// nothing about what was asked.
var ErrUnavailable = errors.New("the directory is unavailable")

// Identity is who the provider says has just authenticated: the claims of an
// ID token and a UserInfo answer that were checked in full.
type Identity struct {
	Issuer     string
	Subject    string
	ExternalID ExternalID
	InternalID InternalID
}

// SignIn returns the user as they are after a login that proved identity: the
// first one makes them active and binds issuer and subject to them. The
// address plays no part.
//
// It returns ErrIdentityMismatch, ErrSuspended, ErrDeleting or ErrNotReady when
// the login must be refused. A user who is being deleted could be restored to
// active, but not by themselves.
func (u User) SignIn(identity Identity) (User, error) {
	switch {
	case u.ExternalID != identity.ExternalID || identity.InternalID == "":
		return User{}, ErrIdentityMismatch
	case u.InternalID != "" && u.InternalID != identity.InternalID:
		// Someone else's record at the provider carries our external_id.
		return User{}, ErrIdentityMismatch
	case u.Subject != "" && (u.Issuer != identity.Issuer || u.Subject != identity.Subject):
		return User{}, ErrIdentityMismatch
	case u.Status == Suspended:
		return User{}, ErrSuspended
	case u.Status == Deleting:
		return User{}, ErrDeleting
	case u.Status != Active && !u.Status.CanBecome(Active):
		return User{}, ErrNotReady
	}
	u.InternalID = identity.InternalID
	u.Issuer, u.Subject = identity.Issuer, identity.Subject
	u.Status = Active
	return u, nil
}
