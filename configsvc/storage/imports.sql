-- name: limit_waits
SELECT set_config('lock_timeout', $1, true);

-- name: limit_waits_as_usual
SET LOCAL lock_timeout TO DEFAULT;

-- name: fail_locked
-- Fail the items of a slice, from index $2 to $3, whose rows another transaction has locked; lock all the others, as
-- the write will. Items in applications other than $4 (null: all) are ignored.
WITH waiting AS MATERIALIZED (
    SELECT place, application, name, schema
    FROM operation_items AS i
    WHERE operation_id = $1 AND place BETWEEN $2 AND $3 AND state = 'WAITING'
        AND NOT EXISTS (SELECT FROM applications AS a WHERE a.name = i.application AND a.id <> ALL ($4::text[]))
), free_applications AS (
    SELECT name FROM applications
    WHERE name = ANY (ARRAY(SELECT DISTINCT application FROM waiting))
    FOR KEY SHARE SKIP LOCKED
), free_schemas AS (
    SELECT name FROM schemas
    WHERE name = ANY (ARRAY(SELECT DISTINCT schema FROM waiting WHERE schema IS NOT NULL))
    FOR KEY SHARE SKIP LOCKED
), free_configurations AS (
    SELECT application, name FROM configurations
    WHERE (application, name) IN (SELECT application, name FROM waiting)
    FOR NO KEY UPDATE SKIP LOCKED
), locked AS (
    SELECT place FROM waiting
    WHERE
        (
            application IN (SELECT name FROM applications)
            AND application NOT IN (SELECT name FROM free_applications)
        )
        OR (schema IN (SELECT name FROM schemas) AND schema NOT IN (SELECT name FROM free_schemas))
        OR (
            EXISTS (SELECT FROM configurations AS c WHERE c.application = waiting.application AND c.name = waiting.name)
            AND (application, name) NOT IN (SELECT application, name FROM free_configurations)
        )
)
UPDATE operation_items AS i
SET state = 'FAILED', error = 'CONFLICT', config = NULL
FROM locked
WHERE i.operation_id = $1 AND i.place BETWEEN $2 AND $3 AND i.place = locked.place
RETURNING i.place;

-- name: fail_with_application
UPDATE operation_items AS i
SET state = 'FAILED', error = 'CONFLICT', config = NULL
FROM operation_items AS failed
WHERE failed.operation_id = $1 AND failed.place = $2 AND i.operation_id = $1 AND i.state = 'WAITING'
    AND (
        i.place = $2
        OR (
            i.application = failed.application
            AND NOT EXISTS (SELECT FROM applications AS a WHERE a.name = failed.application)
        )
    )
RETURNING i.place;

-- name: resolve_applications
-- Applications named by id, out of $2 (null: all), get the names that they have now.
UPDATE operation_items AS i
SET application = a.name
FROM applications AS a
WHERE i.operation_id = $1 AND i.state = 'WAITING' AND a.id = i.application_id AND a.name <> i.application
    AND ($2::text[] IS NULL OR a.id = ANY ($2));

-- name: has_renamed
-- Whether an application of a slice, from index $2 to $3, has another name than when it was resolved.
SELECT EXISTS (
    SELECT FROM operation_items AS i
    JOIN applications AS a ON a.id = i.application_id
    WHERE i.operation_id = $1 AND i.place BETWEEN $2 AND $3 AND i.state = 'WAITING' AND a.name <> i.application
        AND ($4::text[] IS NULL OR a.id = ANY ($4))
);

-- name: create_applications
-- Create the missing applications of a slice, from index $2 to $3.
INSERT INTO applications (name, updated_by, update_reason, update_request_id, update_origin)
SELECT DISTINCT
    application, $4::jsonb ->> 'actor', $4::jsonb ->> 'reason', $4::jsonb ->> 'request_id', $4::jsonb -> 'origin'
FROM operation_items
WHERE operation_id = $1 AND place BETWEEN $2 AND $3 AND state = 'WAITING' AND application_id IS NULL
ORDER BY application
ON CONFLICT (name) DO NOTHING;

-- name: share_applications
-- Restricted to the ids $4 (null: all), so that no one waits for locks on other applications.
SELECT id FROM applications
WHERE ($4::text[] IS NULL OR id = ANY ($4)) AND (
    name = ANY (
        ARRAY(
            SELECT DISTINCT application FROM operation_items
            WHERE operation_id = $1 AND place BETWEEN $2 AND $3 AND state = 'WAITING' AND application_id IS NULL
        )
    )
    OR id = ANY (
        ARRAY(
            SELECT DISTINCT application_id FROM operation_items
            WHERE operation_id = $1 AND place BETWEEN $2 AND $3 AND state = 'WAITING' AND application_id IS NOT NULL
        )
    )
)
ORDER BY id
FOR KEY SHARE;

-- name: share_schemas
-- The shared lock also keeps the newest version, if it is strict.
SELECT name, id, latest_version FROM schemas
WHERE name = ANY (
    ARRAY(
        SELECT DISTINCT schema FROM operation_items
        WHERE operation_id = $1 AND place BETWEEN $2 AND $3 AND state = 'WAITING' AND schema IS NOT NULL
    )
)
ORDER BY id
FOR KEY SHARE;

-- name: fail_without_application
-- Items whose application does not exist, or is not among the ids $4 (null: all).
UPDATE operation_items AS i
SET state = 'FAILED', error = 'APPLICATION_NOT_FOUND', config = NULL
WHERE i.operation_id = $1 AND i.place BETWEEN $2 AND $3 AND i.state = 'WAITING'
    AND NOT EXISTS (
        SELECT FROM applications AS a
        WHERE a.name = i.application AND a.id = coalesce(i.application_id, a.id)
            AND ($4::text[] IS NULL OR a.id = ANY ($4))
    )
