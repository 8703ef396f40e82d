-- +goose Up

-- From where, with what outcome, and what it changed.
ALTER TABLE audit_events
    ADD COLUMN address     text, -- of the client
    ADD COLUMN request_id  text,
    ADD COLUMN session_id  uuid, -- of who acts
    ADD COLUMN outcome     text NOT NULL DEFAULT 'success',
    ADD COLUMN reason      text, -- the problem's code, or the check that failed
    ADD COLUMN before      jsonb,
    ADD COLUMN after       jsonb,
    ADD COLUMN target_kind text, -- of what is no user: a session, an invitation
    ADD COLUMN target_id   text,
    ADD CONSTRAINT audit_events_outcome_check CHECK (outcome IN ('success', 'refused', 'failed')),
    ADD CONSTRAINT audit_events_target_check CHECK (target_kind IS NOT NULL OR target_id IS NULL);
UPDATE audit_events SET actor = 'user:' || user_id WHERE actor = 'user' AND user_id IS NOT NULL;

CREATE INDEX audit_events_action_idx ON audit_events (action COLLATE "C", at);
-- What the program does by itself is most of it, and nobody asks for it alone.
CREATE INDEX audit_events_actor_idx ON audit_events (actor, at) WHERE actor <> 'portico';
CREATE INDEX audit_events_outcome_idx ON audit_events (outcome, at) WHERE outcome <> 'success';

-- How long events are kept, and until when they have been removed: one row.
CREATE TABLE audit_retention (
    name           text        NOT NULL,
    kept_for       bigint,               -- seconds; null: for ever
    shortened_at   timestamptz NOT NULL, -- when that last became less
    removed_before timestamptz NOT NULL,

    CONSTRAINT audit_retention_pkey PRIMARY KEY (name),
    CONSTRAINT audit_retention_name_check CHECK (name = 'audit_events'),
    CONSTRAINT audit_retention_kept_for_check CHECK (kept_for BETWEEN 86400 AND 31536000000)
);
INSERT INTO audit_retention (name, kept_for, shortened_at, removed_before)
VALUES ('audit_events', 31536000, '2000-01-01Z', '2000-01-01Z');

-- The functions name their schema and everything beneath it: tables and
-- operators of the same names, in a schema that is searched first, count for
-- nothing. Their triggers fire in replication roles too.

-- +goose StatementBegin
CREATE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the audit stays as it is: % of % is refused', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION audit_events_outlived() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kept boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM gone
        WHERE NOT coalesce(at < (SELECT removed_before FROM %I.audit_retention), false))', TG_TABLE_SCHEMA) INTO kept;
    IF kept THEN
        RAISE EXCEPTION 'an audit event is not old enough to be removed' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION audit_retention_moves() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF coalesce(NEW.kept_for, 31536000000) < coalesce(OLD.kept_for, 31536000000)
        AND NEW.shortened_at < now() - interval '1 minute'
        OR NEW.shortened_at < OLD.shortened_at OR NEW.shortened_at > now() + interval '1 minute' THEN
        RAISE EXCEPTION 'a shorter retention says when it became so' USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.removed_before < OLD.removed_before THEN
        RAISE EXCEPTION 'what was removed is not there again' USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.removed_before > OLD.removed_before
        AND (NEW.kept_for IS NULL OR NEW.kept_for IS DISTINCT FROM OLD.kept_for OR NEW.shortened_at <> OLD.shortened_at
            OR NEW.shortened_at > now() - interval '1 day'
            OR NEW.removed_before > now() - NEW.kept_for * interval '1 second') THEN
        RAISE EXCEPTION 'the audit is kept for longer' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

-- Every change of the retention is an event, and so kept for a day at least.
-- +goose StatementBegin
CREATE FUNCTION audit_retention_moved() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('INSERT INTO %I.audit_events (id, at, actor, action, before, after) VALUES ($1, $2, $3, $4, $5, $6)', TG_TABLE_SCHEMA)
    USING
        (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7'
            || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid,
        clock_timestamp(), 'database:' || current_user,
        CASE WHEN NEW.removed_before > OLD.removed_before THEN 'audit.removed' ELSE 'audit.retention_changed' END,
        jsonb_build_object('kept_for_seconds', OLD.kept_for, 'removed_before', OLD.removed_before),
        jsonb_build_object('kept_for_seconds', NEW.kept_for, 'removed_before', NEW.removed_before);
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER audit_events_stay BEFORE UPDATE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();
CREATE TRIGGER audit_events_outlived AFTER DELETE ON audit_events
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION audit_events_outlived();
CREATE TRIGGER audit_retention_stays BEFORE INSERT OR DELETE OR TRUNCATE ON audit_retention
    FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();
CREATE TRIGGER audit_retention_moves BEFORE UPDATE ON audit_retention
    FOR EACH ROW EXECUTE FUNCTION audit_retention_moves();
CREATE TRIGGER audit_retention_moved AFTER UPDATE ON audit_retention
    FOR EACH ROW EXECUTE FUNCTION audit_retention_moved();
ALTER TABLE audit_events ENABLE ALWAYS TRIGGER audit_events_stay;
ALTER TABLE audit_events ENABLE ALWAYS TRIGGER audit_events_outlived;
ALTER TABLE audit_retention ENABLE ALWAYS TRIGGER audit_retention_stays;
ALTER TABLE audit_retention ENABLE ALWAYS TRIGGER audit_retention_moves;
ALTER TABLE audit_retention ENABLE ALWAYS TRIGGER audit_retention_moved;

-- +goose Down
DROP TRIGGER audit_events_outlived ON audit_events;
DROP TRIGGER audit_events_stay ON audit_events;
DROP TABLE audit_retention;
DROP FUNCTION audit_retention_moved();
DROP FUNCTION audit_retention_moves();
DROP FUNCTION audit_events_outlived();
DROP FUNCTION audit_stays();
DROP INDEX audit_events_outcome_idx;
DROP INDEX audit_events_actor_idx;
DROP INDEX audit_events_action_idx;
ALTER TABLE audit_events
    DROP CONSTRAINT audit_events_target_check,
    DROP CONSTRAINT audit_events_outcome_check,
    DROP COLUMN target_id, DROP COLUMN target_kind, DROP COLUMN after, DROP COLUMN before, DROP COLUMN reason,
    DROP COLUMN outcome, DROP COLUMN session_id, DROP COLUMN request_id, DROP COLUMN address;
