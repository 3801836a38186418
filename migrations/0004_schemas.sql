-- Schemas, their versions, and the versions that configurations are pinned to
-- depends: 0003_deletions_in_batches

-- migrate: apply

-- One transaction, at a start for which the service is not there yet; the new columns are null in every row, so that the scans are short.
-- squawk-ignore-file constraint-missing-not-valid, adding-foreign-key-constraint, require-concurrent-index-creation
-- What takes the place of the constraint allows more.
-- squawk-ignore-file ban-drop-constraint

-- The name of a schema never changes: it stands in the rows that are pinned to its versions, and in the documents of others.
CREATE TABLE schemas (
    id text COLLATE "C" PRIMARY KEY DEFAULT generate_ulid(),
    name text COLLATE "C" NOT NULL UNIQUE,
    comments text NOT NULL DEFAULT '',
    latest_version bigint NOT NULL DEFAULT 0,
    version bigint NOT NULL,
    commit_id bigint NOT NULL,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    created_by text NOT NULL,
    updated_by text NOT NULL,
    update_reason text NOT NULL,
    update_request_id text NOT NULL,
    UNIQUE (id, name),
    CONSTRAINT schema_id_is_ulid CHECK (id ~ '^[0-7][0-9A-HJKMNP-TV-Z]{25}$'),
    CONSTRAINT schema_name_is_valid CHECK (is_name(name)),
    CONSTRAINT schema_comments_fit CHECK (length(comments) <= 1024)
);

-- additions: what closing added to the document, as a list of objects with pointer and keyword.
CREATE TABLE schema_versions (
    schema_id text COLLATE "C" NOT NULL,
    schema text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    document jsonb NOT NULL,
    document_bytes integer NOT NULL GENERATED ALWAYS AS (octet_length(document::text)) STORED,
    additions jsonb NOT NULL DEFAULT '[]',
    commit_id bigint NOT NULL,
    create_time timestamptz NOT NULL,
    created_by text NOT NULL,
    PRIMARY KEY (schema, version),
    FOREIGN KEY (schema_id, schema) REFERENCES schemas (id, name) ON DELETE CASCADE,
    CONSTRAINT schema_document_is_object CHECK (jsonb_typeof(document) = 'object'),
    CONSTRAINT schema_document_fits CHECK (document_bytes <= 4194304)
);

-- For the cascade.
CREATE INDEX schema_versions_schema_id ON schema_versions (schema_id);

-- Which versions the documents of others refer to.
CREATE TABLE schema_references (
    schema text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    referenced_schema text COLLATE "C" NOT NULL,
    referenced_version bigint NOT NULL,
    PRIMARY KEY (schema, version, referenced_schema, referenced_version),
    FOREIGN KEY (schema, version) REFERENCES schema_versions (schema, version) ON DELETE CASCADE,
    CONSTRAINT schema_version_is_referred_to
    FOREIGN KEY (referenced_schema, referenced_version) REFERENCES schema_versions (schema, version)
);

CREATE INDEX schema_references_referenced ON schema_references (referenced_schema, referenced_version);

ALTER TABLE configurations
ADD COLUMN schema text COLLATE "C",
ADD COLUMN schema_version bigint,
ADD CONSTRAINT configuration_schema_is_whole CHECK ((schema IS NULL) = (schema_version IS NULL)),
ADD CONSTRAINT configuration_is_pinned
FOREIGN KEY (schema, schema_version) REFERENCES schema_versions (schema, version);

CREATE INDEX configurations_schema ON configurations (schema, application, name) WHERE schema IS NOT NULL;

-- Of a configuration: the version that it is pinned to. Of a schema: its name and its newest version.
ALTER TABLE change_records
ADD COLUMN schema text COLLATE "C",
ADD COLUMN schema_version bigint,
DROP CONSTRAINT change_kind,
ADD CONSTRAINT change_kind CHECK (kind IN ('APPLICATION', 'CONFIGURATION', 'SCHEMA'));

CREATE OR REPLACE VIEW changes AS
SELECT commits.revision, commits.time AS commit_time, change_records.*
FROM commits
JOIN change_records ON change_records.commit_id = commits.id;

CREATE FUNCTION stamp_schema() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.comments, NEW.latest_version) IS NOT DISTINCT FROM (OLD.comments, OLD.latest_version) THEN
            RETURN NULL;
        END IF;
        IF NEW.name <> OLD.name THEN
            RAISE EXCEPTION 'the name of a schema never changes' USING ERRCODE = 'restrict_violation';
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

CREATE TRIGGER begin_commit
BEFORE INSERT OR UPDATE OR DELETE ON schemas
FOR EACH STATEMENT EXECUTE FUNCTION begin_commit();

CREATE TRIGGER stamp
BEFORE INSERT OR UPDATE ON schemas
FOR EACH ROW EXECUTE FUNCTION stamp_schema();

CREATE FUNCTION log_schemas() RETURNS trigger
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

CREATE TRIGGER log_insert AFTER INSERT ON schemas
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION log_schemas();

