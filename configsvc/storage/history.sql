-- name: last_holder
-- The id of the configuration that has application $1 and name $2, or had them last.
SELECT coalesce(
    (SELECT id FROM configurations WHERE application = $1 AND name = $2),
    (
        SELECT r.resource_id
        FROM change_records AS r
        JOIN commits ON commits.id = r.commit_id
        WHERE r.previous_application = $1 AND r.previous_name = $2 AND r.kind = 'CONFIGURATION'
            AND (r.operation = 'DELETED' OR r.previous_application <> r.application OR r.previous_name <> r.name)
        ORDER BY commits.revision DESC, r.ordinal DESC
        LIMIT 1
    )
) AS id;

-- name: holder_at
-- The id of the configuration that had application $1 and name $2 at revision $3, if any: the first that gave them up
-- since, or the current one.
SELECT coalesce(
    (
        SELECT r.resource_id
        FROM change_records AS r
        JOIN commits ON commits.id = r.commit_id
        WHERE r.previous_application = $1 AND r.previous_name = $2 AND r.kind = 'CONFIGURATION'
            AND (r.operation = 'DELETED' OR r.previous_application <> r.application OR r.previous_name <> r.name)
            AND commits.revision > $3
        ORDER BY commits.revision, r.ordinal
        LIMIT 1
    ),
    (SELECT id FROM configurations WHERE application = $1 AND name = $2)
) AS id;

-- name: last_holder_by
-- The id of the last configuration that gave up application $1 and name $2 by revision $3.
SELECT r.resource_id
FROM change_records AS r
JOIN commits ON commits.id = r.commit_id
WHERE r.previous_application = $1 AND r.previous_name = $2 AND r.kind = 'CONFIGURATION'
    AND (r.operation = 'DELETED' OR r.previous_application <> r.application OR r.previous_name <> r.name)
    AND commits.revision <= $3
ORDER BY commits.revision DESC, r.ordinal DESC
LIMIT 1;

-- name: revision_at
-- The revision of the last commit by time $1, and the last time that can be read: that of the clock, or of the last
-- commit. A binary search, because times follow revisions.
WITH RECURSIVE search AS (
    -- Invariant: low was committed by then, everything above high was not.
    SELECT 0::bigint AS low, revision AS high FROM revision_counter
    UNION ALL
    SELECT
        CASE WHEN middle.time <= $1 THEN middle.revision ELSE search.low END,
        CASE WHEN middle.time <= $1 THEN search.high ELSE (search.low + search.high + 1) / 2 - 1 END
    FROM search
    CROSS JOIN LATERAL (
        -- Compacted commits are missing.
        SELECT revision, time FROM commits WHERE revision >= (search.low + search.high + 1) / 2 ORDER BY revision LIMIT 1
    ) AS middle
    WHERE search.low < search.high
)
SELECT
    search.low AS revision,
    -- Commits may be ahead of the clock, if it was set back: their times are not in the future.
    greatest(
        clock_timestamp(), (SELECT time FROM commits WHERE revision = (SELECT revision FROM revision_counter))
    ) AS now
FROM search
ORDER BY search.high - search.low
LIMIT 1;

-- name: at_revision
-- The configuration with id $1 at revision $2; nulls if it did not exist. A binary search, because it may have many
-- versions.
WITH RECURSIVE search AS (
    -- Not min and max, for which a generic plan, made for resources with few versions, reads them all.
    SELECT
        (SELECT version FROM change_records WHERE kind = 'CONFIGURATION' AND resource_id = $1 ORDER BY version LIMIT 1) - 1 AS low,
        (
            SELECT version FROM change_records WHERE kind = 'CONFIGURATION' AND resource_id = $1 ORDER BY version DESC LIMIT 1
        ) AS high
    UNION ALL
    SELECT
        CASE WHEN middle.revision <= $2 THEN middle.version ELSE search.low END,
        CASE WHEN middle.revision <= $2 THEN search.high ELSE middle.version - 1 END
    FROM search
    CROSS JOIN LATERAL (
        SELECT r.version, commits.revision
        FROM change_records AS r
        JOIN commits ON commits.id = r.commit_id
        WHERE r.kind = 'CONFIGURATION' AND r.resource_id = $1 AND r.version = (search.low + search.high + 1) / 2
        -- Otherwise a generic plan joins all versions, in each step.
        LIMIT 1
    ) AS middle
    WHERE search.low < search.high
)
SELECT
    revision_counter.revision AS head_revision, compaction.revision AS compacted_revision,
    r.resource_id AS id, r.application_id, r.application, r.name, r.comments, r.content AS config, r.schema, r.schema_version,
    r.version, commits.revision, coalesce(nullif(r.create_time, r.time), commits.time) AS create_time,
    commits.time AS update_time, r.created_by, r.actor AS updated_by
