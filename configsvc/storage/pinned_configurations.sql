-- name: page
-- The configurations pinned to versions of schema $1, after application $2 and name $3: at most $4 rows and $5 bytes of
-- config, which the first may exceed.
SELECT id, application, name, version, config::text AS config
FROM (
    SELECT c.*, sum(c.config_bytes) OVER (ORDER BY c.application, c.name) - c.config_bytes AS bytes_before
    FROM (
        SELECT id, application, name, version, config, config_bytes
        FROM configurations
        WHERE schema = $1 AND ($2::text IS NULL OR (application, name) > ($2, $3))
        ORDER BY application, name
        LIMIT $4
    ) AS c
) AS measured
WHERE bytes_before < $5
ORDER BY application, name;

-- name: changed_page
-- Like page, only those changed after revision $6.
WITH touched AS MATERIALIZED (
    SELECT DISTINCT resource_id FROM changes WHERE revision > $6 AND kind = 'CONFIGURATION'
)
SELECT id, application, name, version, config::text AS config
FROM (
    SELECT c.*, sum(c.config_bytes) OVER (ORDER BY c.application, c.name) - c.config_bytes AS bytes_before
    FROM (
        SELECT id, application, name, version, config, config_bytes
        FROM configurations
        WHERE schema = $1 AND ($2::text IS NULL OR (application, name) > ($2, $3))
            AND id IN (SELECT resource_id FROM touched)
        ORDER BY application, name
        LIMIT $4
    ) AS c
) AS measured
WHERE bytes_before < $5
ORDER BY application, name;

-- name: move
-- Pin all that are pinned to other versions of the schemas $1 to the versions $2.
UPDATE configurations AS c
SET schema_version = new.version, updated_by = $3::jsonb ->> 'actor', update_reason = $3::jsonb ->> 'reason',
    update_request_id = $3::jsonb ->> 'request_id', update_origin = $3::jsonb -> 'origin'
FROM unnest($1::text[], $2::bigint[]) AS new (schema, version)
WHERE c.schema = new.schema AND c.schema_version <> new.version;
