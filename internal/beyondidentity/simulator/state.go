package simulator

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
)

// A user's status, as manage v1 and v2 spell it.
const (
	StatusActive    = "ACTIVE"
	StatusSuspended = "SUSPENDED"
	StatusDeleted   = "DELETED"
)

var (
	// ErrNoSuchUser says that no user, or only a deleted one, has this id.
	ErrNoSuchUser = errors.New("no such user")
	// ErrInvalidStatus says that a status is none of ACTIVE, SUSPENDED, DELETED.
	ErrInvalidStatus = errors.New("status must be ACTIVE, SUSPENDED or DELETED")

	errExternalIDTaken = errors.New("external id taken")
	errEmailTaken      = errors.New("email address taken")
	errLinkUnknown     = errors.New("no such enrolment link")
	errLinkUsed        = errors.New("enrolment link already used")
)

// account is a user as the state keeps it. It never leaves the state's lock:
// outside, copies travel.
type account struct {
	internalID, externalID, email, userName, displayName, status string
	created, modified, lastAuth                                  time.Time
	mails, passkeys                                              int
	place                                                        int // in the order of creation
}

// profile is what a client may say about a user.
type profile struct{ externalID, email, userName, displayName string }

type enrolmentLink struct {
	owner *account
	used  bool
}

// state is everything that the simulator remembers, behind one lock. It knows
// no HTTP, and its methods take the time as an argument.
type state struct {
	mu    sync.Mutex
	modes Modes

	accounts    []*account
	living      []*account // those that are not deleted, in order of creation
	byInternal  map[string]*account
	byExternal  map[string][]*account
	byEmail     map[string][]*account
	creates     map[string]int
	mails       []Mail
	mailsTo     map[string][]int // lower-case address to indexes of mails
	links       map[string]*enrolmentLink
	credentials map[string]*account

	requests ring
	ledger   ledger

	sessions sessions
	window   rateWindow
}

func newState(m Modes, l ledger) *state {
	s := &state{ledger: l}
	s.reset(m, time.Time{})
	return s
}

func (s *state) reset(m Modes, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.modes = m
	s.accounts, s.living = nil, nil
	s.byInternal = map[string]*account{}
	s.byExternal = map[string][]*account{}
	s.byEmail = map[string][]*account{}
	s.creates = map[string]int{}
	s.mails = nil
	s.mailsTo = map[string][]int{}
	s.links = map[string]*enrolmentLink{}
	s.credentials = map[string]*account{}
	s.requests = ring{}
	s.ledger.reset(now)
	s.sessions = newSessions()
	s.window = rateWindow{}
}

func (s *state) currentModes() Modes {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.modes
}

func (s *state) setModes(m Modes) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.RatePerMinute != s.modes.RatePerMinute {
		s.window = rateWindow{}
	}
	s.modes = m
}

// create commits a user and the mail that goes with it. It returns
// errExternalIDTaken or errEmailTaken when the modes forbid a duplicate.
func (s *state) create(p profile, baseURL string, d deed) (account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.conflict(p, nil); err != nil {
		s.ledger.add(d.refused(p, err))
		return account{}, err
	}
	a := &account{internalID: newInternalID(), status: StatusActive, created: d.at, modified: d.at, place: len(s.accounts)}
	s.accounts = append(s.accounts, a)
	s.living = append(s.living, a)
	s.byInternal[a.internalID] = a
	s.assign(a, p)
	s.creates[p.externalID]++
	s.ledger.add(d.about(KindCreated, a))
	s.mail(a, baseURL, d)
	return *a, nil
}

// recoverUser sends the mail again to the oldest user with this external id. It
// returns ErrNoSuchUser when there is none. The user keeps its passkeys:
// whether the real one drops them is not known.
func (s *state) recoverUser(externalID, baseURL string, d deed) (account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.byExternal[externalID] {
		if a.status != StatusDeleted {
			s.ledger.add(d.about(KindRecovered, a))
			s.mail(a, baseURL, d)
			return *a, nil
		}
	}
	s.ledger.add(d.refused(profile{externalID: externalID}, ErrNoSuchUser))
	return account{}, ErrNoSuchUser
}

