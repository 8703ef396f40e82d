package api_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-id/portico/api"
	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/admintoken"
	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/gate"
	"github.com/portico-id/portico/internal/keyring"
	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/login/hostile"
	"github.com/portico-id/portico/internal/nativeapp"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/ratelimit"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

const (
	appOrigin    = "https://app.example"
	clientSecret = "canary-client-secret-9a8b"
	apiToken     = "canary-api-token-6f1d2c3b"
	idle         = 30 * time.Minute
	absolute     = 24 * time.Hour
	recentLogin  = 15 * time.Minute
	// nativeRedirect is where a native app's logins end.
	nativeRedirect = "com.example.app:/signed-in"
)

// clock is a time that a test moves.
type clock struct {
	mu    sync.Mutex
	moved time.Duration
	from  time.Time // when it was stopped; zero while it goes
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.from.IsZero() {
		return c.from.Add(c.moved)
	}
	return time.Now().Add(c.moved)
}

// stop lets only advance move the clock from now on.
func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.from = time.Now()
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved += d
}

// jobs is a queue whose inserts can be held up.
type jobs struct {
	*queue.Queue

	hold chan struct{} // if not nil, a sign-up with a key takes until it is closed
	held chan struct{} // gets a token for each that is held
}

// EnqueueSignup inserts the job, unless it is held.
func (j *jobs) EnqueueSignup(ctx context.Context, tx *sql.Tx, id signup.ID) error {
	if j.hold != nil {
		j.held <- struct{}{}
		<-j.hold
	}
	return j.Queue.EnqueueSignup(ctx, tx, id)
}

// options say how a world differs from the usual one.
type options struct {
	databaseURL string // default: a SQLite file
	secure      bool   // https, as in production
	proxies     []netip.Prefix
	noProvider  bool                            // the provider has not been discovered
	provider    func(http.Handler) http.Handler // stands before the simulator
	queue       bool                            // sign-ups are carried out by themselves
	hostile     bool                            // logins go to a hostile provider, not to the simulator

	sessions func(*session.Service) // changes what is usual of sessions
	serve    func(*api.Config)      // changes what is usual of the API
	login    func(*login.Config)    // changes what is usual of logins

	mails     bool // there is a mail server: the simulator's
	limits    ratelimit.Limits
	policy    *directory.Policy
	mode      signup.Mode
	challenge signup.Challenge
}

// world is an API with everything behind it, on real sockets.
type world struct {
	t        *testing.T
	url      string
	server   *httptest.Server
	sim      *simulator.Simulator
	db       *store.DB
	store    *store.Store
	served   *api.API
	tokens   *atomic.Pointer[admintoken.Tokens] // that are good
	hostile  *hostile.Provider                  // nil unless the options say so
	clock    *clock                             // of sessions
	flows    *clock                             // of logins: the provider's tokens are of the machine's time
	jobs     *jobs
	carry    *provision.Service
	signups  *signup.Service
	secrets  *secrets
	log      *lines
	accounts *account.Service

	// What another replica is made of.
	databaseURL string
	keys        *keyring.Ring
	rp          login.Config
	sessions    *session.Service
	config      api.Config
}

func newWorld(t *testing.T, o options) *world {
	t.Helper()
	if o.databaseURL == "" {
		o.databaseURL = copyOfSQLite(t)
	}
	w := &world{
		t: t, clock: &clock{}, flows: &clock{}, tokens: &atomic.Pointer[admintoken.Tokens]{},
		secrets: &secrets{}, log: &lines{}, databaseURL: o.databaseURL,
	}
	w.db = storetest.Open(t, o.databaseURL)
	w.server = httptest.NewUnstartedServer(nil)
	scheme := "http://"
	if o.secure {
		scheme = "https://"
	}
	w.url = scheme + w.server.Listener.Addr().String()
	simURL := w.startSimulator(o)
	if o.hostile {
		w.startHostile()
	}
	log := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.signUps(o, beyond(t, simURL), log)
	sessions := &session.Service{
		Store: w.store, Idle: idle, Absolute: absolute, RecentLogin: recentLogin, Now: w.clock.now, Log: log,
	}
	if o.sessions != nil {
		o.sessions(sessions)
	}
	redirects, err := nativeapp.ParseRedirects([]string{nativeRedirect, "https://app.example/native", "http://127.0.0.1/native"})
	if err != nil {
		t.Fatal(err)
	}
	config := api.Config{
		PublicURL: w.url, FrontendOrigins: []string{appOrigin}, DefaultReturnTo: appOrigin + "/home",
		InsecureLocalhost: !o.secure, TrustedProxies: o.proxies,
		NativeRedirects: redirects,
		Signups:         w.signups,
		Accounts:        w.ownAccounts(o, log),
		Login:           w.relyingParty(simURL, o, log),
		Sessions:        sessions,
		AdminTokens:     w.tokens.Load,
		Pages:           w.keys,
		Events:          w.store,
		Audit:           w.recorder(log),
		Webhooks:        w.webhooks(t, log),
		Now:             w.flows.now, Log: log,
	}
	if !o.limits.Off() {
		config.Limits = &ratelimit.Limiter{Store: w.store, Limits: o.limits, Now: w.clock.now}
	}
	if o.serve != nil {
		o.serve(&config)
	}
	w.sessions, w.config = sessions, config
	served, err := api.New(config)
	if err != nil {
		t.Fatal(err)
	}
	w.served = served
	w.server.Config.Handler = w.log.of(served)
	if o.secure {
		w.server.StartTLS()
	} else {
		w.server.Start()
	}
	t.Cleanup(func() {
		w.server.Close()
		w.secrets.check(t, w.log.text())
	})
	return w
}

