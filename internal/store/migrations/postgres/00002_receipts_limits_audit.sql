-- +goose Up

-- When a passkey was first seen, when mails went out, and when to look again.
ALTER TABLE users
    ADD COLUMN activated_at      timestamptz,
    ADD COLUMN enrolment_mail_at timestamptz,
    ADD COLUMN notice_at         timestamptz,
    ADD COLUMN notice_sent_at    timestamptz,
    ADD COLUMN check_at          timestamptz;
UPDATE users SET activated_at = updated_at WHERE subject IS NOT NULL;
UPDATE users SET enrolment_mail_at = updated_at WHERE internal_id IS NOT NULL;
UPDATE users SET check_at = updated_at WHERE status = 'invited';
-- When to look at the user at the provider again.
CREATE INDEX users_check_at_idx ON users (check_at) WHERE check_at IS NOT NULL;

-- A sign-up is accepted without looking whether its address is registered:
-- its job finds the user or makes one, and then forgets the candidate.
ALTER TABLE signups
    ALTER COLUMN kind DROP NOT NULL,
    ADD COLUMN candidate_id    uuid,
    ADD COLUMN email           text,
    ADD COLUMN email_canonical text,
    ADD COLUMN display_name    text,
    ADD COLUMN invitation_id   uuid,
    ADD COLUMN resend_after    timestamptz,
    ADD COLUMN resends         integer NOT NULL DEFAULT 0,
    ADD COLUMN mails_claimed   integer NOT NULL DEFAULT 0; -- wishes for which an enrolment mail has been on its way
UPDATE signups SET resend_after = date_trunc('second', created_at) + interval '1 minute';
ALTER TABLE signups
    ALTER COLUMN resend_after SET NOT NULL,
    ADD CONSTRAINT signups_kind_user_check CHECK ((kind IS NULL) = (user_id IS NULL)),
    ADD CONSTRAINT signups_candidate_check CHECK (
        user_id IS NOT NULL OR (candidate_id IS NOT NULL AND email IS NOT NULL
                                AND email_canonical IS NOT NULL AND display_name IS NOT NULL));
CREATE INDEX signups_unsettled_idx ON signups (created_at) WHERE settled_at IS NULL;

CREATE TABLE idempotency_keys (
    key_hash    bytea       NOT NULL,
    fingerprint bytea       NOT NULL,
    sealed      bytea       NOT NULL, -- the receipt, under a key that only the client's request yields
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,

    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (key_hash)
);
CREATE INDEX idempotency_keys_expires_at_idx ON idempotency_keys (expires_at);

CREATE TABLE invitations (
    id              uuid        NOT NULL,
    code_hash       bytea       NOT NULL,
    email_canonical text,
    note            text        NOT NULL,
    uses            integer     NOT NULL,
    uses_left       integer     NOT NULL,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    revoked_at      timestamptz,

    CONSTRAINT invitations_pkey PRIMARY KEY (id),
    CONSTRAINT invitations_code_hash_key UNIQUE (code_hash),
    CONSTRAINT invitations_code_hash_check CHECK (length(code_hash) = 32),
    CONSTRAINT invitations_uses_check CHECK (uses > 0 AND uses_left BETWEEN 0 AND uses)
);
ALTER TABLE signups
    ADD CONSTRAINT signups_invitation_id_fkey FOREIGN KEY (invitation_id) REFERENCES invitations (id);

-- Not logged: a crash of the database empties the buckets, and nobody waits
-- for the disk for their sake.
CREATE UNLOGGED TABLE rate_limits (
    bucket   text        NOT NULL,
    empty_at timestamptz NOT NULL, -- when the bucket will have drained

    CONSTRAINT rate_limits_pkey PRIMARY KEY (bucket)
);

-- What all replicas know of the provider: one row.
CREATE TABLE provider_gate (
    name           text        NOT NULL,
    empty_at       timestamptz NOT NULL, -- of the outbound budget's bucket
    failures       integer     NOT NULL, -- in a row
    closures       integer     NOT NULL, -- in a row
    closed_because text,                 -- null while open
    closed_since   timestamptz,
    closed_until   timestamptz,          -- then one probe may pass
    refused_token  text,                 -- fingerprint of the token that was refused

    CONSTRAINT provider_gate_pkey PRIMARY KEY (name),
    CONSTRAINT provider_gate_closed_check CHECK (
        (closed_because IS NULL) = (closed_until IS NULL)
        AND (closed_because IS NULL) = (closed_since IS NULL))
);
INSERT INTO provider_gate (name, empty_at, failures, closures) VALUES ('manage', '2000-01-01Z', 0, 0);

-- Who did what to whom: written in the transaction that does it.
CREATE TABLE audit_events (
    id          uuid        NOT NULL,
    at          timestamptz NOT NULL,
    actor       text        NOT NULL,
    action      text        NOT NULL,
    user_id     uuid,
    signup_id   uuid,
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
ALTER TABLE signups DROP CONSTRAINT signups_invitation_id_fkey;
DROP TABLE invitations;
DROP TABLE idempotency_keys;
DELETE FROM signups WHERE user_id IS NULL;
DROP INDEX signups_unsettled_idx;
ALTER TABLE signups
    DROP CONSTRAINT signups_candidate_check,
    DROP CONSTRAINT signups_kind_user_check,
    DROP COLUMN mails_claimed, DROP COLUMN resends, DROP COLUMN resend_after, DROP COLUMN invitation_id, DROP COLUMN display_name,
    DROP COLUMN email_canonical, DROP COLUMN email, DROP COLUMN candidate_id,
    ALTER COLUMN kind SET NOT NULL;
DROP INDEX users_check_at_idx;
ALTER TABLE users
    DROP COLUMN check_at, DROP COLUMN notice_sent_at, DROP COLUMN notice_at, DROP COLUMN enrolment_mail_at, DROP COLUMN activated_at;