FROM revision_counter
CROSS JOIN compaction
LEFT JOIN search ON search.low = search.high
LEFT JOIN (change_records AS r JOIN commits ON commits.id = r.commit_id)
    ON r.kind = 'CONFIGURATION' AND r.resource_id = $1 AND r.version = search.low AND r.operation <> 'DELETED';

-- name: versions
-- The versions before $2 (null: all) of the configuration with id $1, newest first, at most $3; with config, if $4, as
-- far as it fits into $5 bytes, which the first one may exceed. Also the oldest version that is kept; nulls if there is
-- none.
WITH page AS (
    SELECT *
    FROM change_records
    WHERE kind = 'CONFIGURATION' AND resource_id = $1 AND ($2::bigint IS NULL OR version < $2)
    ORDER BY version DESC
    LIMIT $3
), measured AS (
    SELECT
        page.*, count(*) OVER () AS rows_found,
        sum(content_bytes) OVER (ORDER BY version DESC) - content_bytes AS bytes_before
    FROM page
), kept AS (
    SELECT
        (
            SELECT version FROM change_records WHERE kind = 'CONFIGURATION' AND resource_id = $1
            ORDER BY version LIMIT 1
        ) AS oldest_version
)
SELECT
    kept.oldest_version, m.rows_found,
    m.resource_id AS id, m.application_id, m.application, m.name, m.comments, CASE WHEN $4 THEN m.content END AS config,
    m.schema, m.schema_version, m.version, commits.revision,
    coalesce(nullif(m.create_time, m.time), commits.time) AS create_time, commits.time AS update_time, m.created_by,
    m.actor AS updated_by, m.operation, m.reason, m.request_id, m.origin ->> 'change_request' AS change_request,
    revision_counter.revision AS head_revision
FROM kept
CROSS JOIN revision_counter
LEFT JOIN (measured AS m JOIN commits ON commits.id = m.commit_id)
    ON NOT $4 OR m.bytes_before = 0 OR m.bytes_before + m.content_bytes <= $5
ORDER BY m.version DESC;

-- name: version
-- Version $2 of the configuration with id $1, with the oldest version that is kept and the compacted revision; nulls if
-- there is none.
SELECT
    compaction.revision AS compacted_revision,
    (
        SELECT version FROM change_records WHERE kind = 'CONFIGURATION' AND resource_id = $1 ORDER BY version LIMIT 1
    ) AS oldest_version,
    r.resource_id AS id, r.application_id, r.application, r.name, r.comments, r.content AS config, r.schema, r.schema_version,
    r.version, commits.revision, coalesce(nullif(r.create_time, r.time), commits.time) AS create_time,
    commits.time AS update_time, r.created_by, r.actor AS updated_by, r.operation, r.reason,
    r.request_id, r.origin ->> 'change_request' AS change_request
FROM compaction
LEFT JOIN (change_records AS r JOIN commits ON commits.id = r.commit_id)
    ON r.kind = 'CONFIGURATION' AND r.resource_id = $1 AND r.version = $2;

-- name: newest_version
SELECT version FROM change_records WHERE kind = 'CONFIGURATION' AND resource_id = $1 ORDER BY version DESC LIMIT 1;

-- name: version_at
-- The version that the configuration with id $1 had at revision $2, which may be a deletion; null if the log has none.
SELECT version
FROM change_records
WHERE kind = 'CONFIGURATION' AND resource_id = $1 AND version = version_at('CONFIGURATION', $1, $2);
