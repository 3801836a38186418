-- Where each change came from: the address of the call's peer, and the change request that it names
-- depends: 0011_attempts

-- migrate: apply

-- An object with peer and, where the call named one, change_request; empty for what runs in SQL. The service vouches for it as for updated_by.
ALTER TABLE applications ADD COLUMN update_origin jsonb NOT NULL DEFAULT '{}';
ALTER TABLE configurations ADD COLUMN update_origin jsonb NOT NULL DEFAULT '{}';
ALTER TABLE schemas ADD COLUMN update_origin jsonb NOT NULL DEFAULT '{}';
ALTER TABLE role_bindings ADD COLUMN create_origin jsonb NOT NULL DEFAULT '{}';
ALTER TABLE operations ADD COLUMN origin jsonb NOT NULL DEFAULT '{}';
ALTER TABLE change_records ADD COLUMN origin jsonb NOT NULL DEFAULT '{}';

CREATE OR REPLACE VIEW changes AS
SELECT commits.revision, commits.time AS commit_time, change_records.*
FROM commits
JOIN change_records ON change_records.commit_id = commits.id;

-- In one transaction with what takes its place: only the columns that it returns cannot be replaced.
-- squawk-ignore ban-drop-function
DROP FUNCTION deletion_contexts;

CREATE FUNCTION deletion_contexts() RETURNS TABLE (resource_id text, actor text, reason text, request_id text, origin jsonb)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT explained.key, explained.value ->> 'actor', explained.value ->> 'reason', explained.value ->> 'request_id',
        explained.value -> 'origin'
    FROM jsonb_each(nullif(current_setting('configsvc.deletion', true), '')::jsonb) AS explained
    WHERE writes_as_service();
END;

CREATE OR REPLACE FUNCTION stamp_application() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.name, NEW.comments) IS NOT DISTINCT FROM (OLD.name, OLD.comments) THEN
            RETURN NULL;
        END IF;
        NEW.id := OLD.id;
        NEW.version := OLD.version + 1;
        NEW.create_time := OLD.create_time;
        NEW.created_by := OLD.created_by;
    END IF;
    IF NOT public.writes_as_service() THEN
        NEW.updated_by := 'database:' || session_user;
        NEW.update_reason := '';
        NEW.update_request_id := '';
        NEW.update_origin := '{}';
    END IF;
    IF TG_OP = 'INSERT' THEN
        -- An id that was deleted and is inserted again goes on counting.
        NEW.version := 1 + coalesce((
            SELECT max(version) FROM public.change_records WHERE kind = 'APPLICATION' AND resource_id = NEW.id
        ), 0);
        NEW.create_time := now();
        NEW.created_by := NEW.updated_by;
    END IF;
    NEW.update_time := now();
    NEW.commit_id := current_setting('configsvc.commit_id')::bigint;
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION stamp_configuration() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
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
        NEW.create_time := OLD.create_time;
        NEW.created_by := OLD.created_by;
    END IF;
    IF NOT public.writes_as_service() THEN
        NEW.updated_by := 'database:' || session_user;
        NEW.update_reason := '';
        NEW.update_request_id := '';
        NEW.update_origin := '{}';
    ELSIF TG_OP = 'UPDATE' AND NEW.application <> OLD.application THEN
        -- The foreign key carried a new name over: whoever renamed the application made this change too.
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
        -- An id that was deleted and is inserted again goes on counting.
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
    NEW.commit_id := current_setting('configsvc.commit_id')::bigint;
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION stamp_schema() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
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
        NEW.create_time := OLD.create_time;
        NEW.created_by := OLD.created_by;
    END IF;
    IF NOT public.writes_as_service() THEN
        NEW.updated_by := 'database:' || session_user;
        NEW.update_reason := '';
        NEW.update_request_id := '';
        NEW.update_origin := '{}';
    END IF;
    IF TG_OP = 'INSERT' THEN
        -- An id that was deleted and is inserted again goes on counting.
        NEW.version := 1 + coalesce((
            SELECT max(version) FROM public.change_records WHERE kind = 'SCHEMA' AND resource_id = NEW.id
        ), 0);
        NEW.create_time := now();
        NEW.created_by := NEW.updated_by;
    END IF;
    NEW.update_time := now();
    NEW.commit_id := current_setting('configsvc.commit_id')::bigint;
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION stamp_role_binding() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        RAISE EXCEPTION 'a role binding never changes: delete it and insert another' USING ERRCODE = 'restrict_violation';
    END IF;
    IF NOT public.writes_as_service() THEN
        NEW.created_by := 'database:' || session_user;
        NEW.create_reason := '';
        NEW.create_request_id := '';
        NEW.create_origin := '{}';
    END IF;
    -- An id that was deleted and is inserted again goes on counting.
    NEW.version := 1 + coalesce((
        SELECT max(version) FROM public.change_records WHERE kind = 'ROLE_BINDING' AND resource_id = NEW.id
    ), 0);
    NEW.create_time := now();
    NEW.commit_id := current_setting('configsvc.commit_id')::bigint;
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION log_applications() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    this_commit bigint := current_setting('configsvc.commit_id');
    first_ordinal integer;