RETURNING place;

-- name: check_versions
-- Fail the items of a slice, from index $2 to $3, whose configuration has another version than they expect. If one
-- expects a version, all configurations of the slice are locked, in key order, as the write locks them.
WITH waiting AS MATERIALIZED (
    SELECT place, application, name, expected_version FROM operation_items
    WHERE operation_id = $1 AND place BETWEEN $2 AND $3 AND state = 'WAITING'
), locked AS MATERIALIZED (
    SELECT application, name, version FROM configurations
    WHERE EXISTS (SELECT FROM waiting WHERE expected_version IS NOT NULL)
        AND (application, name) IN (SELECT application, name FROM waiting)
    ORDER BY application, name
    FOR NO KEY UPDATE
), found AS (
    SELECT waiting.place, coalesce(locked.version, 0) AS version
    FROM waiting
    LEFT JOIN locked ON locked.application = waiting.application AND locked.name = waiting.name
    WHERE waiting.expected_version <> coalesce(locked.version, 0)
)
UPDATE operation_items AS i
SET state = 'FAILED', error = 'VERSION_MISMATCH', configuration_version = found.version, config = NULL
FROM found
WHERE i.operation_id = $1 AND i.place BETWEEN $2 AND $3 AND i.place = found.place
RETURNING i.place, i.configuration_version;

-- name: upsert
-- In key order, so that two sessions with the same keys cannot deadlock. Rows that the write does not return are
-- unchanged. raced: someone else created a configuration that must not exist. $5, $6: the schemas and newest versions that the items were checked against; versions added since then
-- moved no configuration.
WITH chosen AS MATERIALIZED (
    SELECT
        i.place, i.configuration_id, a.id AS application_id, i.application, i.name, i.comments, i.config, i.schema,
        coalesce(nullif(i.schema_version, 0), s.latest_version) AS schema_version
    FROM operation_items AS i
    JOIN applications AS a ON a.name = i.application
    LEFT JOIN unnest($5::text[], $6::bigint[]) AS s (name, latest_version) ON s.name = i.schema
    WHERE i.operation_id = $1 AND i.place BETWEEN $2 AND $3 AND i.state = 'WAITING'
), written AS (
    INSERT INTO configurations (
        id, application_id, application, name, comments, config, schema, schema_version, updated_by, update_reason,
        update_request_id, update_origin
    )
    SELECT
        configuration_id, application_id, application, name, comments, config::jsonb, schema, schema_version,
        $4::jsonb ->> 'actor', $4::jsonb ->> 'reason', $4::jsonb ->> 'request_id', $4::jsonb -> 'origin'
    FROM chosen
    ORDER BY application, name
    ON CONFLICT (application, name) DO UPDATE
    SET
        comments = excluded.comments, config = excluded.config, schema = excluded.schema,
        schema_version = excluded.schema_version, updated_by = excluded.updated_by, update_reason = excluded.update_reason,
        update_request_id = excluded.update_request_id, update_origin = excluded.update_origin
    RETURNING application, name, id
), found AS (
    -- No join: the planner expects one row on either side, and would scan one side for each row of the other.
    SELECT
        place,
        CASE
            WHEN configuration_id IN (SELECT id FROM written) THEN 'CREATED'
            WHEN (application, name) IN (SELECT application, name FROM written) THEN 'UPDATED'
        END AS change
    FROM chosen
)
UPDATE operation_items AS i
SET state = 'DONE', change = found.change, config = NULL
FROM found
-- The range bounds the scan if the planner underestimates a large operation.
WHERE i.operation_id = $1 AND i.place BETWEEN $2 AND $3 AND i.place = found.place
RETURNING
    i.place, i.change, i.error, coalesce(i.expected_version = 0, false) AND i.change IS DISTINCT FROM 'CREATED' AS raced;

-- name: create
WITH chosen AS MATERIALIZED (
    SELECT
        i.place, i.configuration_id, a.id AS application_id, i.application, i.name, i.comments, i.config, i.schema,
        coalesce(nullif(i.schema_version, 0), s.latest_version) AS schema_version
    FROM operation_items AS i
    JOIN applications AS a ON a.name = i.application
    LEFT JOIN unnest($5::text[], $6::bigint[]) AS s (name, latest_version) ON s.name = i.schema
    WHERE i.operation_id = $1 AND i.place BETWEEN $2 AND $3 AND i.state = 'WAITING'
), written AS (
    INSERT INTO configurations (
        id, application_id, application, name, comments, config, schema, schema_version, updated_by, update_reason,
        update_request_id, update_origin
    )
    SELECT
        configuration_id, application_id, application, name, comments, config::jsonb, schema, schema_version,
        $4::jsonb ->> 'actor', $4::jsonb ->> 'reason', $4::jsonb ->> 'request_id', $4::jsonb -> 'origin'
    FROM chosen
    ORDER BY application, name
    ON CONFLICT (application, name) DO NOTHING
    RETURNING id
), found AS (
    SELECT place, configuration_id IN (SELECT id FROM written) AS is_new FROM chosen
)
UPDATE operation_items AS i
SET
    state = CASE WHEN found.is_new THEN 'DONE' ELSE 'FAILED' END, change = CASE WHEN found.is_new THEN 'CREATED' END,
    error = CASE WHEN NOT found.is_new THEN 'EXISTS' END, config = NULL
FROM found
-- The range bounds the scan if the planner underestimates a large operation.
WHERE i.operation_id = $1 AND i.place BETWEEN $2 AND $3 AND i.place = found.place
RETURNING
    i.place, i.change, i.error, coalesce(i.expected_version = 0, false) AND i.change IS DISTINCT FROM 'CREATED' AS raced;