// recorder writes down what is refused, as serve does.
func (w *world) recorder(log *slog.Logger) *audit.Recorder {
	w.store.Log = log
	recorder := &audit.Recorder{Store: w.store, Now: time.Now, Log: log}
	ctx, cancel := context.WithCancel(w.t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		recorder.Run(ctx)
	}()
	w.t.Cleanup(func() {
		cancel()
		<-stopped
	})
	return recorder
}

// signUps makes what accepts sign-ups and what carries them out.
func (w *world) signUps(o options, provider *beyondidentity.Client, log *slog.Logger) {
	w.t.Helper()
	inserts, err := queue.New(queue.Config{DB: w.db.SQL(), Pool: w.db.Pool(), Workers: 8, Log: log})
	if err != nil {
		w.t.Fatal(err)
	}
	w.jobs = &jobs{Queue: inserts}
	w.store = store.New(w.db, w.jobs)
	w.carry = &provision.Service{
		Store: w.store, Provider: provider, Lookup: provider,
		Gate: &gate.Gate{Store: w.store, Token: func() string { return "token" }, Now: w.clock.now, Log: log},
		// The pause is shorter than the time before resend_after, which begins
		// earlier: a wish that is accepted must not come to nothing.
		Quarantine: time.Minute, CallLimit: time.Second, MailPause: 30 * time.Second, Now: w.clock.now, Log: log,
	}
	w.signups = &signup.Service{
		Store: w.store, Policy: o.policy, Mode: o.mode, Challenge: o.challenge, ResendAfter: time.Minute, Now: w.clock.now,
	}
	if !o.limits.Off() {
		w.signups.Limits = &ratelimit.Limiter{Store: w.store, Limits: o.limits, Now: w.clock.now}
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		w.signups.Run(ctx)
	}()
	w.t.Cleanup(func() {
		cancel()
		<-stopped
	})
	if o.queue {
		w.work()
	}
}

// work lets the queue carry sign-ups out until the test ends.
func (w *world) work() {
	w.t.Helper()
	nothing := func(context.Context) error { return nil }
	err := w.jobs.Start(w.t.Context(), queue.Handlers{
		CarrySignup: w.carry.Carry, Resend: w.carry.Resend, Notify: w.carry.Notify, Reconcile: nothing, Housekeep: nothing,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(w.t.Context()), await.Patience)
		defer cancel()
		if err := w.jobs.Stop(ctx); err != nil {
			w.t.Error(err)
		}
	})
}

// migrated is a migrated SQLite file, made by the first test that needs one.
var migrated struct {
	once sync.Once
	file []byte
}

// copyOfSQLite returns the URL of a migrated database of the test's own.
// Copying one costs a tenth of migrating each, under the race detector above
// all.
func copyOfSQLite(t *testing.T) (databaseURL string) {
	t.Helper()
	const scheme = "sqlite:"
	var err error
	migrated.once.Do(func() {
		migrated.file, err = os.ReadFile(strings.TrimPrefix(storetest.SQLite(t), scheme))
	})
	if err != nil || len(migrated.file) == 0 {
		t.Fatal("there is no migrated database:", err)
	}
	path := filepath.Join(t.TempDir(), "portico.db")
	if err := os.WriteFile(path, migrated.file, 0o600); err != nil {
		t.Fatal(err)
	}
	return scheme + path
}

