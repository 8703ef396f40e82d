package program

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/portico-id/portico/api"
	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/gate"
	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/ratelimit"
	"github.com/portico-id/portico/internal/reconcile"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/webhook"
	"github.com/portico-id/portico/internal/webhook/sender"
)

const (
	// CreatesAtOnce is how many users one replica creates at once.
	CreatesAtOnce = 32
	// signupJobs is how many sign-ups it carries out at once: while as many users
	// as may be are being created, what came of others is written, and the next
	// are fetched.
	signupJobs = CreatesAtOnce * 3 / 2
	// callsAtOnce is all that one replica's jobs may have under way.
	callsAtOnce = signupJobs + 24
	// mailReplyLimit is how long a mail server may take to answer a letter.
	mailReplyLimit = time.Minute
	// callLimit bounds one call to the provider.
	callLimit = 10 * time.Second
	// resendAfter is how long after a sign-up its mail is not sent again.
	resendAfter = time.Minute
	// mailPause is the least time between two enrolment mails to one user. A
	// mail goes out some time after it was wished for, so that the pause has to
	// be shorter than resendAfter, or wishes at the right time were in vain.
	mailPause = 30 * time.Second
	// importsKept is how long what an import has read can be gone on with.
	importsKept = 30 * 24 * time.Hour
	// purgeAtOnce keeps the locks of a purge short.
	purgeAtOnce = 1000
)

// parts are everything that serve runs.
type parts struct {
	db       *store.DB
	store    *store.Store
	queue    *queue.Queue
	sessions *session.Service
	login    *login.RelyingParty
	carry    *provision.Service
	signups  *signup.Service
	accounts *account.Service
	api      *api.API
	audit    *audit.Recorder
	beyond   *beyondidentity.Client
	gate     *gate.Gate
	reload   *reloader

	reconcile *reconcile.Service
	every     time.Duration // between two comparisons of the directories
	retention time.Duration // of events of the audit; 0 for ever

	webhooks         *webhook.Service
	sender           *sender.Sender
	webhookRetention time.Duration

	plan plan
	log  *slog.Logger
}

// wire builds everything from the configuration and an open database. It
// makes no request and starts nothing.
func wire(config Config, p plan, db *store.DB, watch *witness, log *slog.Logger) (*parts, error) {
	q, err := queue.New(queue.Config{
		DB: db.SQL(), Pool: db.Pool(), Workers: signupJobs, CompareEvery: config.compareEvery(), Watch: watch, Log: log,
	})
	if err != nil {
		return nil, err
	}
	stored := store.New(db, q)
	stored.Log, stored.Watch = log, watch.event
	beyond, err := newBeyond(config)
	if err != nil {
		return nil, err
	}
	rp, err := newRelyingParty(config, p, stored, watch, log)
	if err != nil {
		return nil, err
	}
	sessions := &session.Service{
		Store:       stored,
		Idle:        config.SessionIdle,
		Absolute:    config.SessionAbsolute,
		ProviderAge: config.SessionProviderAge,
		RecentLogin: config.SessionRecentLogin,
		MaxPerUser:  config.SessionsPerUser,
		Now:         time.Now,
		Log:         log,
	}
	limiter := newLimiter(p, stored, watch)
	signups := newSignups(config, p, stored, limiter)
	accounts := newAccounts(config, p, stored, limiter, watch, log)
	recorder := &audit.Recorder{Store: stored, Now: time.Now, Log: log}
	send := newSender(config)
	webhooks := newWebhooks(config, stored, countedSender{send, watch}, p.secrets.keys, log)
	served, err := newAPI(config, p, stored, limiter, api.Config{
		Signups: signups, Accounts: accounts, Login: rp, Sessions: sessions, Audit: countedAudit{recorder, watch}, Webhooks: webhooks,
		Watch: watch, Metrics: watch, Log: log,
	})
	if err != nil {
		return nil, err
	}
	calls := watchedProvider{beyond, watch}
	way := newGate(config, stored, log)
	carry := newProvision(config, p, stored, q, calls, way, watch, log)
	all := &parts{
		sender: send, webhooks: webhooks, webhookRetention: config.WebhookRetention,
		db: db, store: stored, queue: q, sessions: sessions, login: rp, signups: signups, accounts: accounts, api: served, beyond: beyond, gate: way, audit: recorder,
		carry: carry, reconcile: newReconcile(stored, q, calls, way, log), every: config.compareEvery(), plan: p, retention: config.AuditRetention,
		log: log,
	}
	watch.read.of(all)
	return all, nil
}

