-- +goose Up

-- Since when something is to be carried to the provider, while it is.
ALTER TABLE users
    ADD COLUMN sync_since timestamptz;

-- The comparisons of the two directories. At most one is running.
CREATE TABLE reconciliations (
    id           uuid        NOT NULL,
    actor        text        NOT NULL,
    state        text        NOT NULL,
    running      boolean, -- true, or null once it has ended
    holder       text        NOT NULL, -- the process that works on it
    held_until   timestamptz NOT NULL, -- then another may
    started_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    total        bigint      NOT NULL, -- users there
    unread       bigint, -- of them; null until their number is known
    repair       text        NOT NULL, -- the classes that are to be repaired
    max_changes  bigint NOT NULL, -- then the rest is left; 0 for no such end
    ceiling      bigint NOT NULL, -- more is not begun
    counts       text        NOT NULL, -- JSON: what was found, and repaired, of each class

    CONSTRAINT reconciliations_pkey PRIMARY KEY (id),
    CONSTRAINT reconciliations_running_key UNIQUE (running),
    CONSTRAINT reconciliations_running_check CHECK (running),
    CONSTRAINT reconciliations_state_check CHECK (state IN (
        'reading', 'comparing', 'confirming', 'repairing', 'done', 'abandoned')),
    CONSTRAINT reconciliations_ended_check CHECK (
        (ended_at IS NULL) = (running IS NOT NULL) AND (ended_at IS NOT NULL) = (state IN ('done', 'abandoned')))
);
CREATE INDEX reconciliations_started_at_idx ON reconciliations (started_at);

-- The provider's users as a run has read them; gone when it ends.
CREATE TABLE reconciliation_users (
    run_id          uuid NOT NULL,
    internal_id     text NOT NULL,
    external_id     text NOT NULL,
    email           text NOT NULL,
    email_canonical text NOT NULL,
    display_name    text NOT NULL,
    state           text NOT NULL,

    CONSTRAINT reconciliation_users_pkey PRIMARY KEY (run_id, internal_id),
    CONSTRAINT reconciliation_users_run_id_fkey FOREIGN KEY (run_id) REFERENCES reconciliations (id) ON DELETE CASCADE
);
CREATE INDEX reconciliation_users_external_id_idx ON reconciliation_users (run_id, external_id);
CREATE INDEX reconciliation_users_email_idx ON reconciliation_users (run_id, email_canonical);

-- Who is to be looked at one by one; gone when they have been.
CREATE TABLE reconciliation_suspects (
    run_id  uuid NOT NULL,
    kind    text NOT NULL,
    subject text NOT NULL, -- a user's id, a sign-up's, or the internal_id of a stranger

    CONSTRAINT reconciliation_suspects_pkey PRIMARY KEY (run_id, kind, subject),
    CONSTRAINT reconciliation_suspects_run_id_fkey FOREIGN KEY (run_id) REFERENCES reconciliations (id) ON DELETE CASCADE,
    CONSTRAINT reconciliation_suspects_kind_check CHECK (kind IN ('user', 'stranger', 'signup'))
);

-- The differences that were found.
CREATE TABLE reconciliation_findings (
    id          uuid        NOT NULL,
    run_id      uuid        NOT NULL,
    class       text        NOT NULL,
    user_id     uuid,
    signup_id   uuid,
    external_id text        NOT NULL,
    internal_id text        NOT NULL,
    here        text        NOT NULL,
    there       text        NOT NULL,
    repair      text        NOT NULL,
    found_at    timestamptz NOT NULL,
    outcome     text, -- of its repair
    reason      text, -- where that was none
    settled_at  timestamptz,

    CONSTRAINT reconciliation_findings_pkey PRIMARY KEY (id),
    CONSTRAINT reconciliation_findings_run_id_fkey FOREIGN KEY (run_id) REFERENCES reconciliations (id) ON DELETE CASCADE,
    CONSTRAINT reconciliation_findings_class_check CHECK (class IN (
        'missing_there', 'unknown_here', 'attributes_differ', 'status_differs', 'ids_differ', 'duplicate', 'stuck')),
    CONSTRAINT reconciliation_findings_outcome_check CHECK (outcome IN ('repaired', 'gone', 'refused'))
);
CREATE INDEX reconciliation_findings_run_id_idx ON reconciliation_findings (run_id, id);

-- +goose Down
DROP TABLE reconciliation_findings;
DROP TABLE reconciliation_suspects;
DROP TABLE reconciliation_users;
DROP TABLE reconciliations;
ALTER TABLE users DROP COLUMN sync_since;
