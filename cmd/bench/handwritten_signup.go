package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/mail"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"
)

// handwrittenAcceptance writes what Portico writes, in one statement: the
// sign-up and the job that carries it out.
const handwrittenAcceptance = `
	WITH job AS (
		INSERT INTO river_job (args, kind, max_attempts, metadata, priority, queue, scheduled_at, state, tags)
		VALUES ($8, 'signup', 10000, '{}', 1, 'default', now(), 'available', '{}'))
	INSERT INTO signups (id, receipt_hash, locale, terms_version, created_at, candidate_id, email, email_canonical,
		display_name, resend_after)
	VALUES ($1, $2, '', '', $3, $4, $5, $6, $9, $7)`

// handwrittenSignup accepts a sign-up with no more care than is needed for the
// answer.
func handwrittenSignup(db *pgxpool.Pool) echo.HandlerFunc {
	return func(c echo.Context) error {
		var body struct {
			Email       string `json:"email"`
			DisplayName string `json:"display_name"`
		}
		if err := json.NewDecoder(http.MaxBytesReader(c.Response(), c.Request().Body, 64<<10)).Decode(&body); err != nil {
			return c.NoContent(http.StatusBadRequest)
		}
		if _, err := mail.ParseAddress(body.Email); err != nil {
			return c.NoContent(http.StatusUnprocessableEntity)
		}
		receipt, id, now := rand.Text(), uuid.Must(uuid.NewV7()).String(), time.Now().UTC()
		hash, again := sha256.Sum256([]byte(receipt)), now.Add(time.Minute)
		_, err := db.Exec(c.Request().Context(), handwrittenAcceptance,
			id, hash[:], now, uuid.Must(uuid.NewV7()).String(), body.Email, strings.ToLower(body.Email), again,
			`{"signup_id":"`+id+`"}`, body.DisplayName)
		if err != nil {
			return err
		}
		c.Response().Header().Set(echo.HeaderLocation, "/signup/"+receipt)
		return c.JSON(http.StatusAccepted, map[string]any{
			"signup_id": receipt, "status": "received", "status_url": "/signup/" + receipt, "resend_after": again,
		})
	}
}
