-- +goose Up

-- Where the application is told what becomes of users.
CREATE TABLE webhook_endpoints (
    id              uuid        NOT NULL,
    url             text        NOT NULL,
    description     text        NOT NULL,
    events          text        NOT NULL, -- a JSON array of the types wanted; empty for all
    kind            text        NOT NULL,
    sealed          text        NOT NULL, -- the secret, by the key ring
    public_key      text,                 -- of kind v1a
    previous_sealed text,                 -- signs as well, until
    previous_until  timestamptz,
    enabled         boolean     NOT NULL,
    disabled_because text,
    failing_since   timestamptz,          -- of nothing but failures; null after a success
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,

    CONSTRAINT webhook_endpoints_pkey PRIMARY KEY (id),
    CONSTRAINT webhook_endpoints_kind_check CHECK (kind IN ('v1', 'v1a')),
    CONSTRAINT webhook_endpoints_public_key_check CHECK ((kind = 'v1a') = (public_key IS NOT NULL)),
    CONSTRAINT webhook_endpoints_previous_check CHECK ((previous_sealed IS NULL) = (previous_until IS NULL)),
    CONSTRAINT webhook_endpoints_disabled_check CHECK (enabled = (disabled_because IS NULL))
);

-- What is told: written in the transaction that causes it.
CREATE TABLE webhook_events (
    id      uuid        NOT NULL,
    type    text        NOT NULL,
    user_id uuid,                 -- null for a test
    at      timestamptz NOT NULL,
    payload text        NOT NULL, -- the body, as it is sent and signed
    fanned  boolean     NOT NULL, -- its deliveries have been made

    CONSTRAINT webhook_events_pkey PRIMARY KEY (id)
);
CREATE INDEX webhook_events_at_idx ON webhook_events (at);
CREATE INDEX webhook_events_user_id_idx ON webhook_events (user_id);
CREATE INDEX webhook_events_unfanned_idx ON webhook_events (at) WHERE NOT fanned;

-- An event on its way to one endpoint.
CREATE TABLE webhook_deliveries (
    id            uuid        NOT NULL,
    event_id      uuid        NOT NULL,
    endpoint_id   uuid        NOT NULL,
    status        text        NOT NULL,
    attempts      integer     NOT NULL, -- since it was made, or replayed
    next_at       timestamptz NOT NULL,
    claimed_until timestamptz,          -- a worker has it
    last_at       timestamptz,
    last_status   integer,              -- of HTTP; null without an answer
    last_class    text,
    created_at    timestamptz NOT NULL,
    settled_at    timestamptz,

    CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (id),
    CONSTRAINT webhook_deliveries_event_id_endpoint_id_key UNIQUE (event_id, endpoint_id),
    CONSTRAINT webhook_deliveries_event_id_fkey FOREIGN KEY (event_id) REFERENCES webhook_events (id) ON DELETE CASCADE,
    CONSTRAINT webhook_deliveries_endpoint_id_fkey FOREIGN KEY (endpoint_id) REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    CONSTRAINT webhook_deliveries_status_check CHECK (status IN ('pending', 'delivered', 'failed')),
    CONSTRAINT webhook_deliveries_settled_check CHECK ((status = 'pending') = (settled_at IS NULL))
);
CREATE INDEX webhook_deliveries_endpoint_id_idx ON webhook_deliveries (endpoint_id, status, id);
CREATE INDEX webhook_deliveries_pending_idx ON webhook_deliveries (next_at) WHERE status = 'pending';

-- +goose Down
DROP TABLE webhook_deliveries;
DROP TABLE webhook_events;
DROP TABLE webhook_endpoints;
