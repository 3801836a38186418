-- The name of a schema never changes, also where nothing else of the row does
-- depends: 0009_role_bindings

-- migrate: apply

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

-- migrate: rollback

CREATE OR REPLACE FUNCTION stamp_schema() RETURNS trigger
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