BEGIN
    IF TG_OP = 'DELETE' THEN
        first_ordinal := advance_ordinal((SELECT count(*) FROM old_rows));
        PERFORM check_place(this_commit, first_ordinal);
        INSERT INTO change_records (
            commit_id, ordinal, kind, operation, resource_id, version, previous_version, application_id, application, name,
            previous_application_id, previous_application, previous_name, comments, content, content_bytes, create_time,
            created_by, time, actor, reason, request_id, origin
        )
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY id), 'APPLICATION', 'DELETED', id,
            version + 1, version, NULL, NULL, name, NULL, NULL, name, comments, NULL, 0, create_time, created_by, now(),
            coalesce(deletion_context(id, 'actor'), 'database:' || session_user),
            coalesce(deletion_context(id, 'reason'), ''),
            coalesce(deletion_context(id, 'request_id'), ''),
            coalesce(deletion_context(id, 'origin')::jsonb, '{}')
        FROM old_rows;
    ELSIF TG_OP = 'INSERT' THEN
        first_ordinal := advance_ordinal((SELECT count(*) FROM new_rows));
        PERFORM check_place(this_commit, first_ordinal);
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
        first_ordinal := advance_ordinal((SELECT count(*) FROM new_rows));
        PERFORM check_place(this_commit, first_ordinal);
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
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION log_configurations() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    this_commit bigint := current_setting('configsvc.commit_id');
    first_ordinal integer;
BEGIN
    IF TG_OP = 'DELETE' THEN
        first_ordinal := advance_ordinal((SELECT count(*) FROM old_rows));
        PERFORM check_place(this_commit, first_ordinal);
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
            o.comments, NULL, 0, o.schema, o.schema_version, o.create_time, o.created_by, now(),
            coalesce(own.actor, every.actor, 'database:' || session_user),
            coalesce(own.reason, every.reason, ''),
            coalesce(own.request_id, every.request_id, ''),
            coalesce(own.origin, every.origin, '{}')
        FROM old_rows AS o
        LEFT JOIN contexts AS own ON own.resource_id = o.id
        LEFT JOIN contexts AS every ON every.resource_id = '*';
    ELSIF TG_OP = 'INSERT' THEN
        first_ordinal := advance_ordinal((SELECT count(*) FROM new_rows));
        PERFORM check_place(this_commit, first_ordinal);
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
        first_ordinal := advance_ordinal((SELECT count(*) FROM new_rows));
        PERFORM check_place(this_commit, first_ordinal);
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
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION log_schemas() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    this_commit bigint := current_setting('configsvc.commit_id');
    first_ordinal integer;
