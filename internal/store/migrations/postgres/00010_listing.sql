-- +goose Up

-- How far the provider has a user, as it is shown: who is not there yet is
-- pending, or has failed.
CREATE INDEX users_shown_sync_idx ON users (
    (CASE WHEN internal_id IS NOT NULL OR status = 'deleted' THEN sync WHEN status IN ('failed', 'conflict') THEN 'failed' ELSE 'pending' END),
    created_at, id);

-- +goose Down
DROP INDEX users_shown_sync_idx;
