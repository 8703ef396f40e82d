-- +goose Up

-- Users of other directories that are brought in.
CREATE TABLE imports (
    id              uuid        NOT NULL,
    status          text        NOT NULL,
    actor           text        NOT NULL, -- who has begun it
    source          text        NOT NULL, -- what it is called: a file's name, say
    format          text        NOT NULL,
    adopt           boolean     NOT NULL, -- whom the provider has under the same external_id is taken over
    skip_invalid    boolean     NOT NULL,
    row_count       bigint      NOT NULL,
    invalid_count   bigint      NOT NULL,
    unchanged_count bigint      NOT NULL,
    committed_count bigint      NOT NULL,
    committed_to    bigint      NOT NULL, -- the line up to which users were made
    claim           text, -- of the process that works on it
    claimed_until   timestamptz, -- unless it renews it
    created_at      timestamptz NOT NULL,
    finished_at     timestamptz,

    CONSTRAINT imports_pkey PRIMARY KEY (id),
    CONSTRAINT imports_status_check CHECK (status IN (
        'staging', 'validated', 'committing', 'committed', 'discarded')),
    CONSTRAINT imports_claim_check CHECK ((claim IS NULL) = (claimed_until IS NULL))
);
CREATE INDEX imports_claimed_until_idx ON imports (claimed_until) WHERE claimed_until IS NOT NULL;

-- What was read. Of those who are users by now only the id is left.
CREATE TABLE import_rows (
    import_id       uuid   NOT NULL,
    line            bigint NOT NULL,
    user_id         uuid   NOT NULL, -- that the row is to have
    external_id     text   NOT NULL,
    email           text   NOT NULL,
    email_canonical text, -- null if it is no address
    display_name    text   NOT NULL,
    locale          text   NOT NULL,
    state           text   NOT NULL,
    complaints      text   NOT NULL, -- a line each: column, code and text

    CONSTRAINT import_rows_pkey PRIMARY KEY (import_id, line),
    CONSTRAINT import_rows_import_id_fkey FOREIGN KEY (import_id) REFERENCES imports (id) ON DELETE CASCADE,
    CONSTRAINT import_rows_state_check CHECK (state IN ('valid', 'invalid', 'unchanged', 'committed')),
    CONSTRAINT import_rows_complaints_check CHECK ((state = 'invalid') = (complaints <> ''))
);

-- +goose Down
DROP TABLE import_rows;
DROP TABLE imports;