BEGIN
    IF TG_OP = 'DELETE' THEN
        first_ordinal := advance_ordinal((SELECT count(*) FROM old_rows));
        PERFORM check_place(this_commit, first_ordinal);
        INSERT INTO change_records (
            commit_id, ordinal, kind, operation, resource_id, version, previous_version, name, previous_name, comments,
            content_bytes, schema, schema_version, create_time, created_by, time, actor, reason, request_id, origin
        )
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY id), 'SCHEMA', 'DELETED', id, version + 1, version,
            name, name, comments, 0, name, latest_version, create_time, created_by, now(),
            coalesce(deletion_context(id, 'actor'), 'database:' || session_user),
            coalesce(deletion_context(id, 'reason'), ''),
            coalesce(deletion_context(id, 'request_id'), ''),
            coalesce(deletion_context(id, 'origin')::jsonb, '{}')
        FROM old_rows;
    ELSE
        first_ordinal := advance_ordinal((SELECT count(*) FROM new_rows));
        PERFORM check_place(this_commit, first_ordinal);
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
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION log_role_bindings() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    this_commit bigint := current_setting('configsvc.commit_id');
    first_ordinal integer;
BEGIN
    IF TG_OP = 'DELETE' THEN
        first_ordinal := advance_ordinal((SELECT count(*) FROM old_rows));
        PERFORM check_place(this_commit, first_ordinal);
        INSERT INTO change_records (
            commit_id, ordinal, kind, operation, resource_id, version, previous_version, application_id, application, name,
            previous_application_id, previous_application, previous_name, comments, content, content_bytes, create_time,
            created_by, time, actor, reason, request_id, origin
        )
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY o.id), 'ROLE_BINDING', 'DELETED', o.id,
            o.version + 1, o.version, o.application_id, known.name, o.principal, o.application_id, known.name, o.principal,
            '', jsonb_build_object('role', o.role), 0, o.create_time, o.created_by, now(),
            coalesce(deletion_context(o.id, 'actor'), 'database:' || session_user),
            coalesce(deletion_context(o.id, 'reason'), ''),
            coalesce(deletion_context(o.id, 'request_id'), ''),
            coalesce(deletion_context(o.id, 'origin')::jsonb, '{}')
        FROM old_rows AS o
        LEFT JOIN LATERAL (
            SELECT name
            FROM change_records
            WHERE kind = 'APPLICATION' AND resource_id = o.application_id
            ORDER BY version DESC
            LIMIT 1
        ) AS known ON true;
    ELSE
        first_ordinal := advance_ordinal((SELECT count(*) FROM new_rows));
        PERFORM check_place(this_commit, first_ordinal);
        INSERT INTO change_records (
            commit_id, ordinal, kind, operation, resource_id, version, previous_version, application_id, application, name,
            previous_application_id, previous_application, previous_name, comments, content, content_bytes, create_time,
            created_by, time, actor, reason, request_id, origin
        )
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY n.id), 'ROLE_BINDING', 'CREATED', n.id, n.version,
            n.version - 1, n.application_id, applications.name, n.principal, n.application_id, applications.name,
            n.principal, '', jsonb_build_object('role', n.role), 0, n.create_time, n.created_by, n.create_time,
            n.created_by, n.create_reason, n.create_request_id, n.create_origin
        FROM new_rows AS n
        LEFT JOIN applications ON applications.id = n.application_id;
    END IF;
    RETURN NULL;
END
$$;

-- migrate: rollback

CREATE OR REPLACE FUNCTION log_role_bindings() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    this_commit bigint := current_setting('configsvc.commit_id');
    first_ordinal integer;
