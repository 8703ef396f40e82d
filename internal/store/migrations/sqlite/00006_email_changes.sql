-- +goose Up

-- Addresses that users want and have not proven yet: one a user.
CREATE TABLE email_changes (
    user_id         text        NOT NULL,
    id              text        NOT NULL, -- of the wish: the next one has another
    email           text        NOT NULL,
    email_canonical text        NOT NULL,
    code_hash       blob,                 -- null: no code has been mailed
    tries           integer     NOT NULL DEFAULT 0, -- at the code, that were wrong
    created_at      timestamp   NOT NULL,
    expires_at      timestamp   NOT NULL,

    CONSTRAINT email_changes_pkey PRIMARY KEY (user_id),
    CONSTRAINT email_changes_id_key UNIQUE (id),
    CONSTRAINT email_changes_code_hash_check CHECK (length(code_hash) = 32),
    CONSTRAINT email_changes_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id)
);
CREATE INDEX email_changes_expires_at_idx ON email_changes (expires_at);

-- Letters that are about to be sent. The address is the letter's: the user may
-- have another by then, or none.
CREATE TABLE letters (
    id         text        NOT NULL,
    user_id    text        NOT NULL,
    kind       text        NOT NULL,
    address    text        NOT NULL,
    locale     text        NOT NULL,
    due_at     timestamp,            -- of what the letter announces
    created_at timestamp   NOT NULL,

    CONSTRAINT letters_pkey PRIMARY KEY (id),
    CONSTRAINT letters_kind_check CHECK (kind IN ('email_changed', 'closing')),
    CONSTRAINT letters_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id)
);
CREATE INDEX letters_user_id_idx ON letters (user_id);
CREATE INDEX letters_created_at_idx ON letters (created_at);

-- +goose Down
DROP TABLE letters;
DROP TABLE email_changes;
