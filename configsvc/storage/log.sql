-- name: commit_of
-- Nulls before the commit.
SELECT commits.id, commits.revision, commits.time
FROM change_records AS r
LEFT JOIN commits ON commits.id = r.commit_id
WHERE r.kind = $1 AND r.resource_id = $2 AND r.version = $3;

-- name: head
SELECT revision FROM revision_counter;

-- name: take_revision
-- The trigger takes it, which otherwise waits for the commit.
SET CONSTRAINTS assign_revision IMMEDIATE;

-- name: bounds
SELECT
    revision_counter.revision AS head, compaction.revision AS compacted_revision, commits.id AS commit_id, commits.time AS commit_time
FROM revision_counter
CROSS JOIN compaction
LEFT JOIN commits ON commits.revision = revision_counter.revision;

-- name: recent_commits
-- The commits up to revision $1, the newest first, with a row for each configuration that they changed, or one with a
-- null; $2 rows at most. In a compacted commit some may be missing.
SELECT commits.revision, commits.id AS commit_id, commits.time AS commit_time, r.resource_id AS id, compaction.revision AS compacted_revision
FROM compaction
CROSS JOIN commits
LEFT JOIN LATERAL (
    SELECT resource_id FROM change_records WHERE commit_id = commits.id AND kind = 'CONFIGURATION' LIMIT $2
) AS r ON true
WHERE commits.revision <= $1
ORDER BY commits.revision DESC
LIMIT $2;

-- name: notification_queue_usage
SELECT pg_notification_queue_usage();

-- name: epoch
-- Of the system, its timeline, the database, the log and the row that names it: every way to restore changes one of them.
SELECT
    concat_ws(
        '-', system_identifier, ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint,
        (SELECT oid FROM pg_database WHERE datname = current_database()), 'commits'::regclass::oid, log_identity.xmin
    )
FROM pg_control_system()
CROSS JOIN log_identity;

-- name: records
-- The records from revision $1, ordinal $2 on, in order: of at most $6 commits, at most $3 records, and as many as fit
-- into $4 bytes, counting $5 more for each; the first one may exceed that alone. is_last: the record is the last of its
-- commit. One statement, so that no record can go missing unnoticed: it also returns the compacted revision, and the
-- commit of the record before that position. Nulls at the end of the log. $7: names and ids of applications (null: all);
-- contents of others are left out.
WITH next_commits AS (
    SELECT id, revision, time AS commit_time FROM commits WHERE revision >= $1 ORDER BY revision LIMIT $6
), page AS (
    SELECT next_commits.revision, next_commits.commit_time, records.*
    FROM next_commits
    CROSS JOIN LATERAL (
        -- Read no more of a very large commit than the page can hold.
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
    revision_counter.revision AS head, compaction.revision AS compacted_revision, before.revision AS revision_before, before.id AS commit_id_before,
    before.time AS commit_time_before, m.revision, m.commit_id, m.commit_time, m.ordinal, m.kind, m.operation,
    m.resource_id AS id, m.application_id, m.application, m.name, m.comments,
    CASE
        WHEN $7::text[] IS NULL OR ARRAY[m.application_id, m.application, m.previous_application_id, m.previous_application] && $7
            THEN m.content::text
    END AS config_text, m.content_bytes,
    m.schema, m.schema_version, m.version, coalesce(nullif(m.create_time, m.time), m.commit_time) AS create_time,
    m.commit_time AS update_time, m.created_by, m.actor AS updated_by, m.previous_version,
    m.previous_application_id, m.previous_application, m.previous_name, m.reason, m.request_id,
    m.origin ->> 'change_request' AS change_request, m.is_last
FROM compaction
CROSS JOIN revision_counter
LEFT JOIN commits AS before ON before.revision = CASE WHEN $2::integer = 0 THEN $1 - 1 ELSE $1 END
LEFT JOIN measured AS m ON m.place = 1 OR (m.place <= $3 AND m.bytes <= $4)
ORDER BY m.revision, m.ordinal;

-- name: places
-- What `records` returns, without any text that may be unreadable.
SELECT
    head, compacted_revision, revision_before, commit_id_before, commit_time_before, revision, commit_id, commit_time, ordinal, kind,
    content_bytes, is_last
FROM (
:page
) AS page
ORDER BY revision, ordinal;

-- name: records_at
-- The records at some places (parallel arrays of commit ids and ordinals), in any order.
SELECT
    commits.revision, r.commit_id, r.ordinal, r.operation, r.resource_id AS id, r.application_id, r.application, r.name, r.comments,
    r.content::text AS config_text, r.content_bytes, r.schema, r.schema_version, r.version,
    coalesce(nullif(r.create_time, r.time), commits.time) AS create_time, commits.time AS update_time,
    r.created_by, r.actor AS updated_by, r.previous_version, r.previous_application_id, r.previous_application, r.previous_name, r.reason,
    r.request_id, r.origin ->> 'change_request' AS change_request
FROM unnest($1::bigint[], $2::integer[]) AS place (commit_id, ordinal)
JOIN change_records AS r ON r.commit_id = place.commit_id AND r.ordinal = place.ordinal
JOIN commits ON commits.id = r.commit_id;

-- name: names_at
-- The names of a record whose other texts may be unreadable.
SELECT
    operation, resource_id AS id, application_id, application, name, version, previous_version, previous_application_id,
    previous_application, previous_name
FROM change_records
WHERE commit_id = $1 AND ordinal = $2;

-- name: next_about
-- The first revision from $1 to $2 with a change of configurations in applications with the names and ids $3; if there is
-- none among the first $4 records, the last revision that was looked at. Reads no contents. Null if there are no records.
SELECT compaction.revision AS compacted_revision, coalesce(looked_at.first_match, looked_at.last) AS revision
FROM compaction
CROSS JOIN (
    SELECT min(revision) FILTER (WHERE matches) AS first_match, max(revision) AS last
    FROM (
        SELECT
            commits.revision,
            ARRAY[r.application_id, r.application, r.previous_application_id, r.previous_application] && $3::text[] AS matches
        FROM commits
        CROSS JOIN LATERAL (
            SELECT application_id, application, previous_application_id, previous_application
            FROM change_records
            WHERE commit_id = commits.id
            ORDER BY ordinal
            LIMIT $4
        ) AS r
        WHERE commits.revision BETWEEN $1 AND $2
        ORDER BY commits.revision
        LIMIT $4
    ) AS records
) AS looked_at;

-- name: explain_deletions
-- The contexts that the log records for deletions in the rest of this transaction.
SELECT set_config('configsvc.deletion', $1, true);

-- name: has_changed_much
-- Whether the log has more than $2 records after revision $1. Nothing is counted where commits alone are more.
SELECT CASE
    WHEN revision_counter.revision - $1 > $2::bigint THEN true
    ELSE $2 < (
        SELECT count(*)
        FROM (
            SELECT FROM commits JOIN change_records AS r ON r.commit_id = commits.id
            WHERE commits.revision > $1
            LIMIT $2 + 1
        ) AS later
    )
END
FROM revision_counter;
