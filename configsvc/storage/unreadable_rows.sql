-- name: names
-- The rows of a page of configurations without any text or time that may be unreadable.
SELECT
    shown_revision, head_revision, compacted_revision, id, application_id, application, name, NULL::text AS comments, NULL::jsonb AS config,
    config_bytes, schema, schema_version, version, revision, NULL::timestamptz AS create_time, NULL::timestamptz AS update_time,
    NULL::text AS created_by, NULL::text AS updated_by, rows_found, place
FROM (
:page
) AS page
ORDER BY application, name;

-- name: whole
-- The rows of some ids of a page.
SELECT *
FROM (
:page
) AS page
WHERE id = ANY (:ids::text[]);
