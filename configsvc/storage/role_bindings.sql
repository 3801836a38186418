-- name: all
SELECT b.principal, b.role, b.application_id, applications.name AS application
FROM role_bindings AS b
LEFT JOIN applications ON applications.id = b.application_id;

-- name: grants_at_deletion
-- The grants for deleted applications out of the ids $1, as of the commits that deleted them and their role bindings.
SELECT b.name AS principal, b.content ->> 'role' AS role, b.application_id, b.application
FROM change_records AS gone
JOIN change_records AS b ON b.commit_id = gone.commit_id
WHERE gone.kind = 'APPLICATION' AND gone.operation = 'DELETED' AND gone.resource_id = ANY ($1::text[])
    AND b.kind = 'ROLE_BINDING' AND b.operation = 'DELETED' AND b.application_id = gone.resource_id
    AND NOT EXISTS (SELECT FROM applications WHERE applications.id = gone.resource_id);

-- name: applications_of
-- The current or last application of each configuration with the ids $1.
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
-- No row if it exists already.
INSERT INTO role_bindings (id, principal, role, application_id, created_by, create_reason, create_request_id, create_origin)
VALUES (
    $1, $2, $3, $4, $5::jsonb ->> 'actor', $5::jsonb ->> 'reason', $5::jsonb ->> 'request_id', $5::jsonb -> 'origin'
)
ON CONFLICT (principal, application_id, role) DO NOTHING
RETURNING version;

-- name: lock_admins
-- In the order of ids, so that two transactions that delete the last two wait here, and the second sees what the first
-- left.
SELECT id FROM role_bindings WHERE role = 'ADMIN' AND application_id IS NULL
ORDER BY id
FOR UPDATE;

-- name: delete
DELETE FROM role_bindings WHERE id = $1
RETURNING version + 1;

-- name: application_of
-- The application of a role binding, even of a deleted one: null for all applications, no row if it never existed.
SELECT application_id FROM change_records WHERE kind = 'ROLE_BINDING' AND resource_id = $1
ORDER BY version DESC
LIMIT 1;

-- name: get_version
-- Also works within the transaction that made the version, where its revision is 0.
SELECT
    r.resource_id AS id, r.name AS principal, r.content ->> 'role' AS role, r.application_id, r.application, r.version,
    coalesce(commits.revision, 0) AS revision, coalesce(nullif(r.create_time, r.time), commits.time, r.time) AS create_time,
    r.created_by
FROM change_records AS r
LEFT JOIN commits ON commits.id = r.commit_id
WHERE r.kind = 'ROLE_BINDING' AND r.resource_id = $1 AND r.version = $2;

-- name: list
-- The role bindings at revision $1 (null: now) of principal $2 (empty: any), for the applications $3 (null: any, and
-- those for all), at most $5 after id $4. They never change: existing ones come from the table, deleted ones from the
-- log.
WITH shown AS MATERIALIZED (
    SELECT coalesce($1, counter.revision) AS revision, counter.revision AS head, compaction.revision AS compacted
    FROM revision_counter AS counter
    CROSS JOIN compaction
), present AS (
    SELECT
        b.id, b.principal, b.role, b.application_id, b.version, commits.revision, commits.time AS create_time, b.created_by
    FROM role_bindings AS b
    JOIN commits ON commits.id = b.commit_id
    WHERE ($1::bigint IS NULL OR commits.revision <= $1) AND ($2 = '' OR b.principal = $2)
        AND ($3::text[] IS NULL OR b.application_id = ANY ($3)) AND ($4::text IS NULL OR b.id > $4)
    ORDER BY b.id
    LIMIT $5
), past AS (
    SELECT
        made.resource_id, made.name, made.content ->> 'role', made.application_id, made.version, made.revision,
        made.commit_time, made.created_by
    FROM changes AS gone
    JOIN changes AS made
        ON made.kind = gone.kind AND made.resource_id = gone.resource_id AND made.version = gone.previous_version
    -- Compared with the parameter, not with shown, so that the planner sees how little has changed (null: nothing).
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
