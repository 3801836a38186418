-- Role bindings: the columns that the database fills in, and the log.

-- See stamp_application.
CREATE OR REPLACE FUNCTION stamp_role_binding() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off
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
    -- If the id was deleted before, its versions continue.
    NEW.version := 1 + coalesce((
        SELECT max(version) FROM public.change_records WHERE kind = 'ROLE_BINDING' AND resource_id = NEW.id
    ), 0);
    NEW.create_time := now();
    NEW.commit_id := currval('commit_ids');
    RETURN NEW;
END
$$;

-- The log knows the name of an application that was deleted in the same statement.
CREATE OR REPLACE FUNCTION log_role_bindings() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off
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
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY o.id), 'ROLE_BINDING', 'DELETED', o.id,
            o.version + 1, o.version, o.application_id, known.name, o.principal, o.application_id, known.name, o.principal,
            '', jsonb_build_object('role', o.role), 0,
            create_time_of(o.create_time, o.create_time, o.commit_id), o.created_by, now(),
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
    GET DIAGNOSTICS logged_count = ROW_COUNT;
    IF TG_OP <> 'DELETE' THEN
        PERFORM check_logged(logged_count, (SELECT count(*) FROM new_rows WHERE commit_id = this_commit));
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER begin_commit
BEFORE INSERT OR UPDATE OR DELETE ON role_bindings
FOR EACH STATEMENT EXECUTE FUNCTION begin_commit();

CREATE OR REPLACE TRIGGER stamp
BEFORE INSERT OR UPDATE ON role_bindings
FOR EACH ROW EXECUTE FUNCTION stamp_role_binding();

CREATE OR REPLACE TRIGGER log_insert AFTER INSERT ON role_bindings
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION log_role_bindings();

CREATE OR REPLACE TRIGGER log_delete AFTER DELETE ON role_bindings
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION log_role_bindings();

CREATE OR REPLACE TRIGGER refuse_truncate BEFORE TRUNCATE ON role_bindings
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

REVOKE EXECUTE ON FUNCTION stamp_role_binding, log_role_bindings FROM PUBLIC;
