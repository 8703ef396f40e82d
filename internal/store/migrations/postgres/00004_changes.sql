-- +goose Up

-- What is changed here and carried to the provider afterwards.
ALTER TABLE users
    ADD COLUMN version              bigint  NOT NULL DEFAULT 1, -- what If-Match names
    ADD COLUMN origin               text    NOT NULL DEFAULT 'signup',
    ADD COLUMN locale               text    NOT NULL DEFAULT '',
    ADD COLUMN made_there           boolean NOT NULL DEFAULT true, -- false: the provider had them before us, and keeps them
    ADD COLUMN adopt                boolean NOT NULL DEFAULT false, -- take over whom the provider has under our external_id
    ADD COLUMN adopt_internal_id    text, -- the one there whom an operator has named as this user
    ADD COLUMN sync                 text    NOT NULL DEFAULT 'synced',
    ADD COLUMN sync_change          bigint  NOT NULL DEFAULT 0, -- counts what was to be carried there
    ADD COLUMN sync_error_class     text,
    ADD COLUMN sync_ambiguous_until timestamptz, -- end of the quarantine of a change that was sent
    ADD COLUMN sync_claimed_until   timestamptz, -- a worker has the user
    ADD COLUMN suspended_at         timestamptz,
    ADD COLUMN delete_after         timestamptz, -- end of the grace period
    ADD COLUMN deleted_at           timestamptz,
    ADD CONSTRAINT users_origin_check CHECK (origin IN ('signup', 'admin', 'import')),
    ADD CONSTRAINT users_sync_check CHECK (sync IN ('pending', 'synced', 'failed'));
UPDATE users SET locale = s.locale FROM signups s WHERE s.user_id = users.id AND s.kind = 'new';

CREATE INDEX users_created_at_idx ON users (created_at, id);
CREATE INDEX users_updated_at_idx ON users (updated_at, id);
CREATE INDEX users_status_idx ON users (status, created_at, id);
CREATE INDEX users_domain_idx ON users (split_part(email_canonical, '@', 2), created_at, id);
CREATE INDEX users_sync_idx ON users (sync, created_at, id) WHERE sync <> 'synced';

-- Whatever changes of what is shown, whoever changes it, is another version.
-- +goose StatementBegin
CREATE FUNCTION users_next_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version + 1;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER users_version BEFORE UPDATE ON users
    FOR EACH ROW WHEN (
        (OLD.internal_id, OLD.email, OLD.display_name, OLD.status, OLD.sync, OLD.sync_error_class,
         OLD.provision_last_error_class, OLD.locale, OLD.delete_after)
        IS DISTINCT FROM
        (NEW.internal_id, NEW.email, NEW.display_name, NEW.status, NEW.sync, NEW.sync_error_class,
         NEW.provision_last_error_class, NEW.locale, NEW.delete_after))
    EXECUTE FUNCTION users_next_version();

-- +goose Down
DROP TRIGGER users_version ON users;
DROP FUNCTION users_next_version();
DROP INDEX users_sync_idx;
DROP INDEX users_domain_idx;
DROP INDEX users_status_idx;
DROP INDEX users_updated_at_idx;
DROP INDEX users_created_at_idx;
ALTER TABLE users
    DROP CONSTRAINT users_sync_check,
    DROP CONSTRAINT users_origin_check,
    DROP COLUMN deleted_at, DROP COLUMN delete_after, DROP COLUMN suspended_at, DROP COLUMN sync_claimed_until,
    DROP COLUMN sync_ambiguous_until, DROP COLUMN sync_error_class, DROP COLUMN sync_change, DROP COLUMN sync,
    DROP COLUMN adopt_internal_id, DROP COLUMN adopt, DROP COLUMN made_there, DROP COLUMN locale, DROP COLUMN origin,
    DROP COLUMN version;
