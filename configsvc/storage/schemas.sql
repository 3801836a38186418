-- name: insert
-- In the order of names, so that two sessions with the same names cannot deadlock.
INSERT INTO schemas (id, name, comments, latest_version, updated_by, update_reason, update_request_id, update_origin)
SELECT
    new.id, new.name, new.comments, 1, $4::jsonb ->> 'actor', $4::jsonb ->> 'reason', $4::jsonb ->> 'request_id',
    $4::jsonb -> 'origin'
FROM unnest($1::text[], $2::text[], $3::text[]) AS new (id, name, comments)
ORDER BY new.name
ON CONFLICT (name) DO NOTHING
RETURNING id, version;

-- name: advance
UPDATE schemas
SET
    latest_version = latest_version + 1, updated_by = $2::jsonb ->> 'actor', update_reason = $2::jsonb ->> 'reason',
    update_request_id = $2::jsonb ->> 'request_id', update_origin = $2::jsonb -> 'origin'
WHERE id = ANY ($1::text[])
RETURNING id, version;

-- name: delete
DELETE FROM schemas WHERE id = $1
RETURNING version + 1;

-- name: delete_references
-- The schema's versions may refer to one another, and the cascade would delete one before the other.
DELETE FROM schema_references WHERE schema = $1;

-- name: get
-- With the revision that this statement shows; otherwise nulls if the schema does not exist.
SELECT
    revision_counter.revision AS shown_revision, s.id, s.name, s.comments, s.latest_version, s.version, commits.revision,
    coalesce(nullif(s.create_time, s.update_time), commits.time) AS create_time, commits.time AS update_time
FROM revision_counter
LEFT JOIN (schemas AS s JOIN commits ON commits.id = s.commit_id) ON s.id = $1 OR s.name = $2;

-- name: lock
-- Lock the schemas with the ids $1 or the names $2; configurations can still be pinned to them. No join: if a row
-- changed while this waited for its lock, the join would compare it with the old row of the other table and drop it.
SELECT id, name, comments, latest_version, version, 0::bigint AS revision, create_time, update_time
FROM schemas
WHERE id = ANY ($1::text[]) OR name = ANY ($2::text[])
ORDER BY name
FOR NO KEY UPDATE;

-- name: close
-- Wait for writes of configurations pinned to the schemas, and block new ones until the end of the transaction.
SELECT id FROM schemas WHERE id = ANY ($1::text[])
ORDER BY name
FOR UPDATE;

-- name: users
-- Some users of the schema: configurations, and versions of other schemas.
(
    SELECT 'configuration ' || application || ':' || name AS named
    FROM configurations
    WHERE schema = $1
    ORDER BY application, name
    LIMIT $2
)
UNION ALL
(
    SELECT DISTINCT 'schema ' || schema || '@' || version
    FROM schema_references
    WHERE referenced_schema = $1 AND schema <> $1
    ORDER BY 1
    LIMIT $2
);

-- name: get_version
-- Also works within the transaction that made the version, where its revision is 0.
SELECT
    r.resource_id AS id, r.name, r.comments, r.schema_version AS latest_version, r.version,
    coalesce(commits.revision, 0) AS revision, coalesce(nullif(r.create_time, r.time), commits.time, r.time) AS create_time,
    coalesce(commits.time, r.time) AS update_time
FROM change_records AS r
LEFT JOIN commits ON commits.id = r.commit_id
WHERE r.kind = 'SCHEMA' AND r.resource_id = $1 AND r.version = $2;

