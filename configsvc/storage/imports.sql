-- name: create_applications
-- Those of a slice, from place $2 to $3, that do not exist.
INSERT INTO applications (name, updated_by, update_reason, update_request_id)
SELECT DISTINCT application, $4, $5, $6
FROM operation_items
WHERE operation_id = $1 AND place BETWEEN $2 AND $3 AND state = 'WAITING'
ORDER BY application
ON CONFLICT (name) DO NOTHING;

-- name: share_applications
-- They keep their names until the end of the transaction.
SELECT id FROM applications
WHERE name = ANY (
    ARRAY(
        SELECT DISTINCT application FROM operation_items
        WHERE operation_id = $1 AND place BETWEEN $2 AND $3 AND state = 'WAITING'
    )
)
ORDER BY id
FOR KEY SHARE;

-- name: share_schemas
-- They keep their newest versions, as far as these are strict, until the end of the transaction.
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
-- Those of applications that are not there, or not among those with the ids $4, null for all.
UPDATE operation_items AS i
SET state = 'FAILED', error = 'APPLICATION_NOT_FOUND', config = NULL
WHERE i.operation_id = $1 AND i.place BETWEEN $2 AND $3 AND i.state = 'WAITING'
    AND NOT EXISTS (
        SELECT FROM applications AS a
        WHERE a.name = i.application AND ($4::text[] IS NULL OR a.id = ANY ($4))
    )
RETURNING place;

-- name: upsert
-- In the order of their keys, so that two sessions that write the same ones do not wait for each other. What does not come back from the writing is as it was.
-- The newest versions of schemas $7 are those that the items were checked against, $8: by now there may be newer ones, added without moving anybody.
WITH chosen AS MATERIALIZED (
    SELECT
        i.place, i.configuration_id, a.id AS application_id, i.application, i.name, i.comments, i.config, i.schema,
        coalesce(nullif(i.schema_version, 0), s.latest_version) AS schema_version
    FROM operation_items AS i
    JOIN applications AS a ON a.name = i.application
    LEFT JOIN unnest($7::text[], $8::bigint[]) AS s (name, latest_version) ON s.name = i.schema
    WHERE i.operation_id = $1 AND i.place BETWEEN $2 AND $3 AND i.state = 'WAITING'
), written AS (
    INSERT INTO configurations (
        id, application_id, application, name, comments, config, schema, schema_version, updated_by, update_reason,
        update_request_id
    )
    SELECT
        configuration_id, application_id, application, name, comments, config::jsonb, schema, schema_version, $4, $5, $6
    FROM chosen
    ORDER BY application, name
    ON CONFLICT (application, name) DO UPDATE
    SET
        comments = excluded.comments, config = excluded.config, schema = excluded.schema,
        schema_version = excluded.schema_version, updated_by = excluded.updated_by, update_reason = excluded.update_reason,
        update_request_id = excluded.update_request_id
    RETURNING application, name, id
), found AS (
    -- Not joined: for the planner either has one row, and it would go through all of one for each of the other.
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
WHERE i.operation_id = $1 AND i.place = found.place
RETURNING i.place, i.change, i.error;

-- name: create
WITH chosen AS MATERIALIZED (
    SELECT
        i.place, i.configuration_id, a.id AS application_id, i.application, i.name, i.comments, i.config, i.schema,
        coalesce(nullif(i.schema_version, 0), s.latest_version) AS schema_version
    FROM operation_items AS i
    JOIN applications AS a ON a.name = i.application
    LEFT JOIN unnest($7::text[], $8::bigint[]) AS s (name, latest_version) ON s.name = i.schema
    WHERE i.operation_id = $1 AND i.place BETWEEN $2 AND $3 AND i.state = 'WAITING'
), written AS (
    INSERT INTO configurations (
        id, application_id, application, name, comments, config, schema, schema_version, updated_by, update_reason,
        update_request_id
    )
    SELECT
        configuration_id, application_id, application, name, comments, config::jsonb, schema, schema_version, $4, $5, $6
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
WHERE i.operation_id = $1 AND i.place = found.place
RETURNING i.place, i.change, i.error;
