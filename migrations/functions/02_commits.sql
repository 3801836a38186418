-- Commits: the id that a transaction draws at its first change, the order of its changes, and its revision.

-- Give this transaction the id of its commit, at the first statement that may change something. The id is a
-- transaction-local setting, which rolling back to a savepoint restores together with the changes made under it.
CREATE OR REPLACE FUNCTION begin_commit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF current_setting('configsvc.writer', true) = 'service' AND NOT writes_as_service()
    THEN
        RAISE EXCEPTION 'configsvc.writer is for the service: it would let % write in the name of others', session_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF coalesce(current_setting('configsvc.commit_id', true), '') = '' THEN
        PERFORM set_config('configsvc.commit_id', nextval('commit_ids')::text, true);
        PERFORM set_config('configsvc.ordinal', '0', true);
    END IF;
    RETURN NULL;
END
$$;

-- Reserve ordinals for changes of this transaction and return the first of them, counted from 0.
CREATE OR REPLACE FUNCTION advance_ordinal(places bigint) RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    next_ordinal integer := coalesce(nullif(current_setting('configsvc.ordinal', true), ''), '0')::integer;
BEGIN
    PERFORM set_config('configsvc.ordinal', (next_ordinal + places)::text, true);
    RETURN next_ordinal;
END
$$;

-- Any session can set configsvc.commit_id and configsvc.ordinal. Raise if that would move a change into another commit,
-- or into none.
CREATE OR REPLACE FUNCTION check_place(this_commit bigint, first_ordinal integer) RETURNS void
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    IF this_commit <> currval('commit_ids')
        OR EXISTS (SELECT FROM commits WHERE id = this_commit AND time < now())
        OR first_ordinal > 0
            AND NOT EXISTS (SELECT FROM change_records WHERE commit_id = this_commit AND ordinal = first_ordinal - 1)
    THEN
        RAISE EXCEPTION 'configsvc.commit_id and configsvc.ordinal are not for sessions to set'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;

-- Assign the revision. Deferred to the commit, so that the counter's lock lasts little longer than the flush, and a
-- transaction that stays open blocks nobody.
CREATE OR REPLACE FUNCTION assign_revision() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    assigned bigint;
BEGIN
    -- A crash must not lose a revision that a watch has delivered.
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    UPDATE revision_counter SET revision = revision + 1 RETURNING revision INTO STRICT assigned;
    INSERT INTO commits (id, revision, time) VALUES (NEW.commit_id, assigned, clock_timestamp());
    PERFORM pg_notify('configsvc_changes', assigned::text);
    RETURN NULL;
END
$$;

-- PostgreSQL can't replace a constraint trigger, and dropping it takes a lock that waits for every reader of the log, such
-- as pg_dump. So it is created once. To change it, change it here and add a migration that drops it.
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_trigger WHERE tgrelid = 'change_records'::regclass AND tgname = 'assign_revision'
    )
    THEN
        CREATE CONSTRAINT TRIGGER assign_revision
        AFTER INSERT ON change_records
        DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.ordinal = 0)
        EXECUTE FUNCTION assign_revision();
    END IF;
END
$$;

-- TRUNCATE shows no rows to triggers, so the log couldn't record it.
CREATE OR REPLACE FUNCTION refuse_truncate() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'TRUNCATE of % would be missing from the log: use DELETE', TG_TABLE_NAME;
END
$$;

-- Without the right, a role that may create triggers can't put these on tables of its own to forge the log.
REVOKE EXECUTE ON FUNCTION begin_commit, assign_revision FROM PUBLIC;
