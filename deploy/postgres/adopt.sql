-- For a database that had one role for everything: gives what Portico has made
-- to portico_owner. Run it once, after roles.sql, as a superuser or as that one
-- role where it may SET ROLE portico_owner; then grants.sql as portico_owner.
--
--   psql -v ON_ERROR_STOP=1 -f adopt.sql "$ADMIN_URL"
--
-- Replicas that run as the old role go on if it is a superuser, and fail if not:
-- stop them before.

BEGIN;

DO $$
DECLARE
    made record;
BEGIN
    FOR made IN
        SELECT format('ALTER TABLE %s OWNER TO portico_owner', c.oid::regclass) AS statement
        FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
        UNION ALL
        SELECT format('ALTER FUNCTION %s OWNER TO portico_owner', p.oid::regprocedure)
        FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
        UNION ALL
        SELECT format('ALTER TYPE %s OWNER TO portico_owner', t.oid::regtype)
        FROM pg_type t WHERE t.typnamespace = 'public'::regnamespace AND t.typtype = 'e'
    LOOP
        EXECUTE made.statement; -- sequences and indexes go with their tables
    END LOOP;
END
$$;

COMMIT;
