package simulator

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// The controls: what a test asks of the simulator over HTTP. They take no token
// and are not Beyond Identity's.

func writeSimError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, struct {
		Error string `json:"error"`
	}{message})
}

func readSim(w http.ResponseWriter, r *http.Request, dst any) bool {
	if e := decodeJSON(r.Body, dst); e != nil {
		writeSimError(w, e.status, e.message)
		return false
	}
	return true
}

func (s *Simulator) simUsers(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	writeJSON(w, http.StatusOK, s.state.users(query.Get("external_id"), query.Get("email")))
}

// simLedger takes ?after=, a sequence number, and ?external_id=.
func (s *Simulator) simLedger(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	after, ok := queryNumber(query.Get("after"))
	if !ok {
		writeSimError(w, http.StatusBadRequest, "after: not a number")
		return
	}
	writeJSON(w, http.StatusOK, s.state.ledgerAfter(int64(after), query.Get("external_id")))
}

func (s *Simulator) simRequests(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.state.allRequests())
}

// modesPatch is a part of Modes; what is absent stays.
type modesPatch struct {
	Uniqueness    *Uniqueness `json:"uniqueness"`
	Wrap          *bool       `json:"wrap"`
	Lookup        *bool       `json:"lookup"`
	RatePerMinute *int        `json:"rate_per_minute"`
	TokenSeconds  *int        `json:"token_seconds"`
	V1ConsoleOnly *bool       `json:"v1_console_only"`
}

func (p modesPatch) apply(m Modes) Modes {
	if p.Uniqueness != nil {
		m.Uniqueness = *p.Uniqueness
	}
	if p.Wrap != nil {
		m.Wrap = *p.Wrap
	}
	if p.Lookup != nil {
		m.Lookup = *p.Lookup
	}
	if p.RatePerMinute != nil {
		m.RatePerMinute = *p.RatePerMinute
	}
	if p.TokenSeconds != nil {
		m.TokenSeconds = *p.TokenSeconds
	}
	if p.V1ConsoleOnly != nil {
		m.V1ConsoleOnly = *p.V1ConsoleOnly
	}
	return m
}

func modesFromQuery(q url.Values) (modesPatch, error) {
	var p modesPatch
	for name := range q {
		value := q.Get(name)
		var err error
		switch name {
		case "uniqueness":
			p.Uniqueness = (*Uniqueness)(&value)
		case "wrap":
			p.Wrap, err = parsed(strconv.ParseBool(value))
		case "lookup":
			p.Lookup, err = parsed(strconv.ParseBool(value))
		case "rate_per_minute":
			p.RatePerMinute, err = parsed(strconv.Atoi(value))
		case "token_seconds":
			p.TokenSeconds, err = parsed(strconv.Atoi(value))
		case "v1_console_only":
			p.V1ConsoleOnly, err = parsed(strconv.ParseBool(value))
		default:
			err = errors.New("no such mode")
		}
		if err != nil {
			return p, fmt.Errorf("%s: %w", name, err)
		}
	}
	return p, nil
}

func parsed[T any](value T, err error) (*T, error) { return &value, err }

// simReset resets, and takes modes as query parameters.
func (s *Simulator) simReset(w http.ResponseWriter, r *http.Request) {
	patch, err := modesFromQuery(r.URL.Query())
	if err == nil {
		err = patch.apply(s.cfg.Modes).validate()
	}
	if err != nil {
		writeSimError(w, http.StatusBadRequest, err.Error())
		return
	}
	s.Reset()
	s.state.setModes(patch.apply(s.cfg.Modes))
	w.WriteHeader(http.StatusNoContent)
}

func (s *Simulator) simModes(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.Modes())
}

func (s *Simulator) simSetModes(w http.ResponseWriter, r *http.Request) {
	var patch modesPatch
	if !readSim(w, r, &patch) {
		return
	}
	if err := s.SetModes(patch.apply(s.Modes())); err != nil {
		writeSimError(w, http.StatusBadRequest, err.Error())
		return
	}
	writeJSON(w, http.StatusOK, s.Modes())
}

func (s *Simulator) simFaults(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.Faults())
}

func (s *Simulator) simAddFault(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Match       Match   `json:"match"`
		Effect      Effect  `json:"fault"`
		Times       int     `json:"times"`
		Probability float64 `json:"probability"`
		Flap        *Flap   `json:"flap"`
	}
	if !readSim(w, r, &in) {
		return
	}
	id, err := s.AddFault(Fault{Match: in.Match, Effect: in.Effect, Times: in.Times, Probability: in.Probability, Flap: in.Flap})
	if err != nil {
		writeSimError(w, http.StatusBadRequest, err.Error())
		return
	}
	writeJSON(w, http.StatusCreated, struct {
		ID string `json:"id"`
	}{id})
}

func (s *Simulator) simClearFaults(w http.ResponseWriter, _ *http.Request) {
	s.ClearFaults()
	w.WriteHeader(http.StatusNoContent)
}

// simRotateKeys takes no body, or {"alg": "ES256"}.
func (s *Simulator) simRotateKeys(w http.ResponseWriter, r *http.Request) {
	in := struct {
		Alg Algorithm `json:"alg"`
	}{s.keys.algorithm()}
	if e := decodeJSON(r.Body, &in); e != nil && r.ContentLength != 0 {
		writeSimError(w, e.status, e.message)
		return
	}
	_, _ = io.Copy(io.Discard, r.Body) // bounded by MaxBytesReader
	if err := s.RotateKeys(in.Alg); err != nil {
		writeSimError(w, http.StatusBadRequest, err.Error())
		return
	}
	writeJSON(w, http.StatusOK, in)
}
