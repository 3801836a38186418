-- Schema versions: the columns that the database fills in. Versions never change.

-- The service counts schemas.latest_version itself, for many versions in one statement. This counts for a version that is
-- inserted by hand, without a number.
CREATE OR REPLACE FUNCTION stamp_schema_version() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF NEW.version IS NULL THEN
        UPDATE public.schemas SET latest_version = latest_version + 1
        WHERE name = NEW.schema OR id = NEW.schema_id
        RETURNING id, name, latest_version INTO NEW.schema_id, NEW.schema, NEW.version;
    ELSIF NOT EXISTS (
        -- Changed by this transaction: its record in the log is that of the version, too.
        SELECT FROM public.schemas
        WHERE id = NEW.schema_id AND latest_version = NEW.version AND commit_id = currval('commit_ids')
    )
    THEN
        RAISE EXCEPTION 'version % of schema % is not the one that this transaction adds: leave the number out', NEW.version,
            NEW.schema
            USING ERRCODE = 'check_violation';
    END IF;
    IF NOT public.writes_as_service() THEN
        PERFORM public.require_readable(NEW.document, 'document', 1e1000);
        PERFORM public.require_additions(NEW.additions);
    END IF;
    IF NOT public.writes_as_service() OR NEW.created_by IS NULL THEN
        NEW.created_by := 'database:' || session_user;
    END IF;
    NEW.create_time := now();
    NEW.commit_id := currval('commit_ids');
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    -- Deleting a schema deletes its versions.
    IF TG_OP = 'DELETE' AND NOT EXISTS (SELECT FROM public.schemas WHERE id = OLD.schema_id) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'versions of a schema never change' USING ERRCODE = 'restrict_violation';
END
$$;

CREATE OR REPLACE TRIGGER begin_commit
BEFORE INSERT ON schema_versions
FOR EACH STATEMENT EXECUTE FUNCTION begin_commit();

CREATE OR REPLACE TRIGGER stamp
BEFORE INSERT ON schema_versions
FOR EACH ROW EXECUTE FUNCTION stamp_schema_version();

CREATE OR REPLACE TRIGGER refuse_change
BEFORE UPDATE OR DELETE ON schema_versions
FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER refuse_truncate BEFORE TRUNCATE ON schema_versions
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

REVOKE EXECUTE ON FUNCTION stamp_schema_version, refuse_change FROM PUBLIC;