BEGIN
    IF TG_OP = 'DELETE' THEN
        first_ordinal := advance_ordinal((SELECT count(*) FROM old_rows));
        PERFORM check_place(this_commit, first_ordinal);
        INSERT INTO change_records (
            commit_id, ordinal, kind, operation, resource_id, version, previous_version, application_id, application, name,
            previous_application_id, previous_application, previous_name, comments, content, content_bytes, create_time,
            created_by, time, actor, reason, request_id
        )
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY o.id), 'ROLE_BINDING', 'DELETED', o.id,
            o.version + 1, o.version, o.application_id, known.name, o.principal, o.application_id, known.name, o.principal,
            '', jsonb_build_object('role', o.role), 0, o.create_time, o.created_by, now(),
            coalesce(deletion_context(o.id, 'actor'), 'database:' || session_user),
            coalesce(deletion_context(o.id, 'reason'), ''),
            coalesce(deletion_context(o.id, 'request_id'), '')
        FROM old_rows AS o
        LEFT JOIN LATERAL (
            SELECT name
            FROM change_records
            WHERE kind = 'APPLICATION' AND resource_id = o.application_id
            ORDER BY version DESC
            LIMIT 1
        ) AS known ON true;
    ELSE
        first_ordinal := advance_ordinal((SELECT count(*) FROM new_rows));
        PERFORM check_place(this_commit, first_ordinal);
        INSERT INTO change_records (
            commit_id, ordinal, kind, operation, resource_id, version, previous_version, application_id, application, name,
            previous_application_id, previous_application, previous_name, comments, content, content_bytes, create_time,
            created_by, time, actor, reason, request_id
        )
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY n.id), 'ROLE_BINDING', 'CREATED', n.id, n.version,
            n.version - 1, n.application_id, applications.name, n.principal, n.application_id, applications.name,
            n.principal, '', jsonb_build_object('role', n.role), 0, n.create_time, n.created_by, n.create_time,
            n.created_by, n.create_reason, n.create_request_id
        FROM new_rows AS n
        LEFT JOIN applications ON applications.id = n.application_id;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION log_schemas() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    this_commit bigint := current_setting('configsvc.commit_id');
    first_ordinal integer;
BEGIN
    IF TG_OP = 'DELETE' THEN
        first_ordinal := advance_ordinal((SELECT count(*) FROM old_rows));
        PERFORM check_place(this_commit, first_ordinal);
        INSERT INTO change_records (
            commit_id, ordinal, kind, operation, resource_id, version, previous_version, name, previous_name, comments,
            content_bytes, schema, schema_version, create_time, created_by, time, actor, reason, request_id
        )
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY id), 'SCHEMA', 'DELETED', id, version + 1, version,
            name, name, comments, 0, name, latest_version, create_time, created_by, now(),
            coalesce(deletion_context(id, 'actor'), 'database:' || session_user),
            coalesce(deletion_context(id, 'reason'), ''),
            coalesce(deletion_context(id, 'request_id'), '')
        FROM old_rows;
    ELSE
        first_ordinal := advance_ordinal((SELECT count(*) FROM new_rows));
        PERFORM check_place(this_commit, first_ordinal);
        INSERT INTO change_records (
            commit_id, ordinal, kind, operation, resource_id, version, previous_version, name, previous_name, comments,
            content_bytes, schema, schema_version, create_time, created_by, time, actor, reason, request_id
        )
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY id, version), 'SCHEMA',
            CASE TG_OP WHEN 'INSERT' THEN 'CREATED' ELSE 'UPDATED' END, id, version, version - 1, name, name, comments, 0,
            name, latest_version, create_time, created_by, update_time, updated_by, update_reason, update_request_id
        FROM new_rows;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION log_configurations() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    this_commit bigint := current_setting('configsvc.commit_id');
    first_ordinal integer;
