-- The roles that Portico needs of Postgres 15 or newer. Run it once, in
-- Portico's database, as somebody who may make roles; running it again changes
-- nothing.
--
--   psql -v ON_ERROR_STOP=1 -f roles.sql "$ADMIN_URL"
--
-- There are no passwords in here. Give each role one with psql's \password,
-- which sends no clear text, or let it log in by certificate.
--
--   portico_owner   owns the tables: portico migrate up, and grants.sql
--   portico_app     portico serve, check, users …, reconcile, invitations …
--   portico_reader  support and monitoring: reads, and sees nothing that opens
--                   anything
--
-- What each may do with which table, grants.sql says, once there are tables.

BEGIN;

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['portico_owner', 'portico_app', 'portico_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', role);
        END IF;
        -- NOINHERIT would do nothing here: none is a member of anything.
        EXECUTE format('ALTER ROLE %I LOGIN NOCREATEDB NOCREATEROLE', role);
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role);
    END LOOP;
    -- Whoever else has an account on the server has no business in here, and
    -- nobody needs temporary tables: one named like ours could be found first.
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
END
$$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO portico_owner;
GRANT USAGE ON SCHEMA public TO portico_app, portico_reader;

-- A report that somebody has forgotten in a window keeps the rows that Postgres
-- would clean up.
ALTER ROLE portico_reader SET default_transaction_read_only = on;
ALTER ROLE portico_reader SET statement_timeout = '60s';
ALTER ROLE portico_reader SET idle_in_transaction_session_timeout = '60s';

COMMIT;
