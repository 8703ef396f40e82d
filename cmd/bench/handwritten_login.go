package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"
	"golang.org/x/oauth2"
)

// byHand is a login as one writes it with the usual libraries: a sealed flow in
// a cookie, PKCE, a nonce, the ID token and UserInfo, a flow that is used once,
// and a session.
type byHand struct {
	db       *pgxpool.Pool
	provider *oidc.Provider
	verifier *oidc.IDTokenVerifier
	oauth    oauth2.Config
	sealer   cipher.AEAD
}

type handwrittenFlow struct {
	ID, State, Nonce, Verifier string
}

func serveHandwrittenLogin(ctx context.Context, s setting, ready func(address string)) error {
	db, err := pgxpool.New(ctx, s.DatabaseURL)
	if err != nil {
		return err
	}
	defer db.Close()
	provider, err := oidc.NewProvider(ctx, s.ProviderURL+"/v2")
	if err != nil {
		return err
	}
	var key [32]byte
	_, _ = rand.Read(key[:])
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return err
	}
	sealer, err := cipher.NewGCM(block)
	if err != nil {
		return err
	}
	endpoint := provider.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	h := &byHand{
		db: db, provider: provider, sealer: sealer,
		verifier: provider.Verifier(&oidc.Config{ClientID: clientID, SupportedSigningAlgs: []string{"ES256"}}),
		oauth:    oauth2.Config{ClientID: clientID, ClientSecret: clientSecret, RedirectURL: callbackURL, Endpoint: endpoint, Scopes: []string{"openid"}},
	}
	e := echo.New()
	e.GET("/login", h.begin)
	e.GET("/callback", h.finish)
	return serveHandler(ctx, e, ready)
}

func (h *byHand) begin(c echo.Context) error {
	flow := handwrittenFlow{ID: rand.Text(), State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier()}
	plain, err := json.Marshal(flow)
	if err != nil {
		return err
	}
	nonce := make([]byte, h.sealer.NonceSize())
	_, _ = rand.Read(nonce)
	sealed := h.sealer.Seal(nonce, nonce, plain, []byte(flow.State))
	c.SetCookie(&http.Cookie{ //nolint:gosec // on plain http, as Portico's in this contest
		Name: "flow", Value: base64.RawURLEncoding.EncodeToString(sealed), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return c.Redirect(http.StatusSeeOther, h.oauth.AuthCodeURL(flow.State, oidc.Nonce(flow.Nonce), oauth2.S256ChallengeOption(flow.Verifier)))
}

func (h *byHand) finish(c echo.Context) error {
	flow, err := h.open(c)
	if err != nil {
		return c.NoContent(http.StatusBadRequest)
	}
	ctx := c.Request().Context()
	token, err := h.oauth.Exchange(ctx, c.QueryParam("code"), oauth2.VerifierOption(flow.Verifier))
	if err != nil {
		return c.NoContent(http.StatusBadRequest)
	}
	raw, _ := token.Extra("id_token").(string)
	idToken, err := h.verifier.Verify(ctx, raw)
	if err != nil || idToken.Nonce != flow.Nonce {
		return c.NoContent(http.StatusBadRequest)
	}
	info, err := h.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil || info.Subject != idToken.Subject {
		return c.NoContent(http.StatusBadRequest)
	}
	session, err := h.session(ctx, flow, idToken, c.Request().UserAgent(), c.RealIP())
	if err != nil {
		return err
	}
	c.SetCookie(&http.Cookie{ //nolint:gosec // as above
		Name: "portico", Value: session, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	return c.Redirect(http.StatusSeeOther, "http://localhost:3000/")
}

func (h *byHand) open(c echo.Context) (flow handwrittenFlow, err error) {
	cookie, err := c.Cookie("flow")
	if err != nil {
		return flow, err
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil || len(sealed) < h.sealer.NonceSize() {
		return flow, http.ErrNoCookie
	}
	n := h.sealer.NonceSize()
	plain, err := h.sealer.Open(nil, sealed[:n], sealed[n:], []byte(c.QueryParam("state")))
	if err != nil {
		return flow, err
	}
	err = json.Unmarshal(plain, &flow)
	return flow, err
}

// session uses the flow up and opens a session, with its line in the audit.
func (h *byHand) session(ctx context.Context, flow handwrittenFlow, token *oidc.IDToken, agent, address string) (string, error) {
	secret, now := make([]byte, 32), time.Now().UTC()
	_, _ = rand.Read(secret)
	hash := sha256.Sum256(secret)
	err := pgx.BeginFunc(ctx, h.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO used_flows (flow_id, expires_at) VALUES ($1, $2)`, flow.ID, now.Add(10*time.Minute)); err != nil {
			return err
		}
		var user string
		err := tx.QueryRow(ctx, `SELECT id FROM users WHERE external_id = $1 AND status = 'active' FOR UPDATE`, token.Subject).Scan(&user)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO sessions (id, token_hash, user_id, client, created_at, last_seen_at, expires_at, auth_time,
				issuer, user_agent, address) VALUES ($1, $2, $3, 'browser', $4, $4, $5, $4, $6, $7, $8)`,
			uuid.Must(uuid.NewV7()).String(), hash[:], user, now, now.Add(24*time.Hour), token.Issuer, agent, address)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO audit_events (id, at, actor, action, user_id) VALUES ($1, $2, $3, 'login', $4)`,
			uuid.Must(uuid.NewV7()).String(), now, "user:"+user, user)
		return err
	})
	return base64.RawURLEncoding.EncodeToString(secret), err
}
