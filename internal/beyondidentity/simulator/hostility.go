package simulator

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"
)

// DefaultLateness is how late effects and answers may be where Hostility does
// not say.
const DefaultLateness = 2 * time.Second

// Hostility lets every management call meet a misfortune by chance. Which one
// the n-th call meets depends on the seed and on n alone; the package's
// documentation has the table.
type Hostility struct {
	Seed uint64
	// Level is the probability that a call meets one.
	Level float64
	// Lateness bounds how late an effect may be committed and how long an
	// answer may take; 0 means DefaultLateness.
	Lateness time.Duration
	// Unauthorized adds 401 and 403, which stop a client altogether.
	Unauthorized bool
	// OIDC is hostile on the OpenID provider's paths, too.
	OIDC bool
	// Quiet spares the calls for which it is true, and they do not count; nil
	// spares none.
	Quiet func(method, path string) bool
}

func (h *Hostility) normalise() error {
	if h.Lateness == 0 {
		h.Lateness = DefaultLateness
	}
	switch {
	case !(h.Level >= 0 && h.Level <= 1): // not a number is neither
		return wrong("level", "is not between 0 and 1")
	case h.Lateness < time.Millisecond || h.Lateness > maxDelay*time.Millisecond:
		return wrong("max_late_ms", "is not between 1 and %d", maxDelay)
	}
	return nil
}

// hostile is the hostility in force, and what came of it.
type hostile struct {
	mu     sync.Mutex
	on     bool
	terms  Hostility
	calls  uint64
	struck map[string]int
}

func (e *hostile) begin(h Hostility) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.on, e.terms, e.calls, e.struck = true, h, 0, map[string]int{}
}

func (e *hostile) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.on = false
}

// meet says what the next call meets, if anything.
func (e *hostile) meet(method, path string) (effect Effect, cause string, hit bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.on || !e.terms.OIDC && !isManagementPath(path) || e.terms.Quiet != nil && e.terms.Quiet(method, path) {
		return Effect{}, "", false
	}
	e.calls++
	d := throw(e.terms.Seed, e.calls)
	if d.Float64() >= e.terms.Level {
		return Effect{}, "", false
	}
	m := pick(d, e.terms)
	e.struck[m.name]++
	effect = m.effect(d, e.terms)
	effect.normalise()
	return effect, fmt.Sprintf("hostility %d %s", e.calls, m.name), true
}

func isManagementPath(path string) bool {
	return strings.HasPrefix(path, "/v1/") || path == "/v2/users" || strings.HasPrefix(path, "/v2/users/")
}

// BeHostile makes the simulator hostile until BePeaceful or a reset, from the
// first call on. Armed faults go before it. It returns a *FaultError for a
// level or a lateness out of range.
func (s *Simulator) BeHostile(h Hostility) error {
	if err := h.normalise(); err != nil {
		return err
	}
	s.enemy.begin(h)
	return nil
}

// BePeaceful ends hostility. Effects already on their way still commit.
func (s *Simulator) BePeaceful() { s.enemy.end() }

// hostilityReport is the control's answer.
type hostilityReport struct {
	On           bool           `json:"on"`
	Seed         uint64         `json:"seed"`
	Level        float64        `json:"level"`
	MaxLateMS    int64          `json:"max_late_ms"`
	Unauthorized bool           `json:"unauthorized"`
	OIDC         bool           `json:"oidc"`
	Calls        uint64         `json:"calls"`
	Struck       map[string]int `json:"struck"` // by the misfortune's name
}

func (e *hostile) report() hostilityReport {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := hostilityReport{
		On: e.on, Seed: e.terms.Seed, Level: e.terms.Level, MaxLateMS: e.terms.Lateness.Milliseconds(),
		Unauthorized: e.terms.Unauthorized, OIDC: e.terms.OIDC, Calls: e.calls, Struck: map[string]int{},
	}
	maps.Copy(r.Struck, e.struck)
	return r
}

func (s *Simulator) simHostility(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.enemy.report())
}

func (s *Simulator) simBeHostile(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Seed         uint64  `json:"seed"`
		Level        float64 `json:"level"`
		MaxLateMS    int64   `json:"max_late_ms"`
		Unauthorized bool    `json:"unauthorized"`
		OIDC         bool    `json:"oidc"`
	}
	if !readSim(w, r, &in) {
		return
	}
	if in.MaxLateMS < 0 || in.MaxLateMS > maxDelay {
		writeSimError(w, http.StatusBadRequest, wrong("max_late_ms", "is not between 0 and %d", maxDelay).Error())
		return
	}
	err := s.BeHostile(Hostility{
		Seed: in.Seed, Level: in.Level, Lateness: time.Duration(in.MaxLateMS) * time.Millisecond,
		Unauthorized: in.Unauthorized, OIDC: in.OIDC,
	})
	if err != nil {
		writeSimError(w, http.StatusBadRequest, err.Error())
		return
	}
	s.simHostility(w, r)
}

func (s *Simulator) simBePeaceful(w http.ResponseWriter, _ *http.Request) {
	s.BePeaceful()
	w.WriteHeader(http.StatusNoContent)
}