func (w *world) startSimulator(o options) (url string) {
	server := httptest.NewUnstartedServer(nil)
	url = "http://" + server.Listener.Addr().String()
	sim, err := simulator.New(simulator.Config{
		BaseURL: url, APIToken: apiToken, ClientID: "portico", ClientSecret: clientSecret,
		RedirectURIs: []string{w.url + "/callback"}, RegistrationRedirectURI: w.url + "/login",
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := sim.RotateKeys(simulator.ES256); err != nil { // quicker to make than RSA's
		w.t.Fatal(err)
	}
	server.Config.Handler = w.secrets.overhear(sim)
	if o.provider != nil {
		server.Config.Handler = o.provider(server.Config.Handler)
	}
	server.Start()
	w.t.Cleanup(func() {
		server.Close()
		sim.Close()
	})
	w.sim = sim
	return url
}

func (w *world) relyingParty(simURL string, o options, log *slog.Logger) *login.RelyingParty {
	var raw [32]byte
	_, _ = rand.Read(raw[:])
	keys, err := keyring.Parse(base64.StdEncoding.EncodeToString(raw[:]))
	if err != nil {
		w.t.Fatal(err)
	}
	transport := &http.Transport{}
	w.t.Cleanup(transport.CloseIdleConnections)
	config := login.Config{
		Issuer: simURL + "/v2", ClientID: "portico", ClientAuth: login.AuthBasic,
		ClientSecret: func() (login.Secret, error) { return clientSecret, nil },
		RedirectURI:  w.url + "/callback", ExternalIDClaim: "external_id", InternalIDClaim: "id", RequireNonce: true,
		Keys: keys, Flows: w.store, Now: w.flows.now, Logger: log, Transport: transport,
	}
	if w.hostile != nil {
		config.Issuer, config.ClientID = w.hostile.Issuer, hostile.ClientID
		config.ClientSecret = func() (login.Secret, error) { return hostile.ClientSecret, nil }
	}
	if o.login != nil {
		o.login(&config)
	}
	w.keys, w.rp = keys, config
	rp, err := login.New(config)
	if err != nil {
		w.t.Fatal(err)
	}
	if o.noProvider {
		return rp
	}
	if _, err := rp.Discover(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return rp
}

func beyond(t *testing.T, simURL string) *beyondidentity.Client {
	t.Helper()
	client, err := beyondidentity.New(beyondidentity.Config{
		BaseURL: simURL,
		Token:   func() (beyondidentity.Token, error) { return beyondidentity.NewToken(apiToken), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdle)
	return client
}

// enqueued returns the sign-ups that have a job of the kind, oldest first.
func (w *world) enqueued(kind string) []signup.ID {
	w.t.Helper()
	rows, err := w.db.SQL().QueryContext(w.t.Context(), "SELECT args FROM river_job WHERE kind = '"+kind+"' ORDER BY id")
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	var ids []signup.ID
	for rows.Next() {
		var raw []byte
		var args struct {
			ID signup.ID `json:"signup_id"`
		}
		if err := errors.Join(rows.Scan(&raw), json.Unmarshal(raw, &args)); err != nil {
			w.t.Fatal(err)
		}
		ids = append(ids, args.ID)
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return ids
}

// provision carries out what has been enqueued so far.
func (w *world) provision() {
	w.t.Helper()
	for _, id := range w.enqueued("signup") {
		if again, err := w.carry.Carry(w.t.Context(), id); err != nil || again != 0 {
			w.t.Fatalf("provisioning: again in %v: %v", again, err)
		}
	}
}

// resent carries out the wishes for another mail.
func (w *world) resent() {
	w.t.Helper()
	for _, id := range w.enqueued("resend") {
		if again, err := w.carry.Resend(w.t.Context(), id); err != nil || again != 0 {
			w.t.Fatalf("resending: again in %v: %v", again, err)
		}
	}
}

// rows counts the rows of a table.
func (w *world) rows(table string) (n int) {
	w.t.Helper()
	if err := w.db.SQL().QueryRowContext(w.t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// exec changes the database behind the API's back.
func (w *world) exec(statement string) {
	w.t.Helper()
	if _, err := w.db.SQL().ExecContext(w.t.Context(), statement); err != nil {
		w.t.Fatal(err)
	}
}
