-- Commits: the id that a transaction draws at its first change, the order of its changes, and its revision.

-- A session may set, reset and discard whatever it likes. So no setting tells to which commit a change belongs: the log does.

-- Functions that look something up in the log SET enable_seqscan = off: sessions keep plans, and one that reads all of a log
-- with two commits would read all of it with thousands of them, until autovacuum comes by.

-- Return the id of the commit of this transaction, or an id that this session drew and did not use; null if it has to draw
-- one. The commit of this transaction is not in commits yet, unless SET CONSTRAINTS made it take its revision early.
CREATE OR REPLACE FUNCTION drawn_commit_id() RETURNS bigint
LANGUAGE plpgsql VOLATILE SET enable_seqscan = off
AS $$
DECLARE
    drawn bigint;
    committed timestamptz;
BEGIN
    BEGIN
        drawn := currval('commit_ids');
    EXCEPTION WHEN object_not_in_prerequisite_state THEN
        RETURN NULL;
    END;
    SELECT time INTO committed FROM commits WHERE id = drawn;
    IF committed < now()
        OR committed IS NOT NULL
            AND NOT EXISTS (SELECT FROM commits WHERE id = drawn AND transaction = pg_current_xact_id())
    THEN
        RETURN NULL;
    END IF;
    RETURN drawn;
END
$$;

-- Give this transaction the id of its commit, at the first statement that may change something.
CREATE OR REPLACE FUNCTION begin_commit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF current_setting('configsvc.writer', true) = 'service' AND NOT writes_as_service()
    THEN
        RAISE EXCEPTION 'configsvc.writer is for the service: it would let % write in the name of others', session_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF drawn_commit_id() IS NULL THEN
        PERFORM nextval('commit_ids');
        IF drawn_commit_id() IS NULL THEN
            RAISE EXCEPTION 'commit_ids is behind the log: SELECT setval(''commit_ids'', max(id)) FROM commits'
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
    END IF;
    RETURN NULL;
END
$$;

-- Return the ordinal of the next record of a commit.
CREATE OR REPLACE FUNCTION next_ordinal(this_commit bigint) RETURNS integer
LANGUAGE plpgsql VOLATILE SET enable_seqscan = off
AS $$
BEGIN
    RETURN coalesce((SELECT max(ordinal) + 1 FROM change_records WHERE commit_id = this_commit), 0);
END
$$;

-- Raise unless all rows that a statement changed were logged in the commit that they name.
CREATE OR REPLACE FUNCTION check_logged(logged_count bigint, changed_count bigint) RETURNS void
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF logged_count <> changed_count THEN
        RAISE EXCEPTION 'changes would be missing from the log: commit_ids was advanced, or a trigger changed their columns'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;

-- Return the time of the commit that created a resource, given its row. The row has it from its second change on; before
-- that, it has the begin of the transaction that created it, twice.
CREATE OR REPLACE FUNCTION create_time_of(created timestamptz, updated timestamptz, last_commit bigint) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE SET enable_seqscan = off
AS $$
BEGIN
    IF created <> updated THEN
        RETURN created;
    END IF;
    RETURN coalesce((SELECT time FROM commits WHERE id = last_commit), created);
END
$$;

-- Return the id of the commit of this transaction; null if it has changed nothing.
CREATE OR REPLACE FUNCTION commit_of_transaction() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    drawn bigint := drawn_commit_id();
BEGIN
    RETURN CASE WHEN next_ordinal(drawn) > 0 THEN drawn END;
END
$$;

-- Assign the revision. Deferred to the commit, so that the counter's lock lasts little longer than the flush, and a
-- transaction that stays open blocks nobody.
CREATE OR REPLACE FUNCTION assign_revision() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off
AS $$
DECLARE
    last record;
    assigned bigint;
BEGIN
    -- A crash must not lose a revision that a watch has delivered.
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    -- Without the condition, its only plan would be one that is switched off, at a cost that is worth compiling (jit).
    PERFORM FROM commit_order WHERE only_row FOR UPDATE;
    -- Now nobody else commits. A new snapshot shows what was committed before; a transaction that keeps its snapshot fails
    -- with a serialization failure where another one has taken its revision since.
    SELECT revision, time, transaction INTO last FROM commits ORDER BY revision DESC LIMIT 1;
    IF last.transaction = pg_current_xact_id() THEN
        RAISE EXCEPTION 'a transaction is one commit, but this one has drawn two ids for it: do not discard sequences, nor '
            'advance commit_ids'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- Times follow revisions, even if the clock is set back, so that each finds what was committed by then.
    INSERT INTO commits (id, revision, time, transaction)
    VALUES (
        NEW.commit_id, coalesce(last.revision, 0) + 1,
        greatest(clock_timestamp(), last.time + interval '1 microsecond'), pg_current_xact_id()
    )
    ON CONFLICT (revision) DO NOTHING
    RETURNING revision INTO STRICT assigned;
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

-- TRUNCATE shows no rows to triggers, so the log couldn't record it; truncated itself, it would be lost.
CREATE OR REPLACE FUNCTION refuse_truncate() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'TRUNCATE of % would be missing from the log: use DELETE', TG_TABLE_NAME;
END
$$;

-- Without the right, a role that may create triggers can't put these on tables of its own to forge the log.
REVOKE EXECUTE ON FUNCTION begin_commit, assign_revision FROM PUBLIC;

-- Return whether the statement that fires a trigger is one of a function that writes the log itself. Sessions may set
-- whatever they like: so it must also run with the rights of the owner, who alone may execute assign_revision, as functions
-- with SECURITY DEFINER do. So do the statements of foreign keys, but within triggers.
CREATE OR REPLACE FUNCTION writes_own_log() RETURNS boolean
LANGUAGE sql STABLE
RETURN coalesce(current_setting('configsvc.writes_own_log', true) = 'on', false)
    AND pg_trigger_depth() = 0
    AND has_function_privilege('assign_revision()'::regprocedure, 'EXECUTE');

-- Without records, a commit would be lost: its watches, its history, its revision.
CREATE OR REPLACE TRIGGER refuse_truncate BEFORE TRUNCATE ON change_records
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

CREATE OR REPLACE TRIGGER refuse_truncate BEFORE TRUNCATE ON commits
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

CREATE OR REPLACE TRIGGER refuse_truncate BEFORE TRUNCATE ON commit_order
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

CREATE OR REPLACE TRIGGER refuse_truncate BEFORE TRUNCATE ON compaction
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

CREATE OR REPLACE TRIGGER refuse_truncate BEFORE TRUNCATE ON log_identity
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

-- Earlier releases had these, which read settings.
-- squawk-ignore ban-drop-function
DROP FUNCTION IF EXISTS advance_ordinal(bigint);

-- squawk-ignore ban-drop-function
DROP FUNCTION IF EXISTS check_place(bigint, integer);
