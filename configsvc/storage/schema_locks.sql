-- name: share_or_wait
SELECT id, name, latest_version FROM schemas WHERE name = ANY ($1::text[]) ORDER BY id
FOR KEY SHARE;

-- name: look
SELECT id, name, latest_version FROM schemas WHERE name = ANY ($1::text[]);

-- name: documents
-- The versions $2 of schemas $1 (parallel arrays), each with all that its document refers to: at most $3 documents
-- each, and none if they exceed $4 bytes.
WITH RECURSIVE reached (place, schema, version) AS (
    SELECT wanted.place, wanted.schema COLLATE "C", wanted.version
    FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS wanted (schema, version, place)
    UNION
    SELECT reached.place, r.referenced_schema, r.referenced_version
    FROM reached
    JOIN schema_references AS r ON r.schema = reached.schema AND r.version = reached.version
), measured AS MATERIALIZED (
    SELECT
        reached.*,
        count(*) OVER (PARTITION BY reached.place) AS documents,
        sum(v.document_bytes) OVER (PARTITION BY reached.place) AS bytes
    FROM reached
    JOIN schema_versions AS v ON v.schema = reached.schema AND v.version = reached.version
)
SELECT m.place, m.schema, m.version, m.bytes, CASE WHEN m.documents <= $3 AND m.bytes <= $4 THEN v.document END AS document
FROM measured AS m
JOIN schema_versions AS v ON v.schema = m.schema AND v.version = m.version;
