-- Role bindings: who may do what
-- depends: 0008_operations

-- migrate: apply

-- One transaction, at a start for which the service is not there yet.
-- squawk-ignore-file constraint-missing-not-valid, require-concurrent-index-creation
-- What takes the place of the constraint allows more.
-- squawk-ignore-file ban-drop-constraint

-- A binding never changes. Without an application it is for all of them. It goes with its application.
CREATE TABLE role_bindings (
    id text COLLATE "C" PRIMARY KEY DEFAULT generate_ulid(),
    principal text COLLATE "C" NOT NULL,
    role text NOT NULL,
    application_id text COLLATE "C" REFERENCES applications (id) ON DELETE CASCADE,
    version bigint NOT NULL,
    commit_id bigint NOT NULL,
    create_time timestamptz NOT NULL,
    created_by text NOT NULL,
    create_reason text NOT NULL,
    create_request_id text NOT NULL,
    UNIQUE NULLS NOT DISTINCT (principal, application_id, role),
    CONSTRAINT role_binding_id_is_ulid CHECK (id ~ '^[0-7][0-9A-HJKMNP-TV-Z]{25}$'),
    CONSTRAINT role_binding_principal_is_valid CHECK (
        principal ~ '^(user|group|certificate):[^[:cntrl:]]+$' AND length(principal) <= 524
    ),
    CONSTRAINT role_binding_role CHECK (role IN ('VIEWER', 'EDITOR', 'ADMIN'))
);

-- For the cascade, and for the bindings of an application.
CREATE INDEX role_bindings_application_id ON role_bindings (application_id);

-- Of a role binding, name is its principal, and content has its role.
ALTER TABLE change_records
DROP CONSTRAINT change_kind,
ADD CONSTRAINT change_kind CHECK (kind IN ('APPLICATION', 'CONFIGURATION', 'SCHEMA', 'ROLE_BINDING'));

CREATE FUNCTION stamp_role_binding() RETURNS trigger
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

CREATE TRIGGER begin_commit
BEFORE INSERT OR UPDATE OR DELETE ON role_bindings
FOR EACH STATEMENT EXECUTE FUNCTION begin_commit();

CREATE TRIGGER stamp
BEFORE INSERT OR UPDATE ON role_bindings
FOR EACH ROW EXECUTE FUNCTION stamp_role_binding();

-- The name of the application is looked up in the log where it was deleted a moment ago.
CREATE FUNCTION log_role_bindings() RETURNS trigger
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

CREATE TRIGGER log_insert AFTER INSERT ON role_bindings
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION log_role_bindings();

CREATE TRIGGER log_delete AFTER DELETE ON role_bindings
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION log_role_bindings();

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON role_bindings
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

REVOKE EXECUTE ON FUNCTION stamp_role_binding, log_role_bindings FROM PUBLIC;

-- migrate: rollback

DROP TABLE role_bindings;
DROP FUNCTION stamp_role_binding, log_role_bindings;
DELETE FROM change_records WHERE kind = 'ROLE_BINDING';
ALTER TABLE change_records
DROP CONSTRAINT change_kind,
ADD CONSTRAINT change_kind CHECK (kind IN ('APPLICATION', 'CONFIGURATION', 'SCHEMA'));
