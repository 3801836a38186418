-- name: revision_of
SELECT coalesce(commits.revision, 0)
FROM change_records AS r
LEFT JOIN commits ON commits.id = r.commit_id
WHERE r.resource_id = $1 AND r.version = $2;

-- name: head
SELECT revision FROM revision_counter;

-- name: epoch
SELECT
    system_identifier::text AS system_identifier,
    ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint AS timeline
FROM pg_control_system();

-- name: commits
-- The commits after revision $1, each whole, the first and then as many as fit into $2 bytes of content, $3 at the most. A commit that changed
-- no configuration is one row of nulls.
WITH next_commits AS (
    SELECT id, revision FROM commits WHERE revision > $1 ORDER BY revision LIMIT $3
), measured AS (
    SELECT n.id, n.revision, sum(sum(coalesce(r.content_bytes, 0))) OVER (ORDER BY n.revision) AS bytes
    FROM next_commits AS n
    LEFT JOIN change_records AS r ON r.commit_id = n.id AND r.kind = 'CONFIGURATION'
    GROUP BY n.id, n.revision
)
SELECT
    m.revision, r.operation, r.resource_id AS id, r.application_id, r.application, r.name, r.comments, r.content AS config,
    r.content_bytes, r.version, r.create_time, r.time AS update_time, r.created_by, r.actor AS updated_by, r.previous_version,
    r.previous_application_id, r.previous_application, r.previous_name, r.reason
FROM measured AS m
LEFT JOIN change_records AS r ON r.commit_id = m.id AND r.kind = 'CONFIGURATION'
WHERE m.bytes <= $2 OR m.revision = $1 + 1
ORDER BY m.revision, r.ordinal;

-- name: explain_deletion
-- Tells the log who deletes, and why, for the rest of this transaction.
SELECT set_config('configsvc.deletion', $1, true);
