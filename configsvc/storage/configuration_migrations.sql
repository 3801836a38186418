-- name: stage
-- Those pinned to version $3 of schema $2 (0: to any but $4), in application $5 (null: all), with prefix $6 and one of
-- the names $7 (null: any).
WITH staged AS (
    INSERT INTO operation_items (
        operation_id, place, application, name, schema, schema_version, configuration_id, configuration_version, before
    )
    SELECT
        $1, row_number() OVER (ORDER BY application, name) - 1, application, name, $2, $4, id, version, config::text
    FROM configurations
    WHERE schema = $2 AND (schema_version = $3 OR ($3 = 0 AND schema_version <> $4))
        AND ($5::text IS NULL OR application_id = $5)
        AND starts_with(name, $6) AND ($7::text[] IS NULL OR name = ANY ($7))
    RETURNING 1
)
SELECT count(*) FROM staged;

-- name: unchecked
SELECT place, before FROM operation_items
WHERE operation_id = $1 AND place BETWEEN $2 AND $3 AND state = 'WAITING' AND config IS NULL
ORDER BY place;

-- name: note_checked
-- Results of the transformation; only a dry run keeps the configs of failed items.
UPDATE operation_items AS i
SET
    state = CASE WHEN checked.error IS NULL THEN 'WAITING' ELSE 'FAILED' END, error = checked.error, faults = checked.faults,
    change = checked.change, config = CASE WHEN checked.error IS NULL OR $7 THEN checked.config END,
    before = CASE WHEN checked.error IS NULL OR $7 THEN i.before END
FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[]) AS checked (place, config, change, error, faults)
WHERE i.operation_id = $1 AND i.place = checked.place;

-- name: end_dry_run
UPDATE operation_items SET state = 'DONE'
WHERE operation_id = $1 AND place BETWEEN $2 AND $3 AND state = 'WAITING'
RETURNING place, change, error;

-- name: lock
SELECT id FROM configurations
WHERE id = ANY (
    ARRAY(
        SELECT configuration_id FROM operation_items
        WHERE operation_id = $1 AND place BETWEEN $2 AND $3 AND state = 'WAITING'
    )
)
ORDER BY id
FOR UPDATE;

-- name: has_changed
-- Whether a configuration of a slice has changed.
SELECT EXISTS (
    SELECT FROM operation_items AS i
    WHERE i.operation_id = $1 AND i.place BETWEEN $2 AND $3 AND i.state = 'WAITING' AND NOT EXISTS (
        SELECT FROM configurations AS c WHERE c.id = i.configuration_id AND c.version = i.configuration_version
    )
);

-- name: restage
-- Items whose configuration has changed are checked again.
UPDATE operation_items AS i
SET
    application = c.application, name = c.name, configuration_version = c.version, before = c.config::text, config = NULL,
    change = NULL
FROM configurations AS c
WHERE i.operation_id = $1 AND i.state = 'WAITING' AND c.id = i.configuration_id AND c.version <> i.configuration_version
    AND c.schema = $2 AND (c.schema_version = $3 OR ($3 = 0 AND c.schema_version <> $4))
    AND ($5::text IS NULL OR c.application_id = $5)
    AND starts_with(c.name, $6) AND ($7::text[] IS NULL OR c.name = ANY ($7));

-- name: let_go
-- Configurations that were deleted, or pinned to something else, leave the migration.
UPDATE operation_items AS i
SET state = 'DONE', change = NULL, config = NULL, before = NULL
WHERE i.operation_id = $1 AND i.state = 'WAITING' AND NOT EXISTS (
    SELECT FROM configurations AS c
    WHERE c.id = i.configuration_id AND c.schema = $2 AND (c.schema_version = $3 OR ($3 = 0 AND c.schema_version <> $4))
        AND ($5::text IS NULL OR c.application_id = $5)
        AND starts_with(c.name, $6) AND ($7::text[] IS NULL OR c.name = ANY ($7))
);

-- name: move
WITH chosen AS MATERIALIZED (
    SELECT configuration_id, config, schema_version FROM operation_items
    WHERE operation_id = $1 AND place BETWEEN $2 AND $3 AND state = 'WAITING'
), written AS (
    UPDATE configurations AS c
    SET
        config = chosen.config::jsonb, schema_version = chosen.schema_version, updated_by = $4::jsonb ->> 'actor',
        update_reason = $4::jsonb ->> 'reason', update_request_id = $4::jsonb ->> 'request_id', update_origin = $4::jsonb -> 'origin'
    FROM chosen
    WHERE c.id = chosen.configuration_id
)
UPDATE operation_items
SET state = 'DONE', config = NULL, before = NULL
WHERE operation_id = $1 AND place BETWEEN $2 AND $3 AND state = 'WAITING'
RETURNING place, change, error;
