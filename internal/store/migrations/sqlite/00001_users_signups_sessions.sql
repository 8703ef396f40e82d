-- +goose Up
CREATE TABLE users (
    id                         text      NOT NULL,
    external_id                text      NOT NULL,
    internal_id                text,
    email                      text      NOT NULL,
    email_canonical            text      NOT NULL,
    display_name               text      NOT NULL,
    status                     text      NOT NULL,
    issuer                     text,
    subject                    text,
    provision_attempt          integer     NOT NULL DEFAULT 0,
    provision_ambiguous_until  timestamp,
    provision_last_error_class text,
    created_at                 timestamp NOT NULL,
    updated_at                 timestamp NOT NULL,

    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_external_id_key UNIQUE (external_id),
    CONSTRAINT users_internal_id_key UNIQUE (internal_id),
    CONSTRAINT users_email_canonical_key UNIQUE (email_canonical),
    CONSTRAINT users_issuer_subject_key UNIQUE (issuer, subject),
    CONSTRAINT users_status_check CHECK (status IN (
        'received', 'provisioning', 'invited', 'active', 'suspended',
        'failed', 'conflict', 'deleting', 'deleted')),
    -- Nobody is invited, let alone active, whom the provider does not have.
    CONSTRAINT users_internal_id_check CHECK (
        status NOT IN ('invited', 'active') OR internal_id IS NOT NULL),
    CONSTRAINT users_issuer_subject_check CHECK (
        (issuer IS NULL) = (subject IS NULL))
);

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
CREATE INDEX signups_user_id_idx ON signups (user_id);

CREATE TABLE sessions (
    id           text      NOT NULL,
    token_hash   blob      NOT NULL,
    user_id      text      NOT NULL,
    client       text      NOT NULL,
    created_at   timestamp NOT NULL,
    last_seen_at timestamp NOT NULL,
    expires_at   timestamp NOT NULL,

    CONSTRAINT sessions_pkey PRIMARY KEY (id),
    CONSTRAINT sessions_token_hash_key UNIQUE (token_hash),
    CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT sessions_token_hash_check CHECK (length(token_hash) = 32),
    CONSTRAINT sessions_client_check CHECK (client IN ('browser', 'native'))
);
CREATE INDEX sessions_user_id_idx ON sessions (user_id);
CREATE INDEX sessions_expires_at_idx ON sessions (expires_at);

CREATE TABLE used_flows (
    flow_id    text      NOT NULL,
    expires_at timestamp NOT NULL,

    CONSTRAINT used_flows_pkey PRIMARY KEY (flow_id)
);
CREATE INDEX used_flows_expires_at_idx ON used_flows (expires_at);

-- +goose Down
DROP TABLE used_flows;
DROP TABLE sessions;
DROP TABLE signups;
DROP TABLE users;
