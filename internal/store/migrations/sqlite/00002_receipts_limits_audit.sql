-- +goose Up

-- When a passkey was first seen, when mails went out, and when to look again.
ALTER TABLE users ADD COLUMN activated_at timestamp;
ALTER TABLE users ADD COLUMN enrolment_mail_at timestamp;
ALTER TABLE users ADD COLUMN notice_at timestamp;
ALTER TABLE users ADD COLUMN notice_sent_at timestamp;
ALTER TABLE users ADD COLUMN check_at timestamp;
UPDATE users SET activated_at = updated_at WHERE subject IS NOT NULL;
UPDATE users SET enrolment_mail_at = updated_at WHERE internal_id IS NOT NULL;
UPDATE users SET check_at = updated_at WHERE status = 'invited';
-- When to look at the user at the provider again.
CREATE INDEX users_check_at_idx ON users (check_at) WHERE check_at IS NOT NULL;

CREATE TABLE invitations (
    id              text      NOT NULL,
    code_hash       blob      NOT NULL,
    email_canonical text,
    note            text      NOT NULL,
    uses            integer   NOT NULL,
    uses_left       integer   NOT NULL,
    created_at      timestamp NOT NULL,
    expires_at      timestamp NOT NULL,
    revoked_at      timestamp,

    CONSTRAINT invitations_pkey PRIMARY KEY (id),
    CONSTRAINT invitations_code_hash_key UNIQUE (code_hash),
    CONSTRAINT invitations_code_hash_check CHECK (length(code_hash) = 32),
    CONSTRAINT invitations_uses_check CHECK (uses > 0 AND uses_left BETWEEN 0 AND uses)
);

-- A sign-up is accepted without looking whether its address is registered:
-- its job finds the user or makes one, and then forgets the candidate. The
-- table is made anew, since SQLite cannot take a NOT NULL away.
ALTER TABLE signups RENAME TO signups_before;
DROP INDEX signups_user_id_idx;
CREATE TABLE signups (
    id              text      NOT NULL,
    receipt_hash    blob      NOT NULL,
    user_id         text,
    kind            text,
    locale          text      NOT NULL,
    terms_version   text      NOT NULL,
    created_at      timestamp NOT NULL,
    settled_at      timestamp,
    candidate_id    text,
    email           text,
    email_canonical text,
    display_name    text,
    invitation_id   text,
    resend_after    timestamp NOT NULL,
    resends         integer   NOT NULL DEFAULT 0,
    mails_claimed   integer   NOT NULL DEFAULT 0, -- wishes for which an enrolment mail has been on its way

    CONSTRAINT signups_pkey PRIMARY KEY (id),
    CONSTRAINT signups_receipt_hash_key UNIQUE (receipt_hash),
    CONSTRAINT signups_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT signups_invitation_id_fkey FOREIGN KEY (invitation_id) REFERENCES invitations (id),
    CONSTRAINT signups_receipt_hash_check CHECK (length(receipt_hash) = 32),
    CONSTRAINT signups_kind_check CHECK (kind IN ('new', 'duplicate')),
    CONSTRAINT signups_kind_user_check CHECK ((kind IS NULL) = (user_id IS NULL)),
    CONSTRAINT signups_candidate_check CHECK (
        user_id IS NOT NULL OR (candidate_id IS NOT NULL AND email IS NOT NULL
                                AND email_canonical IS NOT NULL AND display_name IS NOT NULL))
);
INSERT INTO signups (id, receipt_hash, user_id, kind, locale, terms_version, created_at, settled_at, resend_after)
    SELECT id, receipt_hash, user_id, kind, locale, terms_version, created_at, settled_at, created_at FROM signups_before;
DROP TABLE signups_before;
CREATE INDEX signups_user_id_idx ON signups (user_id);
CREATE INDEX signups_unsettled_idx ON signups (created_at) WHERE settled_at IS NULL;

CREATE TABLE idempotency_keys (
    key_hash    blob      NOT NULL,
    fingerprint blob      NOT NULL,
    sealed      blob      NOT NULL, -- the receipt, under a key that only the client's request yields
    created_at  timestamp NOT NULL,
    expires_at  timestamp NOT NULL,

    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (key_hash)
);
CREATE INDEX idempotency_keys_expires_at_idx ON idempotency_keys (expires_at);

CREATE TABLE rate_limits (
    bucket   text      NOT NULL,
    empty_at timestamp NOT NULL, -- when the bucket will have drained

    CONSTRAINT rate_limits_pkey PRIMARY KEY (bucket)
);

-- What all replicas know of the provider: one row.
CREATE TABLE provider_gate (
    name           text      NOT NULL,
    empty_at       timestamp NOT NULL, -- of the outbound budget's bucket
    failures       integer   NOT NULL, -- in a row
    closures       integer   NOT NULL, -- in a row
    closed_because text,               -- null while open
    closed_since   timestamp,
    closed_until   timestamp,          -- then one probe may pass
    refused_token  text,               -- fingerprint of the token that was refused

    CONSTRAINT provider_gate_pkey PRIMARY KEY (name),
    CONSTRAINT provider_gate_closed_check CHECK (
        (closed_because IS NULL) = (closed_until IS NULL)
        AND (closed_because IS NULL) = (closed_since IS NULL))
);
INSERT INTO provider_gate (name, empty_at, failures, closures) VALUES ('manage', '2000-01-01 00:00:00+00:00', 0, 0);

-- Who did what to whom: written in the transaction that does it.
CREATE TABLE audit_events (
    id          text      NOT NULL,
    at          timestamp NOT NULL,
    actor       text      NOT NULL,
    action      text      NOT NULL,
    user_id     text,
    signup_id   text,
    from_status text,
    to_status   text,
    class       text, -- of the error, where one was the reason

    CONSTRAINT audit_events_pkey PRIMARY KEY (id)
);
CREATE INDEX audit_events_user_id_idx ON audit_events (user_id, at);
CREATE INDEX audit_events_at_idx ON audit_events (at);

-- +goose Down
DROP TABLE audit_events;
DROP TABLE provider_gate;
DROP TABLE rate_limits;
DROP TABLE idempotency_keys;
ALTER TABLE signups RENAME TO signups_after;
DROP INDEX signups_unsettled_idx;
DROP INDEX signups_user_id_idx;
CREATE TABLE signups (
    id            text      NOT NULL,
    receipt_hash  blob      NOT NULL,
    user_id       text,
    kind          text      NOT NULL,
    locale        text      NOT NULL,
    terms_version text      NOT NULL,
    created_at    timestamp NOT NULL,
    settled_at    timestamp,

    CONSTRAINT signups_pkey PRIMARY KEY (id),
    CONSTRAINT signups_receipt_hash_key UNIQUE (receipt_hash),
    CONSTRAINT signups_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT signups_receipt_hash_check CHECK (length(receipt_hash) = 32),
    CONSTRAINT signups_kind_check CHECK (kind IN ('new', 'duplicate'))
);
INSERT INTO signups SELECT id, receipt_hash, user_id, kind, locale, terms_version, created_at, settled_at
    FROM signups_after WHERE user_id IS NOT NULL;
DROP TABLE signups_after;
DROP TABLE invitations;
CREATE INDEX signups_user_id_idx ON signups (user_id);
DROP INDEX users_check_at_idx;
ALTER TABLE users DROP COLUMN check_at;
ALTER TABLE users DROP COLUMN notice_sent_at;
ALTER TABLE users DROP COLUMN notice_at;
ALTER TABLE users DROP COLUMN enrolment_mail_at;
ALTER TABLE users DROP COLUMN activated_at;
