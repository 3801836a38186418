-- name: all
SELECT b.principal, b.role, b.application_id, applications.name AS application
FROM role_bindings AS b
LEFT JOIN applications ON applications.id = b.application_id;

-- name: held_to_the_end
-- What role bindings gave for the applications with the ids $1, as far as these are gone, until the commits that deleted them: they went with them.
SELECT b.name AS principal, b.content ->> 'role' AS role, b.application_id, b.application
FROM change_records AS gone
JOIN change_records AS b ON b.commit_id = gone.commit_id
WHERE gone.kind = 'APPLICATION' AND gone.operation = 'DELETED' AND gone.resource_id = ANY ($1::text[])
    AND b.kind = 'ROLE_BINDING' AND b.operation = 'DELETED' AND b.application_id = gone.resource_id
    AND NOT EXISTS (SELECT FROM applications WHERE applications.id = gone.resource_id);

-- name: applications_of
-- The applications that the configurations with the ids $1 belong to, or belonged to last.
SELECT ids.id, last.application_id
FROM unnest($1::text[]) AS ids (id)
CROSS JOIN LATERAL (
    SELECT r.application_id
    FROM change_records AS r
    WHERE r.kind = 'CONFIGURATION' AND r.resource_id = ids.id
    ORDER BY r.version DESC
    LIMIT 1
) AS last;

-- name: insert
-- No row for one that is there already.
INSERT INTO role_bindings (id, principal, role, application_id, created_by, create_reason, create_request_id, create_origin)
VALUES (
    $1, $2, $3, $4, $5::jsonb ->> 'actor', $5::jsonb ->> 'reason', $5::jsonb ->> 'request_id', $5::jsonb -> 'origin'
)
ON CONFLICT (principal, application_id, role) DO NOTHING
RETURNING version;

-- name: lock_admins
-- In the order of their ids, so that two that delete the last two wait for each other here, and the second one sees what the first has left.
SELECT id FROM role_bindings WHERE role = 'ADMIN' AND application_id IS NULL
ORDER BY id
FOR UPDATE;

-- name: delete
DELETE FROM role_bindings WHERE id = $1
RETURNING version + 1;

-- name: application_of
-- The application of a role binding, also of one that was deleted: null for all of them, no row for one that never was.
SELECT application_id FROM change_records WHERE kind = 'ROLE_BINDING' AND resource_id = $1
ORDER BY version DESC
LIMIT 1;

-- name: get_version
-- Also within the transaction that made the version: its revision is 0 until the commit.
SELECT
    r.resource_id AS id, r.name AS principal, r.content ->> 'role' AS role, r.application_id, r.application, r.version,
    coalesce(commits.revision, 0) AS revision, r.create_time, r.created_by
FROM change_records AS r
LEFT JOIN commits ON commits.id = r.commit_id
WHERE r.kind = 'ROLE_BINDING' AND r.resource_id = $1 AND r.version = $2;

-- name: list
-- The role bindings as they were at revision $1, or now: of principal $2 (empty: of any), for the applications $3 (null: for any, and for all), at most $5 after
-- the id $4. They never change: those that are there and were then, and those that were deleted since, from the log.
WITH shown AS MATERIALIZED (
    SELECT coalesce($1, counter.revision) AS revision, counter.revision AS head, compaction.revision AS compacted
    FROM revision_counter AS counter
    CROSS JOIN compaction
), present AS (
    SELECT b.id, b.principal, b.role, b.application_id, b.version, commits.revision, b.create_time, b.created_by
    FROM role_bindings AS b
    JOIN commits ON commits.id = b.commit_id
    WHERE ($1::bigint IS NULL OR commits.revision <= $1) AND ($2 = '' OR b.principal = $2)
        AND ($3::text[] IS NULL OR b.application_id = ANY ($3)) AND ($4::text IS NULL OR b.id > $4)
    ORDER BY b.id
    LIMIT $5
), past AS (
    SELECT
        made.resource_id, made.name, made.content ->> 'role', made.application_id, made.version, made.revision,
        made.create_time, made.created_by
    FROM changes AS gone
    JOIN changes AS made
        ON made.kind = gone.kind AND made.resource_id = gone.resource_id AND made.version = gone.previous_version
    -- Compared with the parameter, not with shown: the planner must see that little has changed, or, where it is null, nothing.
    WHERE gone.revision > $1 AND gone.kind = 'ROLE_BINDING' AND gone.operation = 'DELETED' AND made.revision <= $1
        AND ($2 = '' OR made.name = $2) AND ($3::text[] IS NULL OR made.application_id = ANY ($3))
        AND ($4::text IS NULL OR made.resource_id > $4)
), page AS (
    SELECT * FROM present
    UNION ALL
    SELECT * FROM past
    ORDER BY id
    LIMIT $5
)
SELECT
    shown.revision AS shown_revision, shown.head AS head_revision, shown.compacted AS compacted_revision, page.*,
    applications.name AS application
FROM shown
LEFT JOIN page ON true
LEFT JOIN applications ON applications.id = page.application_id
ORDER BY page.id;