BEGIN
    IF TG_OP = 'DELETE' THEN
        first_ordinal := advance_ordinal((SELECT count(*) FROM old_rows));
        PERFORM check_place(this_commit, first_ordinal);
        INSERT INTO change_records (
            commit_id, ordinal, kind, operation, resource_id, version, previous_version, application_id, application, name,
            previous_application_id, previous_application, previous_name, comments, content, content_bytes, schema,
            schema_version, create_time, created_by, time, actor, reason, request_id
        )
        WITH contexts AS MATERIALIZED (
            SELECT * FROM deletion_contexts()
        )
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY o.id), 'CONFIGURATION', 'DELETED', o.id,
            o.version + 1, o.version, o.application_id, o.application, o.name, o.application_id, o.application, o.name,
            o.comments, NULL, 0, o.schema, o.schema_version, o.create_time, o.created_by, now(),
            coalesce(own.actor, every.actor, 'database:' || session_user),
            coalesce(own.reason, every.reason, ''),
            coalesce(own.request_id, every.request_id, '')
        FROM old_rows AS o
        LEFT JOIN contexts AS own ON own.resource_id = o.id
        LEFT JOIN contexts AS every ON every.resource_id = '*';
    ELSIF TG_OP = 'INSERT' THEN
        first_ordinal := advance_ordinal((SELECT count(*) FROM new_rows));
        PERFORM check_place(this_commit, first_ordinal);
        INSERT INTO change_records (
            commit_id, ordinal, kind, operation, resource_id, version, previous_version, application_id, application, name,
            previous_application_id, previous_application, previous_name, comments, content, content_bytes, schema,
            schema_version, create_time, created_by, time, actor, reason, request_id
        )
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY id), 'CONFIGURATION', 'CREATED', id,
            version, version - 1, application_id, application, name, application_id, application, name, comments,
            config, config_bytes, schema, schema_version, create_time, created_by, update_time, updated_by, update_reason,
            update_request_id
        FROM new_rows;
    ELSE
        first_ordinal := advance_ordinal((SELECT count(*) FROM new_rows));
        PERFORM check_place(this_commit, first_ordinal);
        INSERT INTO change_records (
            commit_id, ordinal, kind, operation, resource_id, version, previous_version, application_id, application, name,
            previous_application_id, previous_application, previous_name, comments, content, content_bytes, schema,
            schema_version, create_time, created_by, time, actor, reason, request_id
        )
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY n.id, n.version), 'CONFIGURATION', 'UPDATED', n.id,
            n.version, o.version, n.application_id, n.application, n.name, o.application_id, o.application, o.name,
            n.comments, n.config, n.config_bytes, n.schema, n.schema_version, n.create_time, n.created_by, n.update_time,
            n.updated_by, n.update_reason, n.update_request_id
        FROM new_rows AS n
        JOIN old_rows AS o ON o.id = n.id AND o.version = n.version - 1;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION log_applications() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    this_commit bigint := current_setting('configsvc.commit_id');
    first_ordinal integer;
