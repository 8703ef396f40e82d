package simulator

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxBody bounds every request body, in bytes.
const maxBody = 64 << 10

// Config says which tenant the simulator plays.
type Config struct {
	// BaseURL is where the simulator is reached, without a trailing slash:
	// "http://localhost:8081". The issuer is BaseURL + "/v2".
	BaseURL string
	// APIToken is the bearer token of the management APIs.
	APIToken string
	// ClientID and ClientSecret are the one confidential client, of the OpenID
	// provider and of the client-credentials grant alike. The secret may come
	// as client_secret_basic or as client_secret_post.
	ClientID, ClientSecret string
	// RedirectURIs are compared character by character, loopback ones too.
	RedirectURIs []string
	// RegistrationRedirectURI is where a browser goes once it has registered a
	// passkey: "http://localhost:8080/login".
	RegistrationRedirectURI string
	// Modes are the tenant's habits; the zero value means [DefaultModes].
	Modes Modes
	// LedgerFile gets each entry of the ledger as a line of JSON, before the
	// effect is answered; nil for none. It outlives a reset, which is a line of
	// its own, and, if it is a file, the simulator.
	LedgerFile io.Writer
	// Logger is told of each management and provider call; nil discards.
	Logger *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

func (c Config) validate() error {
	base, err := url.Parse(c.BaseURL)
	switch {
	case err != nil:
		return fmt.Errorf("base URL: %w", err)
	case base.Scheme != "http" && base.Scheme != "https", base.Host == "":
		return errors.New("base URL: needs http:// or https:// and a host")
	case base.Path != "", base.RawQuery != "", base.Fragment != "":
		return errors.New("base URL: takes no path, query or trailing slash")
	case c.APIToken == "", c.ClientID == "", c.ClientSecret == "":
		return errors.New("API token, client id and client secret are required")
	case c.RegistrationRedirectURI == "":
		return errors.New("registration redirect URI is required")
	}
	return c.Modes.validate()
}

// Simulator is Beyond Identity as far as its clients can tell. It is an
// http.Handler and safe for concurrent use. The zero value is not usable.
type Simulator struct {
	cfg      Config
	now      func() time.Time
	log      *slog.Logger
	state    *state
	faults   *faultList
	enemy    hostile
	sinks    sinks
	keys     *keyRing
	mux      *http.ServeMux
	provider http.Handler
	pages    *pages

	mu           sync.Mutex
	current      *epoch
	redirectURIs []string
}

// New makes a simulator with no users and no faults. It returns an error when
// the configuration leaves something out.
func New(cfg Config) (*Simulator, error) {
	if cfg.Modes == (Modes{}) {
		cfg.Modes = DefaultModes()
	}
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	s := &Simulator{
		cfg:          cfg,
		now:          cfg.Now,
		log:          cfg.Logger,
		faults:       &faultList{},
		keys:         &keyRing{alg: RS256},
		current:      newEpoch(),
		redirectURIs: slices.Clone(cfg.RedirectURIs),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.state = newState(cfg.Modes, ledger{out: cfg.LedgerFile, failed: func(err error) {
		s.log.Error("write ledger", "error", err)
	}})
	rendered, err := newPages()
	if err != nil {
		return nil, fmt.Errorf("simulator: pages: %w", err)
	}
	s.pages = rendered
	provider, err := newProvider(s)
	if err != nil {
		return nil, fmt.Errorf("simulator: OpenID provider: %w", err)
	}
	s.provider = provider
	s.mux = s.routes()
	return s, nil
}

func (s *Simulator) routes() *http.ServeMux {
	mux := http.NewServeMux()

	mux.Handle("POST /v1/manage/users", s.managed(writeV1Error, s.createV1))
	mux.Handle("POST /v1/manage/recover-user", s.managed(writeV1Error, s.recoverV1))
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, _ *http.Request) {
		writeV1Error(w, notFound("no such method"))
	})

	mux.Handle("GET /v2/users", s.managed(writeV2Error, s.listV2))
	mux.Handle("POST /v2/users", s.managed(writeV2Error, s.createV2))
	mux.Handle("GET /v2/users/{id}", s.managed(writeV2Error, s.getV2))
	mux.Handle("PATCH /v2/users/{id}", s.managed(writeV2Error, s.patchV2))
	mux.Handle("DELETE /v2/users/{id}", s.managed(writeV2Error, s.deleteV2))
	mux.HandleFunc("/v2/", func(w http.ResponseWriter, _ *http.Request) {
		writeV2Error(w, notFound("no such method"))
	})

	mux.Handle("GET "+issuerPath+discoveryPath, s.provider)
	mux.Handle("GET "+issuerPath+jwksPath, s.provider)
	mux.Handle("GET "+issuerPath+userinfoPath, s.provider)
	mux.Handle("POST "+issuerPath+userinfoPath, s.provider)
	mux.Handle("POST "+issuerPath+tokenPath, s.provider)
	mux.Handle("POST "+issuerPath+revocationPath, s.provider)
	mux.HandleFunc("GET "+issuerPath+authorizePath, s.authorize)
	mux.HandleFunc("POST "+issuerPath+authorizePath, s.authorize)
	mux.HandleFunc("GET "+issuerPath+continuePath, s.continueAuthorize)

	mux.HandleFunc("GET /enroll/{token}", s.showEnrolment)
	mux.HandleFunc("POST /enroll/{token}", s.enrol)
	mux.HandleFunc("GET /mailbox", s.showMailbox)
	mux.HandleFunc("GET /mailbox/{id}", s.showMailHTML)
	mux.HandleFunc("GET /{$}", s.showIndex)
	mux.HandleFunc("/", s.showNotFound)

	s.controls(mux)
	return mux
}

