package program

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/portico-id/portico/api"
	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
)

const (
	// workers is how many sign-ups are carried out at once by one replica.
	workers = 16
	// callLimit bounds one call to the provider.
	callLimit = 10 * time.Second
	// resendAfter is how long after a sign-up its mail is not sent again.
	resendAfter = time.Minute
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
	api      *api.API
	beyond   *beyondidentity.Client
}

// wire builds everything from the configuration and an open database. It
// makes no request and starts nothing.
func wire(config Config, p plan, db *store.DB, log *slog.Logger) (*parts, error) {
	q, err := queue.New(queue.Config{DB: db.SQL(), Pool: db.Pool(), Workers: workers, Log: log})
	if err != nil {
		return nil, err
	}
	stored := store.New(db, q)
	beyond, err := newBeyond(config)
	if err != nil {
		return nil, err
	}
	rp, err := newRelyingParty(config, p, stored, log)
	if err != nil {
		return nil, err
	}
	sessions := &session.Service{
		Store:    stored,
		Idle:     config.SessionIdle,
		Absolute: config.SessionAbsolute,
		Now:      time.Now,
		Log:      log,
	}
	carry := &provision.Service{
		Store:      stored,
		Provider:   beyond,
		Quarantine: config.BeyondQuarantine,
		CallLimit:  callLimit,
		Now:        time.Now,
		Log:        log,
	}
	if config.BeyondLookup == "v2" {
		carry.Lookup = beyond
	}
	served, err := api.New(api.Config{
		PublicURL:         config.PublicURL,
		FrontendOrigins:   config.FrontendOrigins,
		DefaultReturnTo:   config.DefaultReturnTo,
		InsecureLocalhost: config.AllowInsecureLocalhost,
		TrustedProxies:    p.proxies,
		Signups:           &signup.Service{Store: stored, ResendAfter: resendAfter, Now: time.Now},
		Login:             rp,
		Sessions:          sessions,
		Now:               time.Now,
		Log:               log,
	})
	if err != nil {
		return nil, err
	}
	return &parts{
		db: db, store: stored, queue: q, sessions: sessions, login: rp, carry: carry, api: served, beyond: beyond,
	}, nil
}

func newBeyond(config Config) (*beyondidentity.Client, error) {
	return beyondidentity.New(beyondidentity.Config{
		BaseURL: config.BeyondAPIURL,
		Token: func() (beyondidentity.Token, error) {
			token, err := config.BeyondAPIToken.Current()
			return beyondidentity.NewToken(token), err
		},
		Timeout:   callLimit,
		UserAgent: "portico/" + version(),
		MaxConns:  workers,
	})
}

func newRelyingParty(config Config, p plan, flows login.FlowStore, log *slog.Logger) (*login.RelyingParty, error) {
	return login.New(login.Config{
		Issuer:          config.OIDCIssuer,
		ClientID:        config.OIDCClientID,
		ClientSecret:    login.Secret(config.OIDCClientSecret.Reveal()),
		ClientAuth:      config.OIDCClientAuth,
		RedirectURI:     config.PublicURL + "/callback",
		ExternalIDClaim: config.OIDCExternalIDClaim,
		InternalIDClaim: config.OIDCInternalIDClaim,
		RequireNonce:    config.OIDCRequireNonce,
		HTTPTimeout:     callLimit,
		Keys:            p.keys,
		Flows:           flows,
		Logger:          log,
	})
}

// handlers are what the queue's jobs do.
func (p *parts) handlers() queue.Handlers {
	return queue.Handlers{
		CarrySignup: p.carry.Carry,
		Housekeep: func(ctx context.Context) error {
			for {
				// A day's grace lets an operator look at what has ended.
				purged, err := p.store.PurgeExpired(ctx, time.Now().Add(-24*time.Hour), purgeAtOnce)
				if err != nil || purged < purgeAtOnce {
					return err
				}
			}
		},
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
	db, err := store.Open(ctx, config.DatabaseURL.Reveal())
	if err != nil {
		return nil, fmt.Errorf("PORTICO_DATABASE_URL: %w", err)
	}
	return db, nil
}
