-- +goose Up

-- From where, with what outcome, and what it changed. Anew, and without row
-- ids: by one of those a row could be replaced.
ALTER TABLE audit_events RENAME TO audit_events_before;
DROP INDEX audit_events_user_id_idx;
DROP INDEX audit_events_at_idx;
CREATE TABLE audit_events (
    id          text      NOT NULL,
    at          timestamp NOT NULL,
    actor       text      NOT NULL,
    action      text      NOT NULL,
    user_id     text,
    signup_id   text,
    from_status text,
    to_status   text,
    class       text, -- of the error, where one was the reason
    address     text, -- of the client
    request_id  text,
    session_id  text, -- of who acts
    outcome     text      NOT NULL DEFAULT 'success',
    reason      text, -- the problem's code, or the check that failed
    before      text, -- JSON
    after       text,
    target_kind text, -- of what is no user: a session, an invitation
    target_id   text,

    CONSTRAINT audit_events_pkey PRIMARY KEY (id),
    CONSTRAINT audit_events_outcome_check CHECK (outcome IN ('success', 'refused', 'failed')),
    CONSTRAINT audit_events_target_check CHECK (target_kind IS NOT NULL OR target_id IS NULL)
) WITHOUT ROWID;
INSERT INTO audit_events (id, at, actor, action, user_id, signup_id, from_status, to_status, class)
SELECT id, at, CASE WHEN actor = 'user' AND user_id IS NOT NULL THEN 'user:' || user_id ELSE actor END,
       action, user_id, signup_id, from_status, to_status, class FROM audit_events_before;
DROP TABLE audit_events_before;

CREATE INDEX audit_events_user_id_idx ON audit_events (user_id, at);
CREATE INDEX audit_events_at_idx ON audit_events (at);
CREATE INDEX audit_events_action_idx ON audit_events (action, at);
-- What the program does by itself is most of it, and nobody asks for it alone.
CREATE INDEX audit_events_actor_idx ON audit_events (actor, at) WHERE actor <> 'portico';
CREATE INDEX audit_events_outcome_idx ON audit_events (outcome, at) WHERE outcome <> 'success';

-- How long events are kept, and until when they have been removed: one row.
CREATE TABLE audit_retention (
    name           text      NOT NULL,
    kept_for       integer,            -- seconds; null: for ever
    shortened_at   timestamp NOT NULL, -- when that last became less
    removed_before timestamp NOT NULL,

    CONSTRAINT audit_retention_pkey PRIMARY KEY (name),
    CONSTRAINT audit_retention_name_check CHECK (name = 'audit_events'),
    CONSTRAINT audit_retention_kept_for_check CHECK (kept_for BETWEEN 86400 AND 31536000000)
) WITHOUT ROWID;
INSERT INTO audit_retention (name, kept_for, shortened_at, removed_before)
VALUES ('audit_events', 31536000, '2000-01-01 00:00:00+00:00', '2000-01-01 00:00:00+00:00');

-- +goose StatementBegin
CREATE TRIGGER audit_events_stay BEFORE UPDATE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'the audit stays as it is: UPDATE of audit_events is refused');
END;
-- +goose StatementEnd

-- INSERT OR REPLACE removes a row without a trigger's knowing.
-- +goose StatementBegin
CREATE TRIGGER audit_events_replace BEFORE INSERT ON audit_events
    FOR EACH ROW WHEN EXISTS (SELECT 1 FROM audit_events WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'the audit stays as it is: there is such an event in audit_events');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_events_outlived BEFORE DELETE ON audit_events
    FOR EACH ROW WHEN NOT coalesce(julianday(OLD.at) < (SELECT julianday(removed_before) FROM audit_retention), 0)
BEGIN
    SELECT RAISE(ABORT, 'an audit event is not old enough to be removed');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_retention_insert BEFORE INSERT ON audit_retention
BEGIN
    SELECT RAISE(ABORT, 'the audit stays as it is: INSERT of audit_retention is refused');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_retention_delete BEFORE DELETE ON audit_retention