-- name: list
-- The schemas at revision $1 (null: now): unchanged ones from the table, the others from the log.
WITH shown AS MATERIALIZED (
    SELECT coalesce($1, counter.revision) AS revision, counter.revision AS head, compaction.revision AS compacted
    FROM revision_counter AS counter
    CROSS JOIN compaction
), touched AS MATERIALIZED (
    -- Compared with the parameter, not with shown, so that the planner sees how little has changed (null: nothing).
    SELECT DISTINCT changes.resource_id
    FROM changes
    WHERE changes.revision > $1 AND changes.kind = 'SCHEMA'
), present AS (
    SELECT
        s.id, s.name, s.comments, s.latest_version, s.version, commits.revision,
        coalesce(nullif(s.create_time, s.update_time), commits.time) AS create_time, commits.time AS update_time
    FROM schemas AS s
    JOIN commits ON commits.id = s.commit_id
    WHERE starts_with(s.name, $2) AND ($3::text IS NULL OR s.name > $3)
        AND s.id NOT IN (SELECT resource_id FROM touched)
    ORDER BY s.name
    LIMIT $4
), past AS (
    SELECT
        latest.resource_id, latest.name, latest.comments, latest.schema_version, latest.version, latest.revision,
        coalesce(nullif(latest.create_time, latest.time), latest.commit_time), latest.commit_time
    FROM touched
    CROSS JOIN LATERAL (
        SELECT changes.*
        FROM shown, changes
        WHERE changes.kind = 'SCHEMA' AND changes.resource_id = touched.resource_id
            AND changes.revision <= shown.revision
        ORDER BY changes.version DESC
        LIMIT 1
    ) AS latest
    WHERE latest.operation <> 'DELETED' AND starts_with(latest.name, $2) AND ($3::text IS NULL OR latest.name > $3)
), page AS (
    SELECT * FROM present
    UNION ALL
    SELECT * FROM past
    ORDER BY name
    LIMIT $4
)
SELECT shown.revision AS shown_revision, shown.head AS head_revision, shown.compacted AS compacted_revision, page.*
FROM shown
LEFT JOIN page ON true
ORDER BY page.name;

-- name: list_past
-- Like list, at revision $1, but resource by resource: what each of them, and all others, changed since costs nothing.
WITH RECURSIVE shown AS MATERIALIZED (
    SELECT counter.revision AS head, compaction.revision AS compacted
    FROM revision_counter AS counter
    CROSS JOIN compaction
), every AS (
    -- Each id that the log has, from one to the next: the index has an entry for each of their versions.
    (
        SELECT r.resource_id AS id FROM change_records AS r
        WHERE r.kind = 'SCHEMA'
        ORDER BY r.resource_id
        LIMIT 1
    )
    UNION ALL
    SELECT
        (
            SELECT r.resource_id FROM change_records AS r
            WHERE r.kind = 'SCHEMA' AND r.resource_id > every.id
            ORDER BY r.resource_id
            LIMIT 1
        )
    FROM every
    WHERE every.id IS NOT NULL
), touched AS MATERIALIZED (
    SELECT ids.id
    FROM every AS ids
    WHERE ids.id IS NOT NULL AND (
        SELECT commits.revision <= $1
        FROM schemas AS a
        JOIN commits ON commits.id = a.commit_id
        WHERE a.id = ids.id
        LIMIT 1
    ) IS NOT TRUE
), present AS (
    SELECT
        a.id, a.name, a.comments, a.latest_version, a.version, made.revision,
        coalesce(nullif(a.create_time, a.update_time), made.time) AS create_time, made.time AS update_time
    FROM schemas AS a
    CROSS JOIN LATERAL (SELECT revision, time FROM commits WHERE commits.id = a.commit_id LIMIT 1) AS made
    WHERE starts_with(a.name, $2) AND ($3::text IS NULL OR a.name > $3) AND made.revision <= $1
    ORDER BY a.name
    LIMIT $4
), past AS (
    SELECT
        state.resource_id, state.name, state.comments, state.schema_version, state.version, state.revision,
        coalesce(nullif(state.create_time, state.time), state.commit_time), state.commit_time
    FROM touched
    CROSS JOIN LATERAL (
        SELECT r.*, commits.revision, commits.time AS commit_time
        FROM change_records AS r
        JOIN commits ON commits.id = r.commit_id
        WHERE r.kind = 'SCHEMA' AND r.resource_id = touched.id AND r.version = version_at('SCHEMA', touched.id, $1)
        LIMIT 1
    ) AS state
    WHERE state.operation <> 'DELETED' AND starts_with(state.name, $2) AND ($3::text IS NULL OR state.name > $3)
), page AS (
    SELECT * FROM present
    UNION ALL
    SELECT * FROM past
    ORDER BY name
    LIMIT $4
)
SELECT $1::bigint AS shown_revision, shown.head AS head_revision, shown.compacted AS compacted_revision, page.*
FROM shown
LEFT JOIN page ON true
ORDER BY page.name;