// controls are the routes that only tests know.
func (s *Simulator) controls(mux *http.ServeMux) {
	mux.HandleFunc("GET /sim/mailbox", s.simMailbox)
	mux.HandleFunc("GET /sim/users", s.simUsers)
	mux.HandleFunc("PATCH /sim/users/{id}", s.simDrift)
	mux.HandleFunc("GET /sim/ledger", s.simLedger)
	mux.HandleFunc("GET /sim/requests", s.simRequests)
	mux.HandleFunc("POST /sim/reset", s.simReset)
	mux.HandleFunc("GET /sim/modes", s.simModes)
	mux.HandleFunc("PUT /sim/modes", s.simSetModes)
	mux.HandleFunc("GET /sim/faults", s.simFaults)
	mux.HandleFunc("POST /sim/faults", s.simAddFault)
	mux.HandleFunc("DELETE /sim/faults", s.simClearFaults)
	mux.HandleFunc("GET /sim/hostility", s.simHostility)
	mux.HandleFunc("POST /sim/hostility", s.simBeHostile)
	mux.HandleFunc("DELETE /sim/hostility", s.simBePeaceful)
	mux.HandleFunc("POST /sim/keys/rotate", s.simRotateKeys)
	mux.HandleFunc("POST /sim/tokens/revoke", s.simRevokeTokens)
	mux.HandleFunc("/sim/", func(w http.ResponseWriter, _ *http.Request) {
		writeSimError(w, http.StatusNotFound, "no such control")
	})
}

// ServeHTTP answers one request. Management and provider calls are recorded and
// may meet a fault; pages and controls never do.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if !isVendorPath(r.URL.Path) {
		s.mux.ServeHTTP(w, r)
		return
	}
	rec := &recordingWriter{ResponseWriter: w, record: s.recorder(r.Method, r.URL.Path)}
	defer rec.done()
	if fault, hit := s.faults.take(r.Method, r.URL.Path, s.now()); hit {
		s.serveFaulty(rec, r, fault.Effect, "fault "+fault.ID)
		return
	}
	if effect, cause, hit := s.enemy.meet(r.Method, r.URL.Path); hit {
		s.serveFaulty(rec, r, effect, cause)
		return
	}
	s.mux.ServeHTTP(rec, r)
}

func (s *Simulator) recorder(method, path string) func(status int) {
	return func(status int) {
		s.state.record(Request{Method: method, Path: path, Status: status, Time: s.now().UTC()})
		s.log.Info("call", "method", method, "path", path, "status", status)
	}
}

// isVendorPath tells what belongs to Beyond Identity from what is ours.
func isVendorPath(path string) bool {
	return strings.HasPrefix(path, "/v1/") || strings.HasPrefix(path, "/v2/")
}

// Issuer is the OpenID provider's issuer, BaseURL + "/v2".
func (s *Simulator) Issuer() string { return s.cfg.BaseURL + issuerPath }

// Users lists all users in order of creation, deleted ones included.
func (s *Simulator) Users() []User { return s.state.users("", "") }

// Ledger is everything that happened at the provider since the last reset,
// whatever was answered.
func (s *Simulator) Ledger() Ledger { return s.state.ledgerAfter(0, "") }

// Requests lists the last 10,000 management and provider calls, oldest first.
func (s *Simulator) Requests() []Request { return s.state.allRequests() }

// Mailbox lists the mails to one address, newest first; all mails if to is "".
func (s *Simulator) Mailbox(to string) []Mail { return s.state.mailbox(to) }

// Modes are the habits in force.
func (s *Simulator) Modes() Modes { return s.state.currentModes() }

// SetModes changes the habits until the next reset. It returns an error when
// one of them is out of range.
func (s *Simulator) SetModes(m Modes) error {
	if err := m.validate(); err != nil {
		return err
	}
	s.state.setModes(m)
	return nil
}

// AddFault arms a fault behind those already there and returns its id. It
// returns a *FaultError when the fault could never act as it says.
func (s *Simulator) AddFault(f Fault) (string, error) {
	return s.faults.add(f, s.now())
}

// Faults lists the faults, used-up ones included.
func (s *Simulator) Faults() []Fault { return s.faults.all() }

// ClearFaults disarms all faults. Effects already on their way still commit.
func (s *Simulator) ClearFaults() { s.faults.clear() }

// RotateKeys makes a new signing key and publishes it beside the older ones.
// It returns an error for an algorithm other than RS256 and ES256.
func (s *Simulator) RotateKeys(alg Algorithm) error { return s.keys.rotate(alg) }

// AddRedirectURI registers one more redirect URI for the client.
func (s *Simulator) AddRedirectURI(uri string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.redirectURIs = append(s.redirectURIs, uri)
}

func (s *Simulator) knowsRedirectURI(uri string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.redirectURIs, uri)
}

// Reset forgets users, mails, passkeys, tokens, faults, hostility, requests and
// the ledger, returns to the initial modes, and cancels effects that had not
// been committed. Signing keys and redirect URIs stay.
func (s *Simulator) Reset() {
	s.mu.Lock()
	old := s.current
	s.current = newEpoch()
	s.mu.Unlock()
	old.close()
	s.faults.clear()
	s.enemy.end()
	s.state.reset(s.cfg.Modes, s.now())
}

// Close cancels effects that had not been committed, waits for the goroutines
// that carried them, and ends the mail sinks. Requests are still answered
// afterwards.
func (s *Simulator) Close() {
	s.epoch().close()
	s.sinks.close()
}

func (s *Simulator) epoch() *epoch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// newSecret is 128 random bits and more, for anything that must not be guessed.
func newSecret() string { return rand.Text() }
