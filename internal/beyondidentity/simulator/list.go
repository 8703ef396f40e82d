package simulator

import (
	"cmp"
	"slices"
	"strings"
)

// list returns the page of live users for which the filter holds, oldest first,
// and how many there are in all. What an index answers costs as much as the
// answer, a list without a filter as much as the page, and the rest a look at
// everybody.
func (s *state) list(f userFilter, skip, size int) (page []account, total int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.keep == nil {
		from := min(skip, len(s.living))
		for _, a := range s.living[from:min(from+size, len(s.living))] {
			page = append(page, *a)
		}
		return page, len(s.living)
	}
	for _, a := range s.among(f) {
		if a.status == StatusDeleted || !f.keep(a) {
			continue
		}
		if total >= skip && len(page) < size {
			page = append(page, *a)
		}
		total++
	}
	return page, total
}

// among are the users that the filter's index knows, or all, in order of
// creation. It is called with the lock held.
func (s *state) among(f userFilter) []*account {
	var found []*account
	switch {
	case f.internalID != nil:
		if a, ok := s.byInternal[*f.internalID]; ok {
			found = []*account{a}
		}
		return found
	case f.externalID != nil:
		found = s.byExternal[*f.externalID]
	case f.email != nil:
		found = s.byEmail[strings.ToLower(*f.email)]
	default:
		return s.living
	}
	// A change puts a user last in their new place of an index.
	return slices.SortedFunc(slices.Values(found), byPlace)
}

func byPlace(a, b *account) int { return cmp.Compare(a.place, b.place) }

// turn gives a user another status. It is called with the lock held.
func (s *state) turn(a *account, status string) {
	at, listed := slices.BinarySearchFunc(s.living, a, byPlace)
	switch gone := status == StatusDeleted; {
	case gone && listed:
		s.living = slices.Delete(s.living, at, at+1)
	case !gone && !listed:
		s.living = slices.Insert(s.living, at, a)
	}
	a.status = status
}

// users are all users in order of creation, or those that carry an external id
// or have an address, by the index, where one is given.
func (s *state) users(externalID, email string) []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	among := s.accounts
	switch {
	case externalID != "":
		among = s.byExternal[externalID]
	case email != "":
		among = s.byEmail[strings.ToLower(email)]
	}
	users := make([]User, 0, len(among))
	for _, a := range among {
		if externalID != "" && email != "" && !strings.EqualFold(a.email, email) {
			continue
		}
		users = append(users, User{
			ExternalID: a.externalID, InternalID: a.internalID, Email: a.email,
			UserName: a.userName, DisplayName: a.displayName, Status: a.status,
			Creates: s.creates[a.externalID], Mails: a.mails, Passkeys: a.passkeys,
		})
	}
	return users
}