// close closes connections that are not in use.
func (p *parts) close() {
	p.beyond.CloseIdle()
	p.sender.CloseIdle()
	if p.plan.challenge != nil {
		p.plan.challenge.CloseIdle()
	}
}

// newLimiter returns what decides how often somebody may ask, or nil.
func newLimiter(p plan, stored *store.Store, watch *witness) *ratelimit.Limiter {
	if p.limits.Off() {
		return nil
	}
	return &ratelimit.Limiter{Store: stored, Limits: p.limits, Now: time.Now, Refused: watch.LimitHit}
}

// newAPI returns the API over what served names.
func newAPI(config Config, p plan, stored *store.Store, limiter *ratelimit.Limiter, served api.Config) (*api.API, error) {
	served.PublicURL = config.PublicURL
	served.FrontendOrigins = config.FrontendOrigins
	served.DefaultReturnTo = config.DefaultReturnTo
	served.InsecureLocalhost = config.AllowInsecureLocalhost
	served.TrustedProxies = p.proxies
	served.NativeRedirects = p.native
	served.WithoutProviderLogout = config.OIDCBackchannelLogout == logoutOff
	served.Now = time.Now
	if limiter != nil {
		served.Limits = limiter
	}
	administer(&served, p, stored)
	if err := document(&served, config); err != nil {
		return nil, err
	}
	return api.New(served)
}

func newSignups(config Config, p plan, stored *store.Store, limiter *ratelimit.Limiter) *signup.Service {
	signups := &signup.Service{
		Store:       stored,
		Policy:      p.policy,
		Mode:        signup.Mode(config.SignupMode),
		ResendAfter: resendAfter,
		Now:         time.Now,
	}
	if limiter != nil {
		signups.Limits = limiter
	}
	if p.challenge != nil {
		signups.Challenge = p.challenge
	}
	return signups
}

func newAccounts(
	config Config, p plan, stored *store.Store, limiter *ratelimit.Limiter, watch *witness, log *slog.Logger,
) *account.Service {
	accounts := &account.Service{
		Store:  stored,
		Policy: p.policy,
		Grace:  config.DeleteGrace,
		Now:    time.Now,
		Log:    log,
	}
	if limiter != nil {
		accounts.Limits = limiter
	}
	if p.mailer != nil {
		accounts.Mailer = watchedMailer{p.mailer, watch}
	}
	return accounts
}

func newProvision(
	config Config, p plan, stored *store.Store, q *queue.Queue, beyond provider, way *gate.Gate, watch *witness, log *slog.Logger,
) *provision.Service {
	carry := &provision.Service{
		Store:      stored,
		Provider:   beyond,
		Gate:       way,
		Jobs:       q,
		Quarantine: config.BeyondQuarantine,
		CallLimit:  callLimit,
		MailPause:  mailPause,
		Creates:    make(chan struct{}, CreatesAtOnce),
		Now:        time.Now,
		Log:        log,
	}
	if config.BeyondLookup == "v2" {
		carry.Lookup, carry.Changer = beyond, beyond
	}
	if p.mailer != nil {
		carry.Mailer = watchedMailer{p.mailer, watch}
	}
	return carry
}

// newGate returns the one way to the provider.
func newGate(config Config, stored *store.Store, log *slog.Logger) *gate.Gate {
	return &gate.Gate{
		Store:     stored,
		PerMinute: config.BeyondRatePerMinute,
		Token:     func() string { return fingerprint(config) },
		Now:       time.Now,
		Log:       log,
	}
}

func newRelyingParty(config Config, p plan, flows login.FlowStore, watch *witness, log *slog.Logger) (*login.RelyingParty, error) {
	return login.New(login.Config{
		Wrap:                  watch.transport,
		Issuer:                config.OIDCIssuer,
		ClientID:              config.OIDCClientID,
		ClientAuth:            config.OIDCClientAuth,
		ClientSecret:          p.secrets.ClientSecret,
		ClientKey:             p.secrets.ClientKey,
		Revoke:                config.OIDCRevoke,
		RedirectURI:           config.PublicURL + "/callback",
		PostLogoutRedirectURI: config.postLogoutRedirectURI(),
		LogoutTokens:          logoutTokens(config),
		ExternalIDClaim:       config.OIDCExternalIDClaim,
		InternalIDClaim:       config.OIDCInternalIDClaim,
		RequireNonce:          config.OIDCRequireNonce,
		HTTPTimeout:           callLimit,
		Keys:                  p.secrets.keys,
		Flows:                 flows,
		Logger:                log,
	})
}

