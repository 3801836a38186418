-- name: changes
-- The changes that match the filter, newest first, out of the $10 records before revision $8, ordinal $9 and after
-- revision $7; at most $11. The last of the $10 records is returned even if it does not match, because the next page
-- continues there. $1: actor. $2, $3: the application's id and name. $4: kind. $5: name. $6: range of commit times, end
-- excluded. $12: ids of applications that may be shown, null for all; a move between applications needs both. $13:
-- whether to show changes outside any application.
SELECT compaction.revision AS compacted_revision, revision_counter.revision AS head, page.*
FROM compaction
CROSS JOIN revision_counter
LEFT JOIN (
    SELECT *
    FROM (
        SELECT
            records.*,
            row_number() OVER (ORDER BY records.revision DESC, records.ordinal DESC) AS place,
            ($1 = '' OR records.actor = $1)
            AND (
                $2::text IS NULL OR records.application_id = $2 OR records.previous_application_id = $2
                OR (records.kind = 'APPLICATION' AND records.resource_id = $2)
            )
            AND (
                $3::text IS NULL OR records.application = $3 OR records.previous_application = $3
                OR (records.kind = 'APPLICATION' AND $3 IN (records.name, records.previous_name))
            )
            AND ($4::text IS NULL OR records.kind = $4)
            AND ($5::text IS NULL OR $5 IN (records.name, records.previous_name))
            AND records.time <@ $6::tstzrange
            AND ($13 OR records.owner IS NOT NULL)
            AND (
                $12::text[] IS NULL
                OR (records.owner = ANY ($12) AND coalesce(records.previous_application_id, records.owner) = ANY ($12))
            ) AS chosen
        FROM (
            SELECT
                commits.revision, commits.time, r.ordinal, r.kind, r.operation, r.resource_id, r.version, r.previous_version,
                r.application_id, r.application, r.name, r.previous_application_id, r.previous_application, r.previous_name,
                r.schema, r.schema_version, r.actor, r.reason, r.request_id, r.origin,
                CASE r.kind WHEN 'APPLICATION' THEN r.resource_id ELSE r.application_id END AS owner,
                CASE r.kind WHEN 'ROLE_BINDING' THEN r.content ->> 'role' END AS role
            FROM commits
            CROSS JOIN LATERAL (
                -- Read no more of a very large commit than this looks at.
                SELECT *
                FROM change_records
                WHERE commit_id = commits.id AND (commits.revision < $8 OR ordinal < $9::bigint)
                ORDER BY ordinal DESC
                LIMIT $10
            ) AS r
            WHERE commits.revision > $7 AND commits.revision <= $8
            ORDER BY commits.revision DESC, r.ordinal DESC
            LIMIT $10
        ) AS records
    ) AS looked_at
    WHERE chosen OR place = $10
    ORDER BY revision DESC, ordinal DESC
    LIMIT $11
) AS page ON true
ORDER BY page.revision DESC, page.ordinal DESC;

-- name: changes_of_resource
-- Like changes, for the resource of kind $4 with id $11 and its versions before $12 (null: all). $13, $14: as $12, $13
-- there.
SELECT compaction.revision AS compacted_revision, revision_counter.revision AS head, page.*
FROM compaction
CROSS JOIN revision_counter
LEFT JOIN (
    SELECT *
    FROM (
        SELECT
            records.*,
            row_number() OVER (ORDER BY records.version DESC) AS place,
            ($1 = '' OR records.actor = $1)
            AND (
                $2::text IS NULL OR records.application_id = $2 OR records.previous_application_id = $2
                OR (records.kind = 'APPLICATION' AND records.resource_id = $2)
            )
            AND (
                $3::text IS NULL OR records.application = $3 OR records.previous_application = $3
                OR (records.kind = 'APPLICATION' AND $3 IN (records.name, records.previous_name))
            )
            AND ($5::text IS NULL OR $5 IN (records.name, records.previous_name))
            AND records.revision > $7 AND records.revision <= $8
            AND records.time <@ $6::tstzrange
            AND ($14 OR records.owner IS NOT NULL)
            AND (
                $13::text[] IS NULL
                OR (records.owner = ANY ($13) AND coalesce(records.previous_application_id, records.owner) = ANY ($13))
            ) AS chosen
        FROM (
            SELECT
                commits.revision, commits.time, r.ordinal, r.kind, r.operation, r.resource_id, r.version, r.previous_version,
                r.application_id, r.application, r.name, r.previous_application_id, r.previous_application, r.previous_name,
                r.schema, r.schema_version, r.actor, r.reason, r.request_id, r.origin,
                CASE r.kind WHEN 'APPLICATION' THEN r.resource_id ELSE r.application_id END AS owner,
                CASE r.kind WHEN 'ROLE_BINDING' THEN r.content ->> 'role' END AS role
            FROM change_records AS r
            -- One at a time, so that no more are read than needed, even for a resource that has most of the log.
            CROSS JOIN LATERAL (SELECT * FROM commits WHERE id = r.commit_id LIMIT 1) AS commits
            WHERE r.kind = $4 AND r.resource_id = $11 AND ($12::bigint IS NULL OR r.version < $12)
            ORDER BY r.version DESC
            LIMIT $9
        ) AS records
    ) AS looked_at
    WHERE chosen OR place = $9
    ORDER BY version DESC
    LIMIT $10
) AS page ON true
ORDER BY page.version DESC;

-- name: resource
-- The kind of the resource with id $1, and its current or last application, if any.
SELECT kinds.kind, last.owner
FROM unnest(ARRAY['CONFIGURATION', 'APPLICATION', 'SCHEMA', 'ROLE_BINDING']) AS kinds (kind)
CROSS JOIN LATERAL (
    SELECT CASE r.kind WHEN 'APPLICATION' THEN r.resource_id ELSE r.application_id END AS owner
    FROM change_records AS r
    WHERE r.kind = kinds.kind AND r.resource_id = $1
    ORDER BY r.version DESC
    LIMIT 1
) AS last
WHERE $2::text IS NULL OR kinds.kind = $2
LIMIT 1;