CREATE TRIGGER log_update AFTER UPDATE ON schemas
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION log_schemas();

CREATE TRIGGER log_delete AFTER DELETE ON schemas
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION log_schemas();

-- The service counts schemas.latest_version itself, many in one statement; for a version that is inserted by hand, without a number, this does.
CREATE FUNCTION stamp_schema_version() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF NEW.version IS NULL THEN
        UPDATE public.schemas SET latest_version = latest_version + 1
        WHERE name = NEW.schema OR id = NEW.schema_id
        RETURNING id, name, latest_version INTO NEW.schema_id, NEW.schema, NEW.version;
    ELSIF NEW.version <> (SELECT latest_version FROM public.schemas WHERE id = NEW.schema_id) THEN
        RAISE EXCEPTION 'version % of schema % is not the newest: leave the number out', NEW.version, NEW.schema
            USING ERRCODE = 'check_violation';
    END IF;
    IF NOT public.writes_as_service() OR NEW.created_by IS NULL THEN
        NEW.created_by := 'database:' || session_user;
    END IF;
    NEW.create_time := now();
    NEW.commit_id := current_setting('configsvc.commit_id')::bigint;
    RETURN NEW;
END
$$;

CREATE TRIGGER begin_commit
BEFORE INSERT ON schema_versions
FOR EACH STATEMENT EXECUTE FUNCTION begin_commit();

CREATE TRIGGER stamp
BEFORE INSERT ON schema_versions
FOR EACH ROW EXECUTE FUNCTION stamp_schema_version();

CREATE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    -- Those of a schema that is deleted go with it.
    IF TG_OP = 'DELETE' AND NOT EXISTS (SELECT FROM public.schemas WHERE id = OLD.schema_id) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'versions of a schema never change' USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER refuse_change
BEFORE UPDATE OR DELETE ON schema_versions
FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON schemas
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON schema_versions
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

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

REVOKE EXECUTE ON FUNCTION stamp_schema, log_schemas, stamp_schema_version, refuse_change FROM PUBLIC;

-- migrate: rollback

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
        INSERT INTO change_records
        WITH contexts AS MATERIALIZED (
            SELECT * FROM deletion_contexts()
        )
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY o.id), 'CONFIGURATION', 'DELETED', o.id,
            o.version + 1, o.version, o.application_id, o.application, o.name, o.application_id, o.application, o.name,
            o.comments, NULL, 0, o.create_time, o.created_by, now(),
            coalesce(own.actor, every.actor, 'database:' || session_user),
            coalesce(own.reason, every.reason, ''),
            coalesce(own.request_id, every.request_id, '')
        FROM old_rows AS o
        LEFT JOIN contexts AS own ON own.resource_id = o.id
        LEFT JOIN contexts AS every ON every.resource_id = '*';
    ELSIF TG_OP = 'INSERT' THEN
        first_ordinal := advance_ordinal((SELECT count(*) FROM new_rows));
        PERFORM check_place(this_commit, first_ordinal);
        INSERT INTO change_records
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY id), 'CONFIGURATION', 'CREATED', id,
            version, version - 1, application_id, application, name, application_id, application, name, comments,
            config, config_bytes, create_time, created_by, update_time, updated_by, update_reason, update_request_id
        FROM new_rows;
    ELSE
        first_ordinal := advance_ordinal((SELECT count(*) FROM new_rows));
        PERFORM check_place(this_commit, first_ordinal);
        INSERT INTO change_records
        SELECT
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY n.id, n.version), 'CONFIGURATION', 'UPDATED', n.id,
            n.version, o.version, n.application_id, n.application, n.name, o.application_id, o.application, o.name,
            n.comments, n.config, n.config_bytes, n.create_time, n.created_by, n.update_time, n.updated_by,
            n.update_reason, n.update_request_id
        FROM new_rows AS n
        JOIN old_rows AS o ON o.id = n.id AND o.version = n.version - 1;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION stamp_configuration() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.application_id, NEW.application, NEW.name, NEW.comments, NEW.config)
            IS NOT DISTINCT FROM (OLD.application_id, OLD.application, OLD.name, OLD.comments, OLD.config)
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
    NEW.update_time := now();
    NEW.commit_id := current_setting('configsvc.commit_id')::bigint;
    RETURN NEW;
END
$$;

DROP VIEW changes;
DELETE FROM change_records WHERE kind = 'SCHEMA';
ALTER TABLE change_records
DROP COLUMN schema,
DROP COLUMN schema_version,
DROP CONSTRAINT change_kind,
ADD CONSTRAINT change_kind CHECK (kind IN ('APPLICATION', 'CONFIGURATION'));
CREATE VIEW changes AS
SELECT commits.revision, commits.time AS commit_time, change_records.*
FROM commits
JOIN change_records ON change_records.commit_id = commits.id;
ALTER TABLE configurations DROP COLUMN schema, DROP COLUMN schema_version;
DROP TABLE schema_references, schema_versions, schemas;
DROP FUNCTION stamp_schema, log_schemas, stamp_schema_version, refuse_change;