BEGIN
    SELECT RAISE(ABORT, 'the audit stays as it is: DELETE of audit_retention is refused');
END;
-- +goose StatementEnd

-- What is no time compares as NULL, which is refused. A CHECK can be turned off
-- by a PRAGMA, so that it is repeated here.
-- +goose StatementBegin
CREATE TRIGGER audit_retention_moves BEFORE UPDATE ON audit_retention
BEGIN
    SELECT RAISE(ABORT, 'the audit is kept for a day at least') WHERE NOT coalesce(
        NEW.kept_for IS NULL OR NEW.kept_for BETWEEN 86400 AND 31536000000, 0);
    SELECT RAISE(ABORT, 'a shorter retention says when it became so') WHERE NOT coalesce(
        (coalesce(NEW.kept_for, 31536000000) >= coalesce(OLD.kept_for, 31536000000)
            OR julianday(NEW.shortened_at) >= julianday('now', '-1 minute'))
        AND julianday(NEW.shortened_at) >= julianday(OLD.shortened_at)
        AND julianday(NEW.shortened_at) <= julianday('now', '+1 minute'), 0);
    SELECT RAISE(ABORT, 'what was removed is not there again') WHERE NOT coalesce(
        julianday(NEW.removed_before) >= julianday(OLD.removed_before), 0);
    SELECT RAISE(ABORT, 'the audit is kept for longer') WHERE NOT coalesce(
        NEW.removed_before = OLD.removed_before
        OR NEW.kept_for = OLD.kept_for AND NEW.shortened_at = OLD.shortened_at
        AND julianday(NEW.shortened_at) <= julianday('now', '-1 day')
        AND julianday(NEW.removed_before) <= julianday('now') - NEW.kept_for / 86400.0, 0);
END;
-- +goose StatementEnd

-- Every change of the retention is an event, and so kept for a day at least.
-- +goose StatementBegin
CREATE TRIGGER audit_retention_moved AFTER UPDATE ON audit_retention
BEGIN
    INSERT INTO audit_events (id, at, actor, action, before, after)
    SELECT substr(ms, 1, 8) || '-' || substr(ms, 9) || '-7' || substr(lower(hex(randomblob(2))), 2)
               || '-' || substr('89ab', abs(random() % 4) + 1, 1) || substr(lower(hex(randomblob(2))), 2) || '-' || lower(hex(randomblob(6))),
           strftime('%Y-%m-%d %H:%M:%f+00:00', 'now'), 'database',
           CASE WHEN julianday(NEW.removed_before) > julianday(OLD.removed_before) THEN 'audit.removed' ELSE 'audit.retention_changed' END,
           json_object('kept_for_seconds', OLD.kept_for, 'removed_before', OLD.removed_before),
           json_object('kept_for_seconds', NEW.kept_for, 'removed_before', NEW.removed_before)
    FROM (SELECT printf('%012x', CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)) AS ms);
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER audit_events_outlived;
DROP TRIGGER audit_events_replace;
DROP TRIGGER audit_events_stay;
DROP TABLE audit_retention;
ALTER TABLE audit_events RENAME TO audit_events_after;
DROP INDEX audit_events_outcome_idx;
DROP INDEX audit_events_actor_idx;
DROP INDEX audit_events_action_idx;
DROP INDEX audit_events_at_idx;
DROP INDEX audit_events_user_id_idx;
CREATE TABLE audit_events (
    id          text      NOT NULL,
    at          timestamp NOT NULL,
    actor       text      NOT NULL,
    action      text      NOT NULL,
    user_id     text,
    signup_id   text,
    from_status text,
    to_status   text,
    class       text, -- of the error, where one was the reason

    CONSTRAINT audit_events_pkey PRIMARY KEY (id)
);
INSERT INTO audit_events SELECT id, at, actor, action, user_id, signup_id, from_status, to_status, class FROM audit_events_after;
DROP TABLE audit_events_after;
CREATE INDEX audit_events_user_id_idx ON audit_events (user_id, at);
CREATE INDEX audit_events_at_idx ON audit_events (at);
