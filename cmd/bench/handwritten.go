package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"

	"github.com/portico-id/portico/api/openapi"
)

// serveHandwritten is what Portico does, as one writes it with Echo and pgx, and with
// nothing that is not needed for the answer: one query a request, no access
// log, no check of origins, no last use, no limits.
func serveHandwritten(pool int32) func(ctx context.Context, s setting, ready func(address string)) error {
	return func(ctx context.Context, s setting, ready func(address string)) error {
		config, err := pgxpool.ParseConfig(s.DatabaseURL)
		if err != nil {
			return err
		}
		config.MaxConns = pool
		config.ConnConfig.RuntimeParams["timezone"] = "UTC"
		db, err := pgxpool.NewWithConfig(ctx, config)
		if err != nil {
			return err
		}
		defer db.Close()
		e := echo.New()
		e.GET("/me", handwrittenMe(db))          //nolint:contextcheck // each request brings its own
		e.POST("/signup", handwrittenSignup(db)) //nolint:contextcheck // each request brings its own
		return serveHandler(ctx, e, ready)
	}
}

const handwrittenQuery = `
	SELECT s.id, s.client, s.created_at, s.last_seen_at, s.expires_at, s.auth_time, s.user_agent, s.address,
	       COALESCE(s.acr, ''), COALESCE(s.amr, ''),
	       u.id, u.external_id, u.internal_id, u.email, u.display_name, u.status, u.created_at
	FROM sessions s JOIN users u ON u.id = s.user_id
	WHERE s.token_hash = $1`

func handwrittenMe(db *pgxpool.Pool) echo.HandlerFunc {
	return func(c echo.Context) error {
		cookie, err := c.Cookie(cookieName)
		if err != nil {
			return c.NoContent(http.StatusUnauthorized)
		}
		token, err := base64.RawURLEncoding.DecodeString(cookie.Value)
		if err != nil {
			return c.NoContent(http.StatusUnauthorized)
		}
		hash := sha256.Sum256(token)
		var me openapi.Me
		s, amr := &me.Session, ""
		err = db.QueryRow(c.Request().Context(), handwrittenQuery, hash[:]).Scan(
			&s.ID, &s.Client, &s.CreatedAt, &s.LastSeenAt, &s.ExpiresAt, &s.AuthTime, &s.Device, &s.Address,
			&s.Acr, &amr,
			&me.ID, &me.ExternalID, &me.InternalID, &me.Email, &me.DisplayName, &me.Status, &me.CreatedAt,
		)
		now := time.Now()
		s.IdleExpiresAt = s.LastSeenAt.Add(30 * time.Minute)
		switch {
		case errors.Is(err, pgx.ErrNoRows), err == nil && (me.Status != "active" || now.After(s.ExpiresAt) || now.After(s.IdleExpiresAt)):
			return c.NoContent(http.StatusUnauthorized)
		case err != nil:
			return err
		}
		if amr != "" {
			if err := json.Unmarshal([]byte(amr), &s.Amr); err != nil {
				return err
			}
		}
		me.Sync, s.Current, s.RecentLoginUntil = "synced", true, s.AuthTime.Add(5*time.Minute)
		return c.JSON(http.StatusOK, me)
	}
}
