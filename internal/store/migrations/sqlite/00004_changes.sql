-- +goose Up

-- What is changed here and carried to the provider afterwards.
ALTER TABLE users ADD COLUMN version integer NOT NULL DEFAULT 1; -- what If-Match names
ALTER TABLE users ADD COLUMN origin text NOT NULL DEFAULT 'signup' CONSTRAINT users_origin_check CHECK (origin IN ('signup', 'admin', 'import'));
ALTER TABLE users ADD COLUMN locale text NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN made_there boolean NOT NULL DEFAULT true; -- false: the provider had them before us, and keeps them
ALTER TABLE users ADD COLUMN adopt boolean NOT NULL DEFAULT false; -- take over whom the provider has under our external_id
ALTER TABLE users ADD COLUMN adopt_internal_id text; -- the one there whom an operator has named as this user
ALTER TABLE users ADD COLUMN sync text NOT NULL DEFAULT 'synced' CONSTRAINT users_sync_check CHECK (sync IN ('pending', 'synced', 'failed'));
ALTER TABLE users ADD COLUMN sync_change integer NOT NULL DEFAULT 0; -- counts what was to be carried there
ALTER TABLE users ADD COLUMN sync_error_class text;
ALTER TABLE users ADD COLUMN sync_ambiguous_until timestamp; -- end of the quarantine of a change that was sent
ALTER TABLE users ADD COLUMN sync_claimed_until timestamp; -- a worker has the user
ALTER TABLE users ADD COLUMN suspended_at timestamp;
ALTER TABLE users ADD COLUMN delete_after timestamp; -- end of the grace period
ALTER TABLE users ADD COLUMN deleted_at timestamp;
UPDATE users SET locale = coalesce((SELECT s.locale FROM signups s WHERE s.user_id = users.id AND s.kind = 'new'), '');

CREATE INDEX users_created_at_idx ON users (created_at, id);
CREATE INDEX users_updated_at_idx ON users (updated_at, id);
CREATE INDEX users_status_idx ON users (status, created_at, id);
CREATE INDEX users_domain_idx ON users (substr(email_canonical, instr(email_canonical, '@') + 1), created_at, id);
CREATE INDEX users_sync_idx ON users (sync, created_at, id) WHERE sync <> 'synced';

-- Whatever changes of what is shown, whoever changes it, is another version.
-- +goose StatementBegin
CREATE TRIGGER users_version AFTER UPDATE OF internal_id, email, display_name, status, sync, sync_error_class,
    provision_last_error_class, locale, delete_after ON users
    FOR EACH ROW WHEN
        OLD.internal_id IS NOT NEW.internal_id OR OLD.email IS NOT NEW.email OR OLD.display_name IS NOT NEW.display_name
        OR OLD.status IS NOT NEW.status OR OLD.sync IS NOT NEW.sync OR OLD.sync_error_class IS NOT NEW.sync_error_class
        OR OLD.provision_last_error_class IS NOT NEW.provision_last_error_class OR OLD.locale IS NOT NEW.locale
        OR OLD.delete_after IS NOT NEW.delete_after
BEGIN
    UPDATE users SET version = OLD.version + 1 WHERE id = NEW.id;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER users_version;
DROP INDEX users_sync_idx;
DROP INDEX users_domain_idx;
DROP INDEX users_status_idx;
DROP INDEX users_updated_at_idx;
DROP INDEX users_created_at_idx;
ALTER TABLE users DROP COLUMN deleted_at;
ALTER TABLE users DROP COLUMN delete_after;
ALTER TABLE users DROP COLUMN suspended_at;
ALTER TABLE users DROP COLUMN sync_claimed_until;
ALTER TABLE users DROP COLUMN sync_ambiguous_until;
ALTER TABLE users DROP COLUMN sync_error_class;
ALTER TABLE users DROP COLUMN sync_change;
ALTER TABLE users DROP COLUMN sync;
ALTER TABLE users DROP COLUMN adopt_internal_id;
ALTER TABLE users DROP COLUMN adopt;
ALTER TABLE users DROP COLUMN made_there;
ALTER TABLE users DROP COLUMN locale;
ALTER TABLE users DROP COLUMN origin;
ALTER TABLE users DROP COLUMN version;