// logoutTokens says how strictly logout tokens are read. Those of a route that
// is off are not read at all.
func logoutTokens(config Config) string {
	if config.OIDCBackchannelLogout == logoutOff {
		return login.LogoutStrict
	}
	return config.OIDCBackchannelLogout
}

// handlers are what the queue's jobs do.
func (p *parts) handlers() queue.Handlers {
	return queue.Handlers{
		CarrySignup: parking(p.carry.Carry),
		Resend:      parking(p.carry.Resend),
		Notify:      parking(p.carry.Notify),
		FanOut:      p.webhooks.FanOut,
		Deliver:     p.webhooks.Deliver,
		CarryChange: parking(p.carry.CarryChange),
		CarryUser:   parking(p.carry.CarryUser),
		Remind: func(ctx context.Context, id directory.UserID, wished time.Time) (time.Duration, error) {
			again, err := p.carry.Remind(ctx, id, wished)
			return again, parked(err)
		},
		Reconcile:  p.logged("reconcile", p.carry.Reconcile),
		Compare:    p.compare,
		Housekeep:  p.logged("housekeeping", p.housekeep),
		ProveEmail: p.accounts.ProveEmail,
		SendLetter: p.accounts.SendLetter,
	}
}

// parking puts a job aside whose sign-up or user is not there.
func parking[ID ~string](carry func(context.Context, ID) (time.Duration, error)) func(context.Context, ID) (time.Duration, error) {
	return func(ctx context.Context, id ID) (time.Duration, error) {
		again, err := carry(ctx, id)
		return again, parked(err)
	}
}

func parked(err error) error {
	if errors.Is(err, provision.ErrNotFound) {
		return &queue.ParkError{Cause: err}
	}
	return err
}

// logged says that a periodic job has failed. There is another soon, which is
// as good as trying this one again. One that was told to end has not failed.
func (p *parts) logged(name string, do func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := do(ctx); err != nil {
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			p.log.WarnContext(ctx, "periodic job has failed", slog.String("job", name), slog.Any("error", err))
		}
		return nil
	}
}

// housekeep removes what has expired.
func (p *parts) housekeep(ctx context.Context) error {
	for {
		now := time.Now()
		// A day's grace lets an operator look at what has ended.
		purged, err := p.store.PurgeExpired(ctx, now.Add(-24*time.Hour), p.sessions.Idle, purgeAtOnce)
		if err != nil {
			return err
		}
		buckets, err := p.store.PurgeRateLimits(ctx, now.Add(-time.Minute), purgeAtOnce)
		if err != nil {
			return err
		}
		imported, err := p.store.PurgeImports(ctx, now.Add(-importsKept), purgeAtOnce)
		if err != nil {
			return err
		}
		if max(purged, buckets, imported) < purgeAtOnce {
			return errors.Join(p.retainAudit(ctx), p.keepWebhooks(ctx, now))
		}
	}
}

// migrate brings the schema and the queue's tables up to date.
func migrate(ctx context.Context, db *store.DB) error {
	return db.Migrate(ctx, queue.Migrate(db.Dialect() == store.Postgres))
}

// current reports whether the schema and the queue's tables are up to date. It
// writes nothing.
func current(ctx context.Context, db *store.DB) (bool, error) {
	ok, err := db.UpToDate(ctx)
	if err != nil || !ok {
		return false, err
	}
	return queue.UpToDate(ctx, db.Dialect() == store.Postgres, db.SQL())
}

// openDatabase opens the configured database. The error names the setting.
func openDatabase(ctx context.Context, config Config) (*store.DB, error) {
	return openWatched(ctx, config, nil)
}

// openWatched does the same, and has each statement seen.
func openWatched(ctx context.Context, config Config, watch store.Statements) (*store.DB, error) {
	db, err := store.OpenWatched(ctx, config.DatabaseURL.Reveal(), watch)
	if err != nil {
		return nil, fmt.Errorf("PORTICO_DATABASE_URL: %w", err)
	}
	return db, nil
}
