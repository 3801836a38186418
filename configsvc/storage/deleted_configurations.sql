-- name: list
-- The configurations that were deleted at revision $1, as they were last, in the order of application, name and id, after
-- the place $2, $3, $4. $5: ids of the applications to show (null: all). $6: name prefix. $7: names. $8: contains. $9:
-- JSON path, which is never evaluated on contents that are not shown. $10, $11: pinned schema and version. $12: limit of
-- rows. $13: whether to return config. $14: limit of its bytes, which the first row may exceed. $15: about how many
-- deletions to examine; if there may be more, the next page continues after the horizon.
WITH RECURSIVE shown AS MATERIALIZED (
    SELECT counter.revision AS head, compaction.revision AS compacted
    FROM revision_counter AS counter
    CROSS JOIN compaction
), owners AS MATERIALIZED (
    SELECT DISTINCT id FROM unnest($5::text[]) AS ids (id)
    UNION ALL
    SELECT NULL WHERE $5 IS NULL
), quota AS MATERIALIZED (
    SELECT greatest(2, $15::bigint / greatest(1, count(*))) AS places FROM owners
), candidates AS (
    -- From one configuration to the next: one that was deleted many times is met once.
    SELECT owners.id AS owner, first.application, first.name, first.resource_id, 1 AS place
    FROM owners
    CROSS JOIN LATERAL (
        (
            SELECT r.application, r.name, r.resource_id
            FROM change_records AS r
            WHERE owners.id IS NULL AND r.kind = 'CONFIGURATION' AND r.operation = 'DELETED'
                AND (r.application, r.name, r.resource_id) > ($2::text, $3::text, $4::text)
                AND ($6 = '' OR starts_with(r.name, $6)) AND ($7::text[] IS NULL OR r.name = ANY ($7))
            ORDER BY r.application, r.name, r.resource_id
            LIMIT 1
        )
        UNION ALL
        (
            SELECT r.application, r.name, r.resource_id
            FROM change_records AS r
            WHERE r.application_id = owners.id AND r.kind = 'CONFIGURATION' AND r.operation = 'DELETED'
                AND (r.application, r.name, r.resource_id) > ($2, $3, $4)
                AND ($6 = '' OR starts_with(r.name, $6)) AND ($7 IS NULL OR r.name = ANY ($7))
            ORDER BY r.application, r.name, r.resource_id
            LIMIT 1
        )
    ) AS first
    UNION ALL
    SELECT c.owner, further.application, further.name, further.resource_id, c.place + 1
    FROM candidates AS c
    CROSS JOIN LATERAL (
        (
            SELECT r.application, r.name, r.resource_id
            FROM change_records AS r
            WHERE c.owner IS NULL AND r.kind = 'CONFIGURATION' AND r.operation = 'DELETED'
                AND (r.application, r.name, r.resource_id) > (c.application, c.name, c.resource_id)
                AND ($6 = '' OR starts_with(r.name, $6)) AND ($7 IS NULL OR r.name = ANY ($7))
            ORDER BY r.application, r.name, r.resource_id
            LIMIT 1
        )
        UNION ALL
        (
            SELECT r.application, r.name, r.resource_id
            FROM change_records AS r
            WHERE r.application_id = c.owner AND r.kind = 'CONFIGURATION' AND r.operation = 'DELETED'
                AND (r.application, r.name, r.resource_id) > (c.application, c.name, c.resource_id)
                AND ($6 = '' OR starts_with(r.name, $6)) AND ($7 IS NULL OR r.name = ANY ($7))
            ORDER BY r.application, r.name, r.resource_id
            LIMIT 1
        )
    ) AS further
    WHERE c.place < (SELECT places FROM quota)
), horizon AS MATERIALIZED (
    SELECT application, name, resource_id
    FROM candidates
    WHERE place = (SELECT places FROM quota)
    ORDER BY application, name, resource_id
    LIMIT 1
), known AS (
    SELECT DISTINCT c.application, c.name, c.resource_id
    FROM candidates AS c
    LEFT JOIN horizon ON true
    WHERE horizon.name IS NULL
        OR (c.application, c.name, c.resource_id) <= (horizon.application, horizon.name, horizon.resource_id)
    ORDER BY c.application, c.name, c.resource_id
), page AS (
    SELECT
        known.resource_id AS id, deletion.application_id, known.application, known.name, deletion.comments,
        last.content AS config, coalesce(last.content_bytes, 0) AS config_bytes, deletion.schema, deletion.schema_version,
        deletion.previous_version AS version, coalesce(last.revision, deletion.revision) AS revision,
        coalesce(nullif(deletion.create_time, last.time), last.commit_time, deletion.create_time) AS create_time,
        coalesce(last.commit_time, deletion.commit_time) AS update_time, deletion.created_by,
        coalesce(last.actor, deletion.actor) AS updated_by, deletion.commit_time AS delete_time
    FROM known
    CROSS JOIN LATERAL (
        SELECT r.*, commits.revision, commits.time AS commit_time
        FROM change_records AS r
        JOIN commits ON commits.id = r.commit_id
        WHERE r.kind = 'CONFIGURATION' AND r.resource_id = known.resource_id
            AND r.version = version_at('CONFIGURATION', known.resource_id, $1)
            AND r.operation = 'DELETED' AND r.application = known.application AND r.name = known.name
        LIMIT 1
    ) AS deletion
    LEFT JOIN LATERAL (
        -- While compaction removes them, the deletion may be the only record that is left.
        SELECT r.content, r.content_bytes, r.time, r.actor, commits.revision, commits.time AS commit_time
        FROM change_records AS r
        JOIN commits ON commits.id = r.commit_id
        WHERE r.kind = 'CONFIGURATION' AND r.resource_id = known.resource_id AND r.version = deletion.previous_version
        LIMIT 1
    ) AS last ON true
    WHERE ($10::text IS NULL OR deletion.schema = $10)
        AND ($11::bigint IS NULL OR deletion.schema_version = $11)
        AND ($8::jsonb IS NULL OR last.content @> $8)
        AND CASE
            WHEN $5 IS NULL OR deletion.application_id = ANY ($5) THEN $9::jsonpath IS NULL OR last.content @@ $9
            ELSE false
        END
    ORDER BY known.application, known.name, known.resource_id
    LIMIT $12
), measured AS (
    SELECT
        page.*,
        count(*) OVER () AS rows_found,
        sum(page.config_bytes) OVER (ORDER BY page.application, page.name, page.id) - page.config_bytes AS bytes_before
    FROM page
)
SELECT
    $1::bigint AS shown_revision, shown.head AS head_revision, shown.compacted AS compacted_revision,
    horizon.application AS horizon_application, horizon.name AS horizon_name, horizon.resource_id AS horizon_id,
    m.id, m.application_id, m.application, m.name, m.comments, CASE WHEN $13 THEN m.config END AS config,
    m.config_bytes, m.schema, m.schema_version, m.version, m.revision,
    m.create_time, m.update_time, m.created_by, m.updated_by, m.delete_time, m.rows_found
FROM shown
LEFT JOIN horizon ON true
LEFT JOIN measured AS m ON NOT $13 OR m.bytes_before = 0 OR m.bytes_before + m.config_bytes <= $14
ORDER BY m.application, m.name, m.id;
