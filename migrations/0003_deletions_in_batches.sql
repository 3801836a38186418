-- Deletions of many callers in one statement: the setting that explains them is read once for the statement, not three times for each row
-- depends: 0002_compaction

-- migrate: apply

-- Who deleted what and why, by resource id, * for all others: as the service says in the setting configsvc.deletion, a JSON object. Empty for all
-- who may not speak for callers.
CREATE FUNCTION deletion_contexts() RETURNS TABLE (resource_id text, actor text, reason text, request_id text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT explained.key, explained.value ->> 'actor', explained.value ->> 'reason', explained.value ->> 'request_id'
    FROM jsonb_each(nullif(current_setting('configsvc.deletion', true), '')::jsonb) AS explained
    WHERE writes_as_service();
END;

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

DROP FUNCTION deletion_contexts;
