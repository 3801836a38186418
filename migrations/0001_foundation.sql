-- Applications, configurations, the log of changes and its revisions
-- depends:

-- migrate: apply

-- One row: the revision of the last commit. Its lock makes the order of the numbers the order of the commits. The row is rewritten by
-- every commit, so its page keeps room for new versions and vacuum comes often.
CREATE TABLE revision_counter (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    revision bigint NOT NULL
) WITH (
    fillfactor = 10,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

INSERT INTO revision_counter (revision) VALUES (0);

-- A transaction that changes anything draws an id at its first change and its revision at its commit, see assign_revision.
CREATE SEQUENCE commit_ids AS bigint CACHE 1;

CREATE TABLE commits (
    id bigint PRIMARY KEY,
    revision bigint NOT NULL UNIQUE,
    time timestamptz NOT NULL
);

CREATE FUNCTION is_name(value text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN length(value) BETWEEN 1 AND 256
    AND value ~ '^[A-Za-z0-9][A-Za-z0-9._/-]*$'
    AND value !~ '(^|/)[.]{0,2}(/|$)';

-- For rows that are inserted by hand: 48 bits of milliseconds and 80 random bits in Crockford's base 32.
CREATE FUNCTION generate_ulid() RETURNS text
LANGUAGE sql VOLATILE
RETURN (
    SELECT string_agg(substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', digit::integer + 1, 1), '' ORDER BY place)
    FROM (
        SELECT place, ((extract(epoch FROM clock_timestamp()) * 1000)::bigint >> (45 - 5 * place)) & 31 AS digit
        FROM generate_series(0, 9) AS place
        UNION ALL
        SELECT place, floor(random() * 32)::bigint
        FROM generate_series(10, 25) AS place
    ) AS digits
);

CREATE TABLE applications (
    id text COLLATE "C" PRIMARY KEY DEFAULT generate_ulid(),
    name text COLLATE "C" NOT NULL UNIQUE,
    comments text NOT NULL DEFAULT '',
    version bigint NOT NULL,
    commit_id bigint NOT NULL,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    created_by text NOT NULL,
    updated_by text NOT NULL,
    update_reason text NOT NULL,
    update_request_id text NOT NULL,
    UNIQUE (id, name),
    CONSTRAINT application_id_is_ulid CHECK (id ~ '^[0-7][0-9A-HJKMNP-TV-Z]{25}$'),
    CONSTRAINT application_name_is_valid CHECK (is_name(name)),
    CONSTRAINT application_comments_fit CHECK (length(comments) <= 1024)
);

-- The name of the application stands in each row, so that the order of a list and the key of a configuration need no join; the
-- foreign key carries a new name over, which is a change of each configuration.
CREATE TABLE configurations (
    id text COLLATE "C" PRIMARY KEY DEFAULT generate_ulid(),
    application_id text COLLATE "C" NOT NULL,
    application text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    comments text NOT NULL DEFAULT '',
    config jsonb NOT NULL,
    config_bytes integer NOT NULL GENERATED ALWAYS AS (octet_length(config::text)) STORED,
    version bigint NOT NULL,
    commit_id bigint NOT NULL,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    created_by text NOT NULL,
    updated_by text NOT NULL,
    update_reason text NOT NULL,
    update_request_id text NOT NULL,
    UNIQUE (application, name),
    FOREIGN KEY (application_id, application) REFERENCES applications (id, name) ON UPDATE CASCADE,
    CONSTRAINT configuration_id_is_ulid CHECK (id ~ '^[0-7][0-9A-HJKMNP-TV-Z]{25}$'),
    CONSTRAINT configuration_name_is_valid CHECK (is_name(name)),
    CONSTRAINT configuration_comments_fit CHECK (length(comments) <= 1024),
    CONSTRAINT configuration_is_object CHECK (jsonb_typeof(config) = 'object'),
    CONSTRAINT configuration_fits CHECK (config_bytes <= 1048576),
    CONSTRAINT configuration_is_shallow CHECK (
        NOT config @? 'strict $.**{32} ? (@.type() == "object" || @.type() == "array")'
    ),
    CONSTRAINT configuration_numbers_are_exact CHECK (
        NOT config @? 'strict $.** ? (@.type() == "number" && (@ > 9007199254740991 || @ < -9007199254740991))'
    )
);

CREATE INDEX configurations_config ON configurations USING gin (config jsonb_path_ops);

-- The log, append-only. Read it as the view changes, which adds the revision.
CREATE TABLE change_records (
    commit_id bigint NOT NULL,
    ordinal integer NOT NULL,
    kind text NOT NULL,
    operation text NOT NULL,
    resource_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    previous_version bigint NOT NULL,
    application_id text COLLATE "C",
    application text COLLATE "C",
    name text COLLATE "C" NOT NULL,
    previous_application_id text COLLATE "C",
    previous_application text COLLATE "C",
    previous_name text COLLATE "C" NOT NULL,
    comments text NOT NULL,
    content jsonb,
    content_bytes integer NOT NULL,
    create_time timestamptz NOT NULL,
    created_by text NOT NULL,
    time timestamptz NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    request_id text NOT NULL,
    PRIMARY KEY (commit_id, ordinal),
    UNIQUE (kind, resource_id, version),
    CONSTRAINT change_kind CHECK (kind IN ('APPLICATION', 'CONFIGURATION')),
    CONSTRAINT change_operation CHECK (operation IN ('CREATED', 'UPDATED', 'DELETED'))
);

CREATE VIEW changes AS
SELECT commits.revision, commits.time AS commit_time, change_records.*
FROM commits
JOIN change_records ON change_records.commit_id = commits.id;

-- Calls that carry a request_id: the second of two equal ones is answered from here.
CREATE TABLE requests (
    request_id text COLLATE "C" PRIMARY KEY,
    fingerprint bytea NOT NULL,
    resource_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX requests_create_time ON requests (create_time);

-- Who may speak for callers: sessions of the service, whose role owns the tables or is a member of the role that does. Asked for each row, because
-- the setting can change while a statement runs.
CREATE FUNCTION writes_as_service() RETURNS boolean
LANGUAGE sql STABLE
RETURN coalesce(current_setting('configsvc.writer', true) = 'service', false)
    AND pg_has_role(session_user, (SELECT relowner FROM pg_class WHERE oid = 'applications'::regclass), 'MEMBER');

-- Gives this transaction the id of its commit, at the first statement that may change something. It lives in a transaction-local
-- setting, which a rolled-back savepoint takes back together with the changes made under it.
CREATE FUNCTION begin_commit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF current_setting('configsvc.writer', true) = 'service' AND NOT writes_as_service()
    THEN
        RAISE EXCEPTION 'configsvc.writer is for the service: it would let % write in the name of others', session_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF coalesce(current_setting('configsvc.commit_id', true), '') = '' THEN
        PERFORM set_config('configsvc.commit_id', nextval('commit_ids')::text, true);
        PERFORM set_config('configsvc.ordinal', '0', true);
    END IF;
    RETURN NULL;
END
$$;

-- Reserves places in the order of this transaction's changes; the first of them is 0.
CREATE FUNCTION advance_ordinal(places bigint) RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    next_ordinal integer := coalesce(nullif(current_setting('configsvc.ordinal', true), ''), '0')::integer;
BEGIN
    PERFORM set_config('configsvc.ordinal', (next_ordinal + places)::text, true);
    RETURN next_ordinal;
END
$$;

-- The settings above can be set by any session. Whoever does must not get a change into another commit, or into none.
CREATE FUNCTION check_place(this_commit bigint, first_ordinal integer) RETURNS void
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    IF this_commit <> currval('commit_ids')
        OR EXISTS (SELECT FROM commits WHERE id = this_commit AND time < now())
        OR first_ordinal > 0
            AND NOT EXISTS (SELECT FROM change_records WHERE commit_id = this_commit AND ordinal = first_ordinal - 1)
    THEN
        RAISE EXCEPTION 'configsvc.commit_id and configsvc.ordinal are not for sessions to set'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;

-- Deferred to the commit, so that the counter's lock spans little more than the flush and a transaction left open holds nobody up.
CREATE FUNCTION assign_revision() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    assigned bigint;
BEGIN
    -- A revision that a watcher has seen must not be lost in a crash.
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    UPDATE revision_counter SET revision = revision + 1 RETURNING revision INTO STRICT assigned;
    INSERT INTO commits (id, revision, time) VALUES (NEW.commit_id, assigned, clock_timestamp());
    PERFORM pg_notify('configsvc_changes', assigned::text);
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER assign_revision
AFTER INSERT ON change_records
DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (NEW.ordinal = 0)
EXECUTE FUNCTION assign_revision();

-- The service vouches for the columns updated_by, update_reason and update_request_id of the rows it writes; whoever else writes is
-- recorded as the database role.
CREATE FUNCTION stamp_application() RETURNS trigger
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

CREATE TRIGGER begin_commit
BEFORE INSERT OR UPDATE OR DELETE ON applications
FOR EACH STATEMENT EXECUTE FUNCTION begin_commit();

CREATE TRIGGER stamp
BEFORE INSERT OR UPDATE ON applications
FOR EACH ROW EXECUTE FUNCTION stamp_application();

CREATE FUNCTION stamp_configuration() RETURNS trigger
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

CREATE TRIGGER begin_commit
BEFORE INSERT OR UPDATE OR DELETE ON configurations
FOR EACH STATEMENT EXECUTE FUNCTION begin_commit();

CREATE TRIGGER stamp
BEFORE INSERT OR UPDATE ON configurations
FOR EACH ROW EXECUTE FUNCTION stamp_configuration();

-- Who deleted a row and why: the service says so in the setting configsvc.deletion, a JSON object by resource id, * for all others.
CREATE FUNCTION deletion_context(resource_id text, field text) RETURNS text
LANGUAGE sql STABLE
RETURN (
    SELECT coalesce(deletion -> resource_id, deletion -> '*') ->> field
    FROM (SELECT nullif(current_setting('configsvc.deletion', true), '')::jsonb AS deletion) AS setting
    WHERE writes_as_service()
);

CREATE FUNCTION log_applications() RETURNS trigger
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

CREATE TRIGGER log_insert AFTER INSERT ON applications
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION log_applications();

CREATE TRIGGER log_update AFTER UPDATE ON applications
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION log_applications();

CREATE TRIGGER log_delete AFTER DELETE ON applications
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION log_applications();

CREATE FUNCTION log_configurations() RETURNS trigger
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
            this_commit, first_ordinal - 1 + row_number() OVER (ORDER BY id), 'CONFIGURATION', 'DELETED', id,
            version + 1, version, application_id, application, name, application_id, application, name, comments, NULL,
            0, create_time, created_by, now(),
            coalesce(deletion_context(id, 'actor'), 'database:' || session_user),
            coalesce(deletion_context(id, 'reason'), ''),
            coalesce(deletion_context(id, 'request_id'), '')
        FROM old_rows;
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

CREATE TRIGGER log_insert AFTER INSERT ON configurations
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION log_configurations();

CREATE TRIGGER log_update AFTER UPDATE ON configurations
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION log_configurations();

CREATE TRIGGER log_delete AFTER DELETE ON configurations
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION log_configurations();

-- TRUNCATE shows a trigger no rows, so the log could not follow it.
CREATE FUNCTION refuse_truncate() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'TRUNCATE of % would be missing from the log: use DELETE', TG_TABLE_NAME;
END
$$;

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON applications
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON configurations
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

-- A role that may create triggers must not be able to put these on tables of its own, and so write what it likes into the log.
REVOKE EXECUTE ON FUNCTION
    begin_commit, assign_revision, stamp_application, stamp_configuration, log_applications, log_configurations
FROM PUBLIC;

-- migrate: rollback

DROP VIEW changes;
DROP FUNCTION deletion_context, writes_as_service;
DROP TABLE configurations, applications, change_records, commits, requests, revision_counter CASCADE;
DROP SEQUENCE commit_ids;
DROP FUNCTION is_name, generate_ulid, begin_commit, advance_ordinal, check_place, assign_revision, stamp_application,
stamp_configuration, log_applications, log_configurations, refuse_truncate;
