-- +goose Up

-- What the provider said of the login, and where the session is used from.
ALTER TABLE sessions
    ADD COLUMN auth_time        timestamptz, -- when the user proved who they are; null: when the session began
    ADD COLUMN acr              text,
    ADD COLUMN amr              text,        -- a JSON array of texts
    ADD COLUMN issuer           text,
    ADD COLUMN provider_session text,        -- the provider's `sid`
    ADD COLUMN user_agent       text NOT NULL DEFAULT '',
    ADD COLUMN address          text NOT NULL DEFAULT '';
UPDATE sessions SET issuer = users.issuer FROM users WHERE users.id = sessions.user_id;
CREATE INDEX sessions_provider_session_idx ON sessions (issuer, provider_session) WHERE provider_session IS NOT NULL;

-- What a native app trades for a session: single use, a minute.
CREATE TABLE native_codes (
    code_hash        bytea       NOT NULL,
    challenge        bytea       NOT NULL, -- SHA-256 of the verifier that the app alone has
    user_id          uuid        NOT NULL,
    identity         text        NOT NULL, -- who the provider says has logged in, as JSON
    provider_session text,                 -- of the identity: a logout there ends the code too
    created_at       timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL,

    CONSTRAINT native_codes_pkey PRIMARY KEY (code_hash),
    CONSTRAINT native_codes_code_hash_check CHECK (length(code_hash) = 32),
    CONSTRAINT native_codes_challenge_check CHECK (length(challenge) = 32),
    CONSTRAINT native_codes_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id)
);
CREATE INDEX native_codes_user_id_idx ON native_codes (user_id);
CREATE INDEX native_codes_expires_at_idx ON native_codes (expires_at);

-- Logout tokens that have been obeyed: one takes effect once.
CREATE TABLE used_logout_tokens (
    token_hash bytea       NOT NULL, -- SHA-256 of issuer and jti
    expires_at timestamptz NOT NULL,

    CONSTRAINT used_logout_tokens_pkey PRIMARY KEY (token_hash),
    CONSTRAINT used_logout_tokens_token_hash_check CHECK (length(token_hash) = 32)
);
CREATE INDEX used_logout_tokens_expires_at_idx ON used_logout_tokens (expires_at);

-- Whoever may not sign in has no session, whoever it is that says so.
-- +goose StatementBegin
CREATE FUNCTION users_end_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- In the order in which everything else locks several.
    PERFORM 1 FROM sessions WHERE user_id = NEW.id ORDER BY id FOR UPDATE;
    DELETE FROM sessions WHERE user_id = NEW.id;
    DELETE FROM native_codes WHERE user_id = NEW.id;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER users_end_sessions AFTER UPDATE OF status ON users
    FOR EACH ROW WHEN (OLD.status = 'active' AND NEW.status <> 'active')
    EXECUTE FUNCTION users_end_sessions();

-- +goose Down
DROP TRIGGER users_end_sessions ON users;
DROP FUNCTION users_end_sessions();
DROP TABLE used_logout_tokens;
DROP TABLE native_codes;
DROP INDEX sessions_provider_session_idx;
ALTER TABLE sessions
    DROP COLUMN address, DROP COLUMN user_agent, DROP COLUMN provider_session, DROP COLUMN issuer,
    DROP COLUMN amr, DROP COLUMN acr, DROP COLUMN auth_time;
