-- Configurations: the columns that the database fills in, and the log.

-- See stamp_application.
CREATE OR REPLACE FUNCTION stamp_configuration() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off
AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.application_id, NEW.application, NEW.name, NEW.comments, NEW.config, NEW.schema, NEW.schema_version)
            IS NOT DISTINCT FROM
            (OLD.application_id, OLD.application, OLD.name, OLD.comments, OLD.config, OLD.schema, OLD.schema_version)
        THEN
            RETURN NULL;
        END IF;
        NEW.id := OLD.id;
        NEW.version := OLD.version + 1;
        NEW.create_time := create_time_of(OLD.create_time, OLD.update_time, OLD.commit_id);
        NEW.created_by := OLD.created_by;
    END IF;
    IF NOT public.writes_as_service() THEN
        -- A config from before this rule stays until it is changed.
        IF TG_OP = 'INSERT' OR NEW.config <> OLD.config THEN
            PERFORM public.require_readable(NEW.config, 'config', 9007199254740991);
        END IF;
        NEW.updated_by := 'database:' || session_user;
        NEW.update_reason := '';
        NEW.update_request_id := '';
        NEW.update_origin := '{}';
    ELSIF TG_OP = 'UPDATE' AND NEW.application <> OLD.application THEN
        -- The foreign key carried over a new name: the caller who renamed the application made this change too.
        SELECT updated_by, update_reason, update_request_id, update_origin
        INTO STRICT NEW.updated_by, NEW.update_reason, NEW.update_request_id, NEW.update_origin
        FROM public.applications
        WHERE id = NEW.application_id;
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.application_id IS NULL THEN
            NEW.application_id := (SELECT id FROM public.applications WHERE name = NEW.application);
        ELSIF NEW.application IS NULL THEN
            NEW.application := (SELECT name FROM public.applications WHERE id = NEW.application_id);
        END IF;
        -- If the id was deleted before, its versions continue.
        NEW.version := 1 + coalesce((
            SELECT max(version) FROM public.change_records WHERE kind = 'CONFIGURATION' AND resource_id = NEW.id
        ), 0);
        NEW.create_time := now();
        NEW.created_by := NEW.updated_by;
    END IF;
    IF NEW.schema IS NOT NULL AND NEW.schema_version IS NULL THEN
        NEW.schema_version := (SELECT latest_version FROM public.schemas WHERE name = NEW.schema);
    END IF;
    NEW.update_time := now();
    NEW.commit_id := currval('commit_ids');
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION log_configurations() RETURNS trigger
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
            previous_application_id, previous_application, previous_name, comments, content, content_bytes, schema,
            schema_version, create_time, created_by, time, actor, reason, request_id, origin
        )
        WITH contexts AS MATERIALIZED (
            SELECT * FROM deletion_contexts()
        )
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY o.id), 'CONFIGURATION', 'DELETED', o.id,
            o.version + 1, o.version, o.application_id, o.application, o.name, o.application_id, o.application, o.name,
            o.comments, NULL, 0, o.schema, o.schema_version, create_time_of(o.create_time, o.update_time, o.commit_id),
            o.created_by, now(),
            coalesce(own.actor, every.actor, 'database:' || session_user),
            coalesce(own.reason, every.reason, ''),
            coalesce(own.request_id, every.request_id, ''),
            coalesce(own.origin, every.origin, '{}')
        FROM old_rows AS o
        LEFT JOIN contexts AS own ON own.resource_id = o.id
        LEFT JOIN contexts AS every ON every.resource_id = '*';
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO change_records (
            commit_id, ordinal, kind, operation, resource_id, version, previous_version, application_id, application, name,
            previous_application_id, previous_application, previous_name, comments, content, content_bytes, schema,
            schema_version, create_time, created_by, time, actor, reason, request_id, origin
        )
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY id), 'CONFIGURATION', 'CREATED', id,
            version, version - 1, application_id, application, name, application_id, application, name, comments,
            config, config_bytes, schema, schema_version, create_time, created_by, update_time, updated_by, update_reason,
            update_request_id, update_origin
        FROM new_rows;
    ELSE
        INSERT INTO change_records (
            commit_id, ordinal, kind, operation, resource_id, version, previous_version, application_id, application, name,
            previous_application_id, previous_application, previous_name, comments, content, content_bytes, schema,
            schema_version, create_time, created_by, time, actor, reason, request_id, origin
        )
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY n.id, n.version), 'CONFIGURATION', 'UPDATED', n.id,
            n.version, o.version, n.application_id, n.application, n.name, o.application_id, o.application, o.name,
            n.comments, n.config, n.config_bytes, n.schema, n.schema_version, n.create_time, n.created_by, n.update_time,
            n.updated_by, n.update_reason, n.update_request_id, n.update_origin
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
BEFORE INSERT OR UPDATE OR DELETE ON configurations
FOR EACH STATEMENT WHEN (NOT writes_own_log()) EXECUTE FUNCTION begin_commit();

CREATE OR REPLACE TRIGGER stamp
BEFORE INSERT OR UPDATE ON configurations
FOR EACH ROW WHEN (NOT writes_own_log()) EXECUTE FUNCTION stamp_configuration();

CREATE OR REPLACE TRIGGER log_insert AFTER INSERT ON configurations
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT WHEN (NOT writes_own_log()) EXECUTE FUNCTION log_configurations();

CREATE OR REPLACE TRIGGER log_update AFTER UPDATE ON configurations
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT WHEN (NOT writes_own_log()) EXECUTE FUNCTION log_configurations();

CREATE OR REPLACE TRIGGER log_delete AFTER DELETE ON configurations
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT WHEN (NOT writes_own_log()) EXECUTE FUNCTION log_configurations();

CREATE OR REPLACE TRIGGER refuse_truncate BEFORE TRUNCATE ON configurations
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

REVOKE EXECUTE ON FUNCTION stamp_configuration, log_configurations FROM PUBLIC;
