package simulator

import (
	"errors"
	"time"
)

// How long things live. A code's life is short because it travels through the
// browser (RFC 6749 section 4.1.2 allows at most ten minutes).
const (
	requestLife         = 10 * time.Minute
	codeLife            = time.Minute
	accessTokenLife     = time.Hour
	managementTokenLife = 24 * time.Hour
)

var (
	errCodeUnknown = errors.New("code unknown or expired")
	errCodeUsed    = errors.New("code already used")
)

// grant is an authorization code and what came of it.
type grant struct {
	request     *authorization
	used        bool
	replayed    bool
	accessToken string
}

// sessions is the OpenID provider's part of the state.
type sessions struct {
	pending          *expiring[*authorization]
	codes            *expiring[*grant]
	accessTokens     *expiring[string] // to the internal id
	managementTokens *expiring[struct{}]
}

func newSessions() sessions {
	return sessions{
		pending:          newExpiring[*authorization](requestLife),
		codes:            newExpiring[*grant](codeLife),
		accessTokens:     newExpiring[string](accessTokenLife),
		managementTokens: newExpiring[struct{}](managementTokenLife),
	}
}

// park keeps an authorization request while a person chooses.
func (s *state) park(a *authorization, now time.Time) (id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id = newSecret()
	s.sessions.pending.put(id, a, now)
	return id
}

// unpark takes a parked request out, once.
func (s *state) unpark(id string, now time.Time) (*authorization, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.sessions.pending.get(id, now)
	s.sessions.pending.drop(id)
	return a, ok
}

// issueCode answers an authorization request on behalf of a user.
func (s *state) issueCode(a *authorization, internalID string, now time.Time) (code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if owner, ok := s.byInternal[internalID]; ok {
		owner.lastAuth = now
	}
	code = newSecret()
	s.sessions.codes.put(code, &grant{request: a}, now)
	return code
}

// redeem uses a code up, whatever becomes of the exchange: the first to present
// it is the only one. A second presentation also ends the token that the first
// one got, since one of the two is a thief (RFC 6749 section 4.1.2). It returns
// errCodeUnknown or errCodeUsed.
func (s *state) redeem(code string, now time.Time) (*authorization, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.sessions.codes.get(code, now)
	if !ok {
		return nil, errCodeUnknown
	}
	if g.used {
		g.replayed = true
		s.sessions.accessTokens.drop(g.accessToken)
		return nil, errCodeUsed
	}
	g.used = true
	g.request.code = code
	return g.request, nil
}

// issueAccessToken returns errCodeUsed when the code was replayed meanwhile.
func (s *state) issueAccessToken(a *authorization, now time.Time) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := newSecret()
	if g, ok := s.sessions.codes.get(a.code, now); ok {
		if g.replayed {
			return "", errCodeUsed
		}
		g.accessToken = token
	}
	s.sessions.accessTokens.put(token, a.internalID, now)
	return token, nil
}

// tokenOwner returns ErrNoSuchUser for a token that is unknown, expired or
// revoked, and for one whose user has been suspended or deleted since.
func (s *state) tokenOwner(token string, now time.Time) (account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	internalID, ok := s.sessions.accessTokens.get(token, now)
	if !ok {
		return account{}, ErrNoSuchUser
	}
	a, ok := s.byInternal[internalID]
	if !ok || a.status != StatusActive {
		return account{}, ErrNoSuchUser
	}
	return *a, nil
}

// issueManagementToken returns a token and how long it lives.
func (s *state) issueManagementToken(now time.Time) (string, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := newSecret()
	s.sessions.managementTokens.life = s.modes.tokenLife()
	s.sessions.managementTokens.put(token, struct{}{}, now)
	return token, s.sessions.managementTokens.life
}

func (s *state) revokeManagementTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions.managementTokens = newExpiring[struct{}](managementTokenLife)
}

func (s *state) isManagementToken(token string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.sessions.managementTokens.get(token, now)
	return ok
}

func (s *state) revoke(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions.accessTokens.drop(token)
	s.sessions.managementTokens.drop(token)
}

// expiring is a map whose entries all live equally long, so that the oldest are
// the first to go and a sweep never looks at a living one. Where the life was
// changed, a dead one may stay behind a living one for a while.
type expiring[V any] struct {
	life  time.Duration
	items map[string]expiringItem[V]
	order []string
}

type expiringItem[V any] struct {
	value V
	end   time.Time
}

func newExpiring[V any](life time.Duration) *expiring[V] {
	return &expiring[V]{life: life, items: map[string]expiringItem[V]{}}
}

func (e *expiring[V]) put(key string, value V, now time.Time) {
	for len(e.order) > 0 {
		oldest, ok := e.items[e.order[0]]
		if ok && now.Before(oldest.end) {
			break
		}
		delete(e.items, e.order[0])
		e.order = e.order[1:]
	}
	e.items[key] = expiringItem[V]{value, now.Add(e.life)}
	e.order = append(e.order, key)
}

func (e *expiring[V]) get(key string, now time.Time) (V, bool) {
	item, ok := e.items[key]
	if !ok || !now.Before(item.end) {
		var none V
		return none, false
	}
	return item.value, true
}

func (e *expiring[V]) drop(key string) { delete(e.items, key) }
