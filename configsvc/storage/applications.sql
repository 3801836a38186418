-- name: insert
INSERT INTO applications (id, name, comments, updated_by, update_reason, update_request_id, update_origin)
VALUES (
    $1, $2, $3, $4::jsonb ->> 'actor', $4::jsonb ->> 'reason', $4::jsonb ->> 'request_id', $4::jsonb -> 'origin'
)
ON CONFLICT (name) DO NOTHING
RETURNING version;

-- name: update
UPDATE applications
SET name = $2, comments = $3, updated_by = $4::jsonb ->> 'actor', update_reason = $4::jsonb ->> 'reason',
    update_request_id = $4::jsonb ->> 'request_id', update_origin = $4::jsonb -> 'origin'
WHERE id = $1
RETURNING version;

-- name: delete
DELETE FROM applications WHERE id = $1
RETURNING version + 1;

-- name: delete_configurations
DELETE FROM configurations WHERE application = $1;

-- name: has_configurations
SELECT EXISTS (SELECT FROM configurations WHERE application = $1);

-- name: get
-- With the revision that this statement shows; otherwise nulls if the application does not exist.
SELECT
    revision_counter.revision AS shown_revision, a.id, a.name, a.comments, a.version, commits.revision,
    coalesce(nullif(a.create_time, a.update_time), commits.time) AS create_time, commits.time AS update_time
FROM revision_counter
LEFT JOIN (applications AS a JOIN commits ON commits.id = a.commit_id) ON a.id = $1 OR a.name = $2;

-- name: get_at
-- The application with id $1 at revision $2.
SELECT
    resource_id AS id, name, comments, version, revision, coalesce(nullif(create_time, time), commit_time) AS create_time,
    commit_time AS update_time, operation
FROM changes
WHERE kind = 'APPLICATION' AND resource_id = $1 AND version = version_at('APPLICATION', $1, $2);

-- name: id_named
SELECT id FROM applications WHERE name = $1;

-- name: lock
-- No join: if the row changed while this waited for its lock, the join would compare it with the old row of the other
-- table and drop it.
SELECT id, name, comments, version, 0::bigint AS revision, create_time, update_time
FROM applications
WHERE id = $1 OR name = $2
FOR UPDATE;

-- name: get_version
-- Also works within the transaction that made the version, where its revision is 0.
SELECT
    r.resource_id AS id, r.name, r.comments, r.version, coalesce(commits.revision, 0) AS revision,
    coalesce(nullif(r.create_time, r.time), commits.time, r.time) AS create_time, coalesce(commits.time, r.time) AS update_time
FROM change_records AS r
LEFT JOIN commits ON commits.id = r.commit_id
WHERE r.kind = 'APPLICATION' AND r.resource_id = $1 AND r.version = $2;

-- name: list
-- The applications at revision $1 (null: now): unchanged ones from the table, the others from the log. $5: ids that may
-- be shown, null for all.
WITH shown AS MATERIALIZED (
    SELECT coalesce($1, counter.revision) AS revision, counter.revision AS head, compaction.revision AS compacted
    FROM revision_counter AS counter
    CROSS JOIN compaction
), touched AS MATERIALIZED (
    -- Compared with the parameter, not with shown, so that the planner sees how little has changed (null: nothing).
    SELECT DISTINCT changes.resource_id
    FROM changes
    WHERE changes.revision > $1 AND changes.kind = 'APPLICATION'
), present AS (
    SELECT
        a.id, a.name, a.comments, a.version, commits.revision,
        coalesce(nullif(a.create_time, a.update_time), commits.time) AS create_time, commits.time AS update_time
    FROM applications AS a
    JOIN commits ON commits.id = a.commit_id
    WHERE ($5::text[] IS NULL OR a.id = ANY ($5))
        AND starts_with(a.name, $2) AND ($3::text IS NULL OR a.name > $3)
        AND a.id NOT IN (SELECT resource_id FROM touched)
    ORDER BY a.name
    LIMIT $4
), past AS (
    SELECT
        latest.resource_id, latest.name, latest.comments, latest.version, latest.revision,
        coalesce(nullif(latest.create_time, latest.time), latest.commit_time), latest.commit_time
    FROM touched
    CROSS JOIN LATERAL (
        SELECT changes.*
        FROM shown, changes
        WHERE changes.kind = 'APPLICATION' AND changes.resource_id = touched.resource_id
            AND changes.revision <= shown.revision
        ORDER BY changes.version DESC
        LIMIT 1
    ) AS latest
    WHERE latest.operation <> 'DELETED' AND ($5::text[] IS NULL OR latest.resource_id = ANY ($5))
        AND starts_with(latest.name, $2) AND ($3::text IS NULL OR latest.name > $3)
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
        WHERE r.kind = 'APPLICATION' AND $5::text[] IS NULL
        ORDER BY r.resource_id
        LIMIT 1
    )
    UNION ALL
    SELECT
        (
            SELECT r.resource_id FROM change_records AS r
            WHERE r.kind = 'APPLICATION' AND r.resource_id > every.id
            ORDER BY r.resource_id
            LIMIT 1
        )
    FROM every
    WHERE every.id IS NOT NULL
), touched AS MATERIALIZED (
    SELECT ids.id
    FROM (SELECT id FROM every UNION ALL SELECT unnest($5::text[])) AS ids
    WHERE ids.id IS NOT NULL AND (
        SELECT commits.revision <= $1
        FROM applications AS a
        JOIN commits ON commits.id = a.commit_id
        WHERE a.id = ids.id
        LIMIT 1
    ) IS NOT TRUE
), present AS (
    SELECT
        a.id, a.name, a.comments, a.version, made.revision,
        coalesce(nullif(a.create_time, a.update_time), made.time) AS create_time, made.time AS update_time
    FROM applications AS a
    CROSS JOIN LATERAL (SELECT revision, time FROM commits WHERE commits.id = a.commit_id LIMIT 1) AS made
    WHERE ($5::text[] IS NULL OR a.id = ANY ($5)) AND starts_with(a.name, $2) AND ($3::text IS NULL OR a.name > $3) AND made.revision <= $1
    ORDER BY a.name
    LIMIT $4
), past AS (
    SELECT
        state.resource_id, state.name, state.comments, state.version, state.revision,
        coalesce(nullif(state.create_time, state.time), state.commit_time), state.commit_time
    FROM touched
    CROSS JOIN LATERAL (
        SELECT r.*, commits.revision, commits.time AS commit_time
        FROM change_records AS r
        JOIN commits ON commits.id = r.commit_id
        WHERE r.kind = 'APPLICATION' AND r.resource_id = touched.id AND r.version = version_at('APPLICATION', touched.id, $1)
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
