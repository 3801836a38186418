-- name: revision_of
SELECT coalesce(commits.revision, 0)
FROM change_records AS r
LEFT JOIN commits ON commits.id = r.commit_id
WHERE r.kind = $1 AND r.resource_id = $2 AND r.version = $3;

-- name: head
SELECT revision FROM revision_counter;

-- name: notification_queue_usage
SELECT pg_notification_queue_usage();

-- name: epoch
SELECT
    system_identifier::text AS system_identifier,
    ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint AS timeline
FROM pg_control_system();

-- name: records
-- The records from revision $1, ordinal $2 on, in order, of $6 commits at the most: at most $3, and as many as fit into $4 bytes, of which each
-- takes its content's and $5 more; the first may take more alone. is_last tells whether it is the last of its commit.
WITH next_commits AS (
    SELECT id, revision FROM commits WHERE revision >= $1 ORDER BY revision LIMIT $6
), page AS (
    SELECT next_commits.revision, records.*
    FROM next_commits
    CROSS JOIN LATERAL (
        -- Of a very large commit no more is read than the page can hold.
        SELECT *
        FROM change_records
        WHERE commit_id = next_commits.id AND ordinal >= CASE WHEN next_commits.revision = $1 THEN $2::integer ELSE 0 END
        ORDER BY ordinal
        LIMIT $3::bigint + 1
    ) AS records
    ORDER BY next_commits.revision, records.ordinal
    LIMIT $3::bigint + 1
), measured AS (
    SELECT
        page.*,
        lead(revision) OVER in_order IS DISTINCT FROM revision AS is_last,
        row_number() OVER in_order AS place,
        sum(content_bytes + $5::bigint) OVER in_order AS bytes
    FROM page
    WINDOW in_order AS (ORDER BY revision, ordinal)
)
SELECT
    revision, ordinal, kind, operation, resource_id AS id, application_id, application, name, comments, content AS config,
    content_bytes, version, create_time, time AS update_time, created_by, actor AS updated_by, previous_version,
    previous_application_id, previous_application, previous_name, reason, is_last
FROM measured
WHERE place = 1 OR (place <= $3 AND bytes <= $4)
ORDER BY revision, ordinal;

-- name: explain_deletion
-- Tells the log who deletes, and why, for the rest of this transaction.
SELECT set_config('configsvc.deletion', $1, true);
