-- Applications: the columns that the database fills in, and the log.

-- The service vouches for updated_by, update_reason, update_request_id and update_origin of the rows it writes. For any
-- other writer, the database role is recorded.
CREATE OR REPLACE FUNCTION stamp_application() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off
AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.name, NEW.comments) IS NOT DISTINCT FROM (OLD.name, OLD.comments) THEN
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
            SELECT max(version) FROM public.change_records WHERE kind = 'APPLICATION' AND resource_id = NEW.id
        ), 0);
        NEW.create_time := now();
        NEW.created_by := NEW.updated_by;
    END IF;
    NEW.update_time := now();
    NEW.commit_id := currval('commit_ids');
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION log_applications() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    this_commit bigint := currval('commit_ids');
    first_ordinal integer := next_ordinal(this_commit);
    logged_count bigint;
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO change_records (
            commit_id, ordinal, kind, operation, resource_id, version, previous_version, application_id, application, name,
            previous_application_id, previous_application, previous_name, comments, content, content_bytes, create_time,
            created_by, time, actor, reason, request_id, origin
        )
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY id), 'APPLICATION', 'DELETED', id,
            version + 1, version, NULL, NULL, name, NULL, NULL, name, comments, NULL, 0,
            create_time_of(create_time, update_time, commit_id), created_by, now(),
            coalesce(deletion_context(id, 'actor'), 'database:' || session_user),
            coalesce(deletion_context(id, 'reason'), ''),
            coalesce(deletion_context(id, 'request_id'), ''),
            coalesce(deletion_context(id, 'origin')::jsonb, '{}')
        FROM old_rows;
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO change_records (
            commit_id, ordinal, kind, operation, resource_id, version, previous_version, application_id, application, name,
            previous_application_id, previous_application, previous_name, comments, content, content_bytes, create_time,
            created_by, time, actor, reason, request_id, origin
        )
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY id), 'APPLICATION', 'CREATED', id,
            version, version - 1, NULL, NULL, name, NULL, NULL, name, comments, NULL, 0, create_time, created_by,
            update_time, updated_by, update_reason, update_request_id, update_origin
        FROM new_rows;
    ELSE
        INSERT INTO change_records (
            commit_id, ordinal, kind, operation, resource_id, version, previous_version, application_id, application, name,
            previous_application_id, previous_application, previous_name, comments, content, content_bytes, create_time,
            created_by, time, actor, reason, request_id, origin
        )
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY n.id, n.version), 'APPLICATION', 'UPDATED', n.id,
            n.version, o.version, NULL, NULL, n.name, NULL, NULL, o.name, n.comments, NULL, 0, n.create_time,
            n.created_by, n.update_time, n.updated_by, n.update_reason, n.update_request_id, n.update_origin
        FROM new_rows AS n
        JOIN old_rows AS o ON o.id = n.id AND o.version = n.version - 1;
    END IF;
    GET DIAGNOSTICS logged_count = ROW_COUNT;
    IF TG_OP <> 'DELETE' THEN
        PERFORM check_logged(logged_count, (SELECT count(*) FROM new_rows WHERE commit_id = this_commit));
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER begin_commit
BEFORE INSERT OR UPDATE OR DELETE ON applications
FOR EACH STATEMENT EXECUTE FUNCTION begin_commit();

CREATE OR REPLACE TRIGGER stamp
BEFORE INSERT OR UPDATE ON applications
FOR EACH ROW EXECUTE FUNCTION stamp_application();

CREATE OR REPLACE TRIGGER log_insert AFTER INSERT ON applications
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION log_applications();

CREATE OR REPLACE TRIGGER log_update AFTER UPDATE ON applications
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION log_applications();

CREATE OR REPLACE TRIGGER log_delete AFTER DELETE ON applications
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION log_applications();

CREATE OR REPLACE TRIGGER refuse_truncate BEFORE TRUNCATE ON applications
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

REVOKE EXECUTE ON FUNCTION stamp_application, log_applications FROM PUBLIC;