BEGIN
    IF TG_OP = 'DELETE' THEN
        first_ordinal := advance_ordinal((SELECT count(*) FROM old_rows));
        PERFORM check_place(this_commit, first_ordinal);
        INSERT INTO change_records
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY id), 'APPLICATION', 'DELETED', id,
            version + 1, version, NULL, NULL, name, NULL, NULL, name, comments, NULL, 0, create_time, created_by, now(),
            coalesce(deletion_context(id, 'actor'), 'database:' || session_user),
            coalesce(deletion_context(id, 'reason'), ''),
            coalesce(deletion_context(id, 'request_id'), '')
        FROM old_rows;
    ELSIF TG_OP = 'INSERT' THEN
        first_ordinal := advance_ordinal((SELECT count(*) FROM new_rows));
        PERFORM check_place(this_commit, first_ordinal);
        INSERT INTO change_records
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY id), 'APPLICATION', 'CREATED', id,
            version, version - 1, NULL, NULL, name, NULL, NULL, name, comments, NULL, 0, create_time, created_by,
            update_time, updated_by, update_reason, update_request_id
        FROM new_rows;
    ELSE
        first_ordinal := advance_ordinal((SELECT count(*) FROM new_rows));
        PERFORM check_place(this_commit, first_ordinal);
        INSERT INTO change_records
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY n.id, n.version), 'APPLICATION', 'UPDATED', n.id,
            n.version, o.version, NULL, NULL, n.name, NULL, NULL, o.name, n.comments, NULL, 0, n.create_time,
            n.created_by, n.update_time, n.updated_by, n.update_reason, n.update_request_id
        FROM new_rows AS n
        JOIN old_rows AS o ON o.id = n.id AND o.version = n.version - 1;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION stamp_role_binding() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        RAISE EXCEPTION 'a role binding never changes: delete it and insert another' USING ERRCODE = 'restrict_violation';
    END IF;
    IF NOT public.writes_as_service() THEN
        NEW.created_by := 'database:' || session_user;
        NEW.create_reason := '';
        NEW.create_request_id := '';
    END IF;
    -- An id that was deleted and is inserted again goes on counting.
    NEW.version := 1 + coalesce((
        SELECT max(version) FROM public.change_records WHERE kind = 'ROLE_BINDING' AND resource_id = NEW.id
    ), 0);
    NEW.create_time := now();
    NEW.commit_id := current_setting('configsvc.commit_id')::bigint;
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION stamp_schema() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
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
        NEW.create_time := OLD.create_time;
        NEW.created_by := OLD.created_by;
    END IF;
    IF NOT public.writes_as_service() THEN
        NEW.updated_by := 'database:' || session_user;
        NEW.update_reason := '';
        NEW.update_request_id := '';
    END IF;
    IF TG_OP = 'INSERT' THEN
        -- An id that was deleted and is inserted again goes on counting.
        NEW.version := 1 + coalesce((
            SELECT max(version) FROM public.change_records WHERE kind = 'SCHEMA' AND resource_id = NEW.id
        ), 0);
        NEW.create_time := now();
        NEW.created_by := NEW.updated_by;
    END IF;
    NEW.update_time := now();
    NEW.commit_id := current_setting('configsvc.commit_id')::bigint;
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION stamp_configuration() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
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
        NEW.create_time := OLD.create_time;
        NEW.created_by := OLD.created_by;
    END IF;
    IF NOT public.writes_as_service() THEN
        NEW.updated_by := 'database:' || session_user;
        NEW.update_reason := '';
        NEW.update_request_id := '';
    ELSIF TG_OP = 'UPDATE' AND NEW.application <> OLD.application THEN
        -- The foreign key carried a new name over: whoever renamed the application made this change too.
        SELECT updated_by, update_reason, update_request_id
        INTO STRICT NEW.updated_by, NEW.update_reason, NEW.update_request_id
        FROM public.applications
        WHERE id = NEW.application_id;
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.application_id IS NULL THEN
            NEW.application_id := (SELECT id FROM public.applications WHERE name = NEW.application);
        ELSIF NEW.application IS NULL THEN
            NEW.application := (SELECT name FROM public.applications WHERE id = NEW.application_id);
        END IF;
        -- An id that was deleted and is inserted again goes on counting.
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
    NEW.commit_id := current_setting('configsvc.commit_id')::bigint;
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION stamp_application() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.name, NEW.comments) IS NOT DISTINCT FROM (OLD.name, OLD.comments) THEN
            RETURN NULL;
        END IF;
        NEW.id := OLD.id;
        NEW.version := OLD.version + 1;
        NEW.create_time := OLD.create_time;
        NEW.created_by := OLD.created_by;
    END IF;
    IF NOT public.writes_as_service() THEN
        NEW.updated_by := 'database:' || session_user;
        NEW.update_reason := '';
        NEW.update_request_id := '';
    END IF;
    IF TG_OP = 'INSERT' THEN
        -- An id that was deleted and is inserted again goes on counting.
        NEW.version := 1 + coalesce((
            SELECT max(version) FROM public.change_records WHERE kind = 'APPLICATION' AND resource_id = NEW.id
        ), 0);
        NEW.create_time := now();
        NEW.created_by := NEW.updated_by;
    END IF;
    NEW.update_time := now();
    NEW.commit_id := current_setting('configsvc.commit_id')::bigint;
    RETURN NEW;
END
$$;

DROP FUNCTION deletion_contexts;

CREATE FUNCTION deletion_contexts() RETURNS TABLE (resource_id text, actor text, reason text, request_id text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT explained.key, explained.value ->> 'actor', explained.value ->> 'reason', explained.value ->> 'request_id'
    FROM jsonb_each(nullif(current_setting('configsvc.deletion', true), '')::jsonb) AS explained
    WHERE writes_as_service();
END;

DROP VIEW changes;
ALTER TABLE applications DROP COLUMN update_origin;
ALTER TABLE configurations DROP COLUMN update_origin;
ALTER TABLE schemas DROP COLUMN update_origin;
ALTER TABLE role_bindings DROP COLUMN create_origin;
ALTER TABLE operations DROP COLUMN origin;
ALTER TABLE change_records DROP COLUMN origin;
CREATE VIEW changes AS
SELECT commits.revision, commits.time AS commit_time, change_records.*
FROM commits
JOIN change_records ON change_records.commit_id = commits.id;
