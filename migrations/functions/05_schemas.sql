-- Schemas: the columns that the database fills in, and the log.

-- See stamp_application.
CREATE OR REPLACE FUNCTION stamp_schema() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off
AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.name <> OLD.name THEN
            RAISE EXCEPTION 'the name of a schema never changes' USING ERRCODE = 'restrict_violation';
        END IF;
        IF (NEW.comments, NEW.latest_version) IS NOT DISTINCT FROM (OLD.comments, OLD.latest_version) THEN
            RETURN NULL;
        END IF;
        NEW.id := OLD.id;
        NEW.version := OLD.version + 1;
        NEW.create_time := create_time_of(OLD.create_time, OLD.update_time, OLD.commit_id);
        NEW.created_by := OLD.created_by;
    END IF;
    IF NOT public.writes_as_service() THEN
        NEW.updated_by := 'database:' || session_user;
        NEW.update_reason := '';
        NEW.update_request_id := '';
        NEW.update_origin := '{}';
    END IF;
    IF TG_OP = 'INSERT' THEN
        -- If the id was deleted before, its versions continue.
        NEW.version := 1 + coalesce((
            SELECT max(version) FROM public.change_records WHERE kind = 'SCHEMA' AND resource_id = NEW.id
        ), 0);
        NEW.create_time := now();
        NEW.created_by := NEW.updated_by;
    END IF;
    NEW.update_time := now();
    NEW.commit_id := currval('commit_ids');
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION log_schemas() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    this_commit bigint := currval('commit_ids');
    first_ordinal integer := next_ordinal(this_commit);
    logged_count bigint;
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO change_records (
            commit_id, ordinal, kind, operation, resource_id, version, previous_version, name, previous_name, comments,
            content_bytes, schema, schema_version, create_time, created_by, time, actor, reason, request_id, origin
        )
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY id), 'SCHEMA', 'DELETED', id, version + 1, version,
            name, name, comments, 0, name, latest_version, create_time_of(create_time, update_time, commit_id), created_by, now(),
            coalesce(deletion_context(id, 'actor'), 'database:' || session_user),
            coalesce(deletion_context(id, 'reason'), ''),
            coalesce(deletion_context(id, 'request_id'), ''),
            coalesce(deletion_context(id, 'origin')::jsonb, '{}')
        FROM old_rows;
    ELSE
        INSERT INTO change_records (
            commit_id, ordinal, kind, operation, resource_id, version, previous_version, name, previous_name, comments,
            content_bytes, schema, schema_version, create_time, created_by, time, actor, reason, request_id, origin
        )
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY id, version), 'SCHEMA',
            CASE TG_OP WHEN 'INSERT' THEN 'CREATED' ELSE 'UPDATED' END, id, version, version - 1, name, name, comments, 0,
            name, latest_version, create_time, created_by, update_time, updated_by, update_reason, update_request_id, update_origin
        FROM new_rows;
    END IF;
    GET DIAGNOSTICS logged_count = ROW_COUNT;
    IF TG_OP <> 'DELETE' THEN
        PERFORM check_logged(logged_count, (SELECT count(*) FROM new_rows WHERE commit_id = this_commit));
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER begin_commit
BEFORE INSERT OR UPDATE OR DELETE ON schemas
FOR EACH STATEMENT EXECUTE FUNCTION begin_commit();

CREATE OR REPLACE TRIGGER stamp
BEFORE INSERT OR UPDATE ON schemas
FOR EACH ROW EXECUTE FUNCTION stamp_schema();

CREATE OR REPLACE TRIGGER log_insert AFTER INSERT ON schemas
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION log_schemas();

CREATE OR REPLACE TRIGGER log_update AFTER UPDATE ON schemas
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION log_schemas();

CREATE OR REPLACE TRIGGER log_delete AFTER DELETE ON schemas
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION log_schemas();

CREATE OR REPLACE TRIGGER refuse_truncate BEFORE TRUNCATE ON schemas
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

REVOKE EXECUTE ON FUNCTION stamp_schema, log_schemas FROM PUBLIC;
