package main

import (
	"context"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
)

// fixedAnswer is as long as the others'.
const fixedAnswer = `{"id":"019d2c5e-7c1a-7b7e-9f3c-000000000001","external_id":"019d2c5e-7c1a-7b7e-9f3c-000000000001",` +
	`"internal_id":"int-1","email":"user1@example.com","display_name":"User 1","status":"active",` +
	`"created_at":"2026-03-01T12:00:00.123456Z","sync":"synced","session":{"id":"019d2c5e-7c1a-7b7e-9f3c-000000000001",` +
	`"client":"browser","current":true,"created_at":"2026-03-01T12:00:00.123456Z","last_seen_at":"2026-03-01T12:00:00.123456Z",` +
	`"idle_expires_at":"2026-03-01T12:30:00.123456Z","expires_at":"2026-03-02T12:00:00.123456Z",` +
	`"auth_time":"2026-03-01T12:00:00.123456Z","recent_login_until":"2026-03-01T12:05:00.123456Z","acr":"phr","amr":["hwk","user"],` +
	`"device":"` + userAgent + `","address":"203.0.113.7"}}`

// serveFixed answers without looking at anything. It is no baseline: it shows
// what HTTP costs before any work.
func serveFixed(ctx context.Context, _ setting, ready func(address string)) error {
	e := echo.New()
	e.GET("/me", func(c echo.Context) error {
		return c.JSONBlob(http.StatusOK, []byte(fixedAnswer))
	})
	e.POST("/signup", func(c echo.Context) error {
		return c.JSONBlob(http.StatusAccepted, []byte(`{"signup_id":"","status":"received","status_url":"","resend_after":""}`))
	})
	return serveHandler(ctx, e, ready)
}

// serveRefusals refuses what refusedRequests ask for, without looking either.
func serveRefusals(ctx context.Context, _ setting, ready func(address string)) error {
	e := echo.New()
	refuse := func(status int, code string) echo.HandlerFunc {
		body := []byte(`{"type":"about:blank","title":"It is refused","status":` + strconv.Itoa(status) + `,"code":"` + code + `"}`)
		return func(c echo.Context) error { return c.Blob(status, "application/problem+json", body) }
	}
	nobody, unknown := refuse(http.StatusUnauthorized, "not_authenticated"), refuse(http.StatusUnauthorized, "session_invalid")
	e.GET("/me", func(c echo.Context) error {
		if c.Request().Header.Get("Cookie") == "" {
			return nobody(c)
		}
		return unknown(c)
	})
	e.POST("/signup", refuse(http.StatusUnsupportedMediaType, "unsupported_media_type"))
	e.GET("/wp-login.php", refuse(http.StatusNotFound, "not_found"))
	return serveHandler(ctx, e, ready)
}
