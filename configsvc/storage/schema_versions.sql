-- name: insert
INSERT INTO schema_versions (schema_id, schema, version, document, additions, created_by)
SELECT new.schema_id, new.schema, new.version, new.document::jsonb, new.additions::jsonb, $6
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[]) AS new (
    schema_id, schema, version, document, additions
);

-- name: insert_references
INSERT INTO schema_references (schema, version, referenced_schema, referenced_version)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[]);

-- name: get
-- The first 100 additions, as many as responses list, here and below. Version $3 (0: the newest) of the schema with id $1 or name $2, with the revision that this statement shows; otherwise
-- nulls if it does not exist.
SELECT
    revision_counter.revision AS shown_revision, v.schema, v.version, v.document::text AS document,
    jsonb_path_query_array(v.additions, '$[0 to 99]') AS additions, jsonb_array_length(v.additions) AS addition_count,
    commits.revision, commits.time AS create_time, v.created_by
FROM revision_counter
LEFT JOIN (
    schemas AS s
    JOIN schema_versions AS v ON v.schema = s.name AND v.version = CASE $3::bigint WHEN 0 THEN s.latest_version ELSE $3 END
    JOIN commits ON commits.id = v.commit_id
) ON s.id = $1 OR s.name = $2;

-- name: written
-- The newest version of a schema as a write left it, even before the commit; one deleted since comes from the log,
-- without its additions.
SELECT
    r.schema, r.schema_version AS version, jsonb_path_query_array(v.additions, '$[0 to 99]') AS additions,
    jsonb_array_length(v.additions) AS addition_count, coalesce(commits.revision, 0) AS revision,
    coalesce(commits.time, v.create_time, r.time) AS create_time, coalesce(v.created_by, r.actor) AS created_by
FROM change_records AS r
LEFT JOIN schema_versions AS v ON v.schema_id = r.resource_id AND v.version = r.schema_version
LEFT JOIN commits ON commits.id = coalesce(v.commit_id, r.commit_id)
WHERE r.kind = 'SCHEMA' AND r.resource_id = $1 AND r.version = $2;

-- name: newest
-- The schemas $1 that exist, and whether their newest versions have the documents $2.
SELECT
    s.id, s.name, s.latest_version, coalesce(v.document = new.document::jsonb, false) AS is_same
FROM unnest($1::text[], $2::text[]) AS new (name, document)
JOIN schemas AS s ON s.name = new.name
LEFT JOIN schema_versions AS v ON v.schema = s.name AND v.version = s.latest_version;

-- name: documents
-- The versions $2 of schemas $1 (parallel arrays) that exist, and all that they refer to. No documents if there are
-- more than $3, or more than $4 bytes of them.
WITH RECURSIVE reached (schema, version) AS (
    SELECT v.schema, v.version
    FROM unnest($1::text[], $2::bigint[]) AS wanted (schema, version)
    JOIN schema_versions AS v ON v.schema = wanted.schema AND v.version = wanted.version
    UNION
    SELECT r.referenced_schema, r.referenced_version
    FROM reached
    JOIN schema_references AS r ON r.schema = reached.schema AND r.version = reached.version
), total AS MATERIALIZED (
    SELECT count(*) <= $3 AND coalesce(sum(v.document_bytes), 0) <= $4 AS fits
    FROM reached
    JOIN schema_versions AS v ON v.schema = reached.schema AND v.version = reached.version
)
SELECT
    v.schema, v.version, CASE WHEN total.fits THEN v.document::text END AS document,
    ARRAY(
        SELECT r.referenced_schema
        FROM schema_references AS r
        WHERE r.schema = v.schema AND r.version = v.version
        ORDER BY r.referenced_schema, r.referenced_version
    ) AS referenced_schemas,
    ARRAY(
        SELECT r.referenced_version
        FROM schema_references AS r
        WHERE r.schema = v.schema AND r.version = v.version
        ORDER BY r.referenced_schema, r.referenced_version
    ) AS referenced_versions
FROM total
CROSS JOIN reached
JOIN schema_versions AS v ON v.schema = reached.schema AND v.version = reached.version;

-- name: list
-- The versions of a schema before $3, newest first: at most $4, with their documents if $5, within $6 bytes, which the
-- first may exceed. Nulls if there are none.
WITH page AS (
    SELECT v.*, sum(v.document_bytes) OVER (ORDER BY v.version DESC) - v.document_bytes AS bytes_before, count(*) OVER () AS rows_found
    FROM (
        SELECT v.*
        FROM schemas AS s
        JOIN schema_versions AS v ON v.schema_id = s.id
        WHERE (s.id = $1 OR s.name = $2) AND ($3::bigint IS NULL OR v.version < $3)
        ORDER BY v.version DESC
        LIMIT $4
    ) AS v
)
SELECT
    revision_counter.revision AS shown_revision, s.id AS schema_id, m.schema, m.version,
    CASE WHEN $5 THEN m.document::text END AS document,
    CASE WHEN $5 THEN jsonb_path_query_array(m.additions, '$[0 to 99]') ELSE '[]' END AS additions,
    jsonb_array_length(m.additions) AS addition_count,
    commits.revision, commits.time AS create_time, m.created_by, m.rows_found
FROM revision_counter
LEFT JOIN schemas AS s ON s.id = $1 OR s.name = $2
LEFT JOIN page AS m ON NOT $5 OR m.bytes_before < $6
LEFT JOIN commits ON commits.id = m.commit_id
ORDER BY m.version DESC;

-- name: imported
-- The schemas $1 as commit $2 left them, even before its end; without a commit, as of revision $3.
WITH shown AS MATERIALIZED (
    SELECT coalesce((SELECT revision FROM commits WHERE id = $2), $3, 9223372036854775807) AS revision
)
SELECT
    wanted.name, latest.operation, latest.schema_version AS version, latest.commit_id IS NOT DISTINCT FROM $2 AS is_new,
    CASE WHEN $2::bigint IS NULL THEN 0 ELSE coalesce((SELECT revision FROM commits WHERE id = $2), 0) END AS revision
FROM shown
CROSS JOIN unnest($1::text[]) WITH ORDINALITY AS wanted (name, place)
JOIN LATERAL (
    SELECT r.operation, r.schema_version, r.commit_id
    FROM change_records AS r
    LEFT JOIN commits ON commits.id = r.commit_id
    WHERE r.kind = 'SCHEMA' AND r.name = wanted.name
        AND (r.commit_id = $2 OR commits.revision <= shown.revision)
    ORDER BY commits.revision DESC NULLS FIRST, r.ordinal DESC
    LIMIT 1
) AS latest ON true
ORDER BY wanted.place;

-- name: commit_id
SELECT commit_of_transaction();
