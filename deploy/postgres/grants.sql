-- Who may do what with which table. Run it as portico_owner after the first
-- `portico migrate up`, and after each that came with a new version; the file
-- of that version, since it refuses tables that it does not know.
--
--   psql -v ON_ERROR_STOP=1 -f grants.sql "$OWNER_URL"
--
-- It takes effect as a whole or not at all, and replicas that run notice
-- nothing. Between a migration and this, a new table has what the defaults give
-- at the end, so that a rolling upgrade does not wait for it.

BEGIN;

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, portico_app, portico_reader;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM PUBLIC, portico_app, portico_reader;

-- The program ------------------------------------------------------------------

-- Nobody is removed: a deleted user leaves a tombstone, so that no id is used
-- again, and a receipt stays what it was.
GRANT SELECT, INSERT, UPDATE ON users, signups, invitations, imports TO portico_app;

-- What ends, and is then of no use to anybody.
GRANT SELECT, INSERT, UPDATE, DELETE ON
    sessions, native_codes, used_flows, used_logout_tokens, idempotency_keys, rate_limits,
    email_changes, letters, import_rows
TO portico_app;

-- One row each, which the migrations make.
GRANT SELECT, UPDATE ON provider_gate, audit_retention TO portico_app;

-- Written once. What may be removed, and when, the table's triggers decide,
-- which only its owner can take away.
GRANT SELECT, INSERT, DELETE ON audit_events TO portico_app;

-- What was found or delivered goes with what it belongs to.
GRANT SELECT, INSERT, UPDATE, DELETE ON
    reconciliations, reconciliation_users, webhook_endpoints, webhook_events
TO portico_app;
GRANT SELECT, INSERT, DELETE ON reconciliation_suspects TO portico_app;
GRANT SELECT, INSERT, UPDATE ON reconciliation_findings, webhook_deliveries TO portico_app;

-- Jobs.
GRANT SELECT, INSERT, UPDATE, DELETE ON river_job, river_leader, river_queue TO portico_app;
GRANT USAGE ON SEQUENCE river_job_id_seq TO portico_app;

-- Which steps the schema has, for serve, check and migrate status.
GRANT SELECT ON goose_db_version, river_migration TO portico_app;

-- Support and monitoring -----------------------------------------------------

-- Addresses and names are in here: this role is for people who may see them.
GRANT SELECT ON
    users, imports, import_rows, letters, audit_events, audit_retention, provider_gate,
    reconciliations, reconciliation_users, reconciliation_suspects, reconciliation_findings,
    webhook_events, webhook_deliveries, river_job, river_leader, river_queue, river_migration, goose_db_version
TO portico_reader;

-- Without the hashes of tokens, receipts and codes, of which short ones could be
-- guessed, and without what the key ring has sealed.
GRANT SELECT (id, user_id, client, created_at, last_seen_at, expires_at, auth_time, acr, amr, issuer,
    provider_session, user_agent, address) ON sessions TO portico_reader;
GRANT SELECT (id, user_id, kind, locale, terms_version, created_at, settled_at, candidate_id, email, email_canonical,
    display_name, invitation_id, resend_after, resends, mails_claimed) ON signups TO portico_reader;
GRANT SELECT (id, email_canonical, note, uses, uses_left, created_at, expires_at, revoked_at) ON invitations TO portico_reader;
GRANT SELECT (user_id, id, email, email_canonical, tries, created_at, expires_at) ON email_changes TO portico_reader;
GRANT SELECT (id, url, description, events, kind, public_key, previous_until, enabled, disabled_because, failing_since,
    created_at, updated_at) ON webhook_endpoints TO portico_reader;

-- From Postgres 17 on the program may rebuild the queue's indexes at night, and
-- tell the planner of what it has just filled. Before, only the owner could:
-- the indexes are then the operator's to rebuild, and the planner hears of it
-- later.
DO $$
BEGIN
    IF current_setting('server_version_num')::integer >= 170000 THEN
        EXECUTE 'GRANT MAINTAIN ON river_job, reconciliation_users, import_rows TO portico_app';
    END IF;
END
$$;

-- What a later version adds, until the file of that version says more exactly.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO portico_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO portico_app;

-- A table that nothing is said about has been taken from the program above.
DO $$
DECLARE
    forgotten text;
BEGIN
    SELECT string_agg(c.relname, ', ') INTO forgotten
    FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
        AND pg_get_userbyid(c.relowner) = current_user
        AND NOT has_table_privilege('portico_app', c.oid, 'SELECT')
        AND c.relname NOT IN ('river_client', 'river_client_queue'); -- which the queue makes and does not use
    IF forgotten IS NOT NULL THEN
        RAISE EXCEPTION 'grants.sql does not know %: take the file of the version that has migrated', forgotten;
    END IF;
END
$$;

COMMIT;