func (s *state) user(internalID string) (account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.live(internalID)
	if err != nil {
		return account{}, err
	}
	return *a, nil
}

// update changes a user. It returns ErrNoSuchUser, errExternalIDTaken or
// errEmailTaken, or what change says against it.
func (s *state) update(internalID string, change func(*profile) error, d deed) (account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.live(internalID)
	if err != nil {
		s.ledger.add(d.refusedOf(internalID, err))
		return account{}, err
	}
	p := profile{a.externalID, a.email, a.userName, a.displayName}
	if err := change(&p); err != nil {
		return account{}, err
	}
	if err := s.conflict(p, a); err != nil {
		s.ledger.add(d.refused(p, err))
		return account{}, err
	}
	s.unindex(a)
	s.assign(a, p)
	a.modified = d.at
	s.ledger.add(d.about(KindPatched, a))
	return *a, nil
}

// remove marks a user as deleted, or returns ErrNoSuchUser.
func (s *state) remove(internalID string, d deed) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.live(internalID)
	if err != nil {
		s.ledger.add(d.refusedOf(internalID, err))
		return err
	}
	s.turn(a, StatusDeleted)
	a.modified = d.at
	s.ledger.add(d.about(KindDeleted, a))
	return nil
}

// enrolment says whose link this is. It returns errLinkUnknown or errLinkUsed.
func (s *state) enrolment(token string) (account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	link, err := s.link(token)
	if err != nil {
		return account{}, err
	}
	return *link.owner, nil
}

// enrol uses the link up and returns a new credential of its owner. It returns
// errLinkUnknown or errLinkUsed.
func (s *state) enrol(token string, d deed) (credential string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	link, err := s.link(token)
	if err != nil {
		return "", err
	}
	link.used = true
	link.owner.passkeys++
	link.owner.modified = d.at
	s.ledger.add(d.about(KindEnrolled, link.owner))
	credential = newSecret()
	s.credentials[credential] = link.owner
	return credential, nil
}

// holders returns the users whose credentials these are, each once, in order.
func (s *state) holders(credentials []string) []account {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []account
	seen := map[*account]bool{}
	for _, c := range credentials {
		if a, ok := s.credentials[c]; ok && !seen[a] {
			seen[a] = true
			found = append(found, *a)
		}
	}
	return found
}

// The rest is called with the lock held.

func (s *state) live(internalID string) (*account, error) {
	a, ok := s.byInternal[internalID]
	if !ok || a.status == StatusDeleted {
		return nil, ErrNoSuchUser
	}
	return a, nil
}

func (s *state) link(token string) (*enrolmentLink, error) {
	link, ok := s.links[token]
	switch {
	case !ok || link.owner.status == StatusDeleted:
		return nil, errLinkUnknown
	case link.used:
		return nil, errLinkUsed
	}
	return link, nil
}

func (s *state) conflict(p profile, self *account) error {
	taken := func(others []*account) bool {
		return slices.ContainsFunc(others, func(a *account) bool {
			return a != self && a.status != StatusDeleted
		})
	}
	if s.modes.Uniqueness.externalID() && taken(s.byExternal[p.externalID]) {
		return errExternalIDTaken
	}
	if s.modes.Uniqueness.email() && taken(s.byEmail[strings.ToLower(p.email)]) {
		return errEmailTaken
	}
	return nil
}

func (s *state) assign(a *account, p profile) {
	a.externalID, a.email, a.userName, a.displayName = p.externalID, p.email, p.userName, p.displayName
	email := strings.ToLower(p.email)
	s.byExternal[p.externalID] = append(s.byExternal[p.externalID], a)
	s.byEmail[email] = append(s.byEmail[email], a)
}

func (s *state) unindex(a *account) {
	same := func(other *account) bool { return other == a }
	email := strings.ToLower(a.email)
	s.byExternal[a.externalID] = slices.DeleteFunc(s.byExternal[a.externalID], same)
	s.byEmail[email] = slices.DeleteFunc(s.byEmail[email], same)
}

// newInternalID looks like the ids in the vendor's samples, and like none of
// ours, so that a mix-up of the two shows.
func newInternalID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails: it ends the program instead
	return hex.EncodeToString(b[:])
}
