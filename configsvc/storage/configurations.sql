-- name: get
SELECT
    coalesce(head.revision, 0) AS shown_revision, head.id AS head_id, head.time AS head_time,
    c.id, c.application_id, c.application, c.name, c.comments, c.config, c.schema, c.schema_version, c.version,
    commits.revision,
    coalesce(nullif(c.create_time, c.update_time), commits.time) AS create_time, commits.time AS update_time, c.created_by,
    c.updated_by
FROM (SELECT) AS one
LEFT JOIN (SELECT id, revision, time FROM commits ORDER BY revision DESC LIMIT 1) AS head ON true
LEFT JOIN (configurations AS c JOIN commits ON commits.id = c.commit_id)
    ON c.id = $1 OR (c.application = $2 AND c.name = $3);

-- name: batch_get
-- $1: ids. $2, $3: applications and names (parallel arrays). Configs are left out if not $4, or if all of them exceed
-- $5 bytes.
WITH wanted AS (
    SELECT c.id, c.config_bytes
    FROM configurations AS c
    WHERE c.id = ANY ($1::text[])
    UNION
    SELECT c.id, c.config_bytes
    FROM unnest($2::text[], $3::text[]) AS key (application, name)
    JOIN configurations AS c ON c.application = key.application AND c.name = key.name
), total AS MATERIALIZED (
    SELECT coalesce(sum(config_bytes), 0) AS bytes FROM wanted
), found AS (
    SELECT
        c.id, c.application_id, c.application, c.name, c.comments,
        CASE WHEN $4 AND total.bytes <= $5 THEN c.config END AS config,
        c.schema, c.schema_version, c.version, commits.revision,
        coalesce(nullif(c.create_time, c.update_time), commits.time) AS create_time, commits.time AS update_time,
        c.created_by, c.updated_by
    FROM total, wanted
    JOIN configurations AS c ON c.id = wanted.id
    JOIN commits ON commits.id = c.commit_id
)
SELECT revision_counter.revision AS shown_revision, total.bytes AS total_bytes, found.*
FROM revision_counter
CROSS JOIN total
LEFT JOIN found ON true;

-- name: batch_get_past
-- Like batch_get, at revision $6.
WITH shown AS MATERIALIZED (
    SELECT counter.revision AS head, compaction.revision AS compacted
    FROM revision_counter AS counter
    CROSS JOIN compaction
), wanted AS (
    SELECT id FROM unnest($1::text[]) AS ids (id)
    UNION
    SELECT coalesce(gone.id, present.id)
    FROM unnest($2::text[], $3::text[]) AS key (application, name)
    LEFT JOIN LATERAL (
        -- The first that gave up the key since had it.
        SELECT r.resource_id AS id
        FROM change_records AS r
        JOIN commits ON commits.id = r.commit_id
        WHERE r.previous_application = key.application AND r.previous_name = key.name AND r.kind = 'CONFIGURATION'
            AND (r.operation = 'DELETED' OR r.previous_application <> r.application OR r.previous_name <> r.name)
            AND commits.revision > $6
        ORDER BY commits.revision, r.ordinal
        LIMIT 1
    ) AS gone ON true
    LEFT JOIN LATERAL (
        SELECT c.id FROM configurations AS c WHERE c.application = key.application AND c.name = key.name LIMIT 1
    ) AS present ON true
), found AS MATERIALIZED (
    SELECT state.*
    FROM wanted
    CROSS JOIN LATERAL (
        SELECT r.*, commits.revision, commits.time AS commit_time
        FROM change_records AS r
        JOIN commits ON commits.id = r.commit_id
        WHERE r.kind = 'CONFIGURATION' AND r.resource_id = wanted.id
            AND r.version = version_at('CONFIGURATION', wanted.id, $6) AND r.operation <> 'DELETED'
        LIMIT 1
    ) AS state
), total AS MATERIALIZED (
    SELECT coalesce(sum(content_bytes), 0) AS bytes FROM found
)
SELECT
    $6::bigint AS shown_revision, shown.head AS head_revision, shown.compacted AS compacted_revision,
    total.bytes AS total_bytes, f.resource_id AS id, f.application_id, f.application, f.name, f.comments,
    CASE WHEN $4 AND total.bytes <= $5 THEN f.content END AS config, f.schema, f.schema_version, f.version, f.revision,
    coalesce(nullif(f.create_time, f.time), f.commit_time) AS create_time, f.commit_time AS update_time, f.created_by,
    f.actor AS updated_by
FROM shown
CROSS JOIN total
LEFT JOIN found AS f ON true;

-- name: list
-- The configurations at revision $1 (null: now): unchanged ones from the table, the others from the log. $2, $3: the
-- application's id and name. $4: name prefix. $5: names. $6: contains. $7: JSON path. $8, $9: the key to continue
-- after. $10: limit of rows. $11: whether to return config. $12: limit of its bytes, which the first row may exceed.
-- $13, $14: pinned schema and version. $15: ids of applications that may be shown, null for all. With $15, a JSON path
-- is never evaluated on other contents, even where an index finds them: some paths fail on certain values, and the
-- error would reveal them.
WITH shown AS MATERIALIZED (
    SELECT coalesce($1, counter.revision) AS revision, counter.revision AS head, compaction.revision AS compacted
    FROM revision_counter AS counter
    CROSS JOIN compaction
), touched AS MATERIALIZED (
    -- Compared with the parameter, not with shown, so that the planner sees how little has changed (null: nothing).
    SELECT DISTINCT changes.resource_id
    FROM changes
    WHERE changes.revision > $1 AND changes.kind = 'CONFIGURATION'
), present AS (
    SELECT
        c.id, c.application_id, c.application, c.name, c.comments, c.config, c.config_bytes, c.schema, c.schema_version,
        c.version, commits.revision, coalesce(nullif(c.create_time, c.update_time), commits.time) AS create_time,
        commits.time AS update_time, c.created_by, c.updated_by
    FROM configurations AS c
    JOIN commits ON commits.id = c.commit_id
    WHERE ($2::text IS NULL OR c.application = (SELECT name FROM applications WHERE id = $2))
        AND ($3::text IS NULL OR c.application = $3)
        AND ($4 = '' OR starts_with(c.name, $4))
        AND ($5::text[] IS NULL OR c.name = ANY ($5))
        AND ($13::text IS NULL OR c.schema = $13)
        AND ($14::bigint IS NULL OR c.schema_version = $14)
        AND ($6::jsonb IS NULL OR c.config @> $6)
        AND ($15::text[] IS NULL OR c.application = ANY (ARRAY(SELECT name FROM applications WHERE id = ANY ($15))))
        AND CASE
            WHEN $15::text[] IS NULL OR c.application_id = ANY ($15) THEN $7::jsonpath IS NULL OR c.config @@ $7
            ELSE false
        END
        AND ($8::text IS NULL OR (c.application, c.name) > ($8, $9))
        AND c.id NOT IN (SELECT resource_id FROM touched)
    ORDER BY c.application, c.name
    LIMIT $10
), past AS (
    SELECT
        latest.resource_id, latest.application_id, latest.application, latest.name, latest.comments, latest.content,
        latest.content_bytes, latest.schema, latest.schema_version, latest.version, latest.revision,
        coalesce(nullif(latest.create_time, latest.time), latest.commit_time), latest.commit_time, latest.created_by, latest.actor
    FROM touched
    CROSS JOIN LATERAL (
        SELECT changes.*
        FROM shown, changes
        WHERE changes.kind = 'CONFIGURATION' AND changes.resource_id = touched.resource_id
            AND changes.revision <= shown.revision
        ORDER BY changes.version DESC
        LIMIT 1
    ) AS latest
    WHERE latest.operation <> 'DELETED'
        AND ($2::text IS NULL OR latest.application_id = $2)
        AND ($3::text IS NULL OR latest.application = $3)
        AND ($4 = '' OR starts_with(latest.name, $4))
        AND ($5::text[] IS NULL OR latest.name = ANY ($5))
        AND ($13::text IS NULL OR latest.schema = $13)
        AND ($14::bigint IS NULL OR latest.schema_version = $14)
        AND ($6::jsonb IS NULL OR latest.content @> $6)
        AND CASE
            WHEN $15::text[] IS NULL OR latest.application_id = ANY ($15) THEN $7::jsonpath IS NULL OR latest.content @@ $7
            ELSE false
        END
        AND ($8::text IS NULL OR (latest.application, latest.name) > ($8, $9))
), page AS (
    SELECT * FROM present
    UNION ALL
    SELECT * FROM past
    ORDER BY application, name
    LIMIT $10
), measured AS (
    SELECT
        page.*,
        count(*) OVER () AS rows_found,
        sum(page.config_bytes) OVER (ORDER BY page.application, page.name) - page.config_bytes AS bytes_before
    FROM page
)
SELECT
    shown.revision AS shown_revision, shown.head AS head_revision, shown.compacted AS compacted_revision,
    m.id, m.application_id, m.application, m.name, m.comments, CASE WHEN $11 THEN m.config END AS config,
    m.config_bytes, m.schema, m.schema_version, m.version, m.revision,
    m.create_time, m.update_time, m.created_by, m.updated_by, m.rows_found, NULL::bigint AS place
FROM shown
LEFT JOIN measured AS m ON NOT $11 OR m.bytes_before = 0 OR m.bytes_before + m.config_bytes <= $12
ORDER BY m.application, m.name;

-- name: list_past
-- Like list, at revision $1, but key by key: what changed elsewhere since costs nothing. $2: ids of the applications to
-- show (null: all). $3: name of the application. $14: keys to examine at most; if there may be more, the last one is
-- returned even if nothing is shown there, because the next page continues after it.
WITH shown AS MATERIALIZED (
    SELECT counter.revision AS head, compaction.revision AS compacted
    FROM revision_counter AS counter
    CROSS JOIN compaction
), owners AS MATERIALIZED (
    -- The names that these applications had.
    SELECT owner.application
    FROM unnest($2::text[]) AS ids (id)
    CROSS JOIN LATERAL (
        SELECT r.name AS application
        FROM change_records AS r
        WHERE r.kind = 'APPLICATION' AND r.resource_id = ids.id AND r.version = version_at('APPLICATION', ids.id, $1)
            AND r.operation <> 'DELETED'
        LIMIT 1
    ) AS owner
    WHERE $3::text IS NULL OR owner.application = $3
    UNION ALL
    SELECT $3 WHERE $2::text[] IS NULL AND $3 IS NOT NULL
), keys AS (
    -- Each configuration of the past still has its key, or gave it up.
    SELECT application, name, row_number() OVER (ORDER BY application, name) AS place
    FROM (
        (
            SELECT owners.application, wanted.name
            FROM owners
            CROSS JOIN unnest($5::text[]) AS wanted (name)
            WHERE $8::text IS NULL OR (owners.application, wanted.name) > ($8, $9)
        )
        UNION ALL
        (
            SELECT owners.application, known.name
            FROM owners
            CROSS JOIN LATERAL (
                SELECT name
                FROM (
                    (
                        SELECT c.name
                        FROM configurations AS c
                        WHERE c.application = owners.application AND starts_with(c.name, $4)
                            AND c.name > CASE WHEN owners.application = $8 THEN $9 ELSE '' END
                        ORDER BY c.name
                        LIMIT $14
                    )
                    UNION
                    (
                        SELECT DISTINCT r.previous_name
                        FROM change_records AS r
                        WHERE r.previous_application = owners.application AND starts_with(r.previous_name, $4)
                            AND r.previous_name > CASE WHEN owners.application = $8 THEN $9 ELSE '' END
                            AND r.kind = 'CONFIGURATION'
                            AND (r.operation = 'DELETED' OR r.previous_application <> r.application OR r.previous_name <> r.name)
                        ORDER BY r.previous_name
                        LIMIT $14
                    )
                ) AS either
                ORDER BY name
                LIMIT $14
            ) AS known
            WHERE $5 IS NULL AND ($8 IS NULL OR owners.application >= $8)
            ORDER BY owners.application, known.name
            LIMIT $14
        )
        UNION ALL
        (
            SELECT application, name
            FROM (
                (
                    SELECT c.application, c.name
                    FROM configurations AS c
                    WHERE $2 IS NULL AND $3 IS NULL AND ($8 IS NULL OR (c.application, c.name) > ($8, $9))
                    ORDER BY c.application, c.name
                    LIMIT $14
                )
                UNION
                (
                    SELECT DISTINCT r.previous_application, r.previous_name
                    FROM change_records AS r
                    WHERE $2 IS NULL AND $3 IS NULL
                        AND ($8 IS NULL OR (r.previous_application, r.previous_name) > ($8, $9))
                        AND r.kind = 'CONFIGURATION'
                        AND (r.operation = 'DELETED' OR r.previous_application <> r.application OR r.previous_name <> r.name)
                    ORDER BY r.previous_application, r.previous_name
                    LIMIT $14
                )
            ) AS either
        )
    ) AS candidates
    ORDER BY application, name
    LIMIT $14
), page AS (
    SELECT
        keys.application, keys.name, keys.place, state.resource_id, state.application_id, state.comments, state.content,
        state.content_bytes, state.schema, state.schema_version, state.version, state.revision,
        coalesce(nullif(state.create_time, state.time), state.commit_time) AS create_time, state.commit_time, state.created_by, state.actor,
        state.resource_id IS NOT NULL
        AND ($4 = '' OR starts_with(keys.name, $4))
        AND ($5 IS NULL OR keys.name = ANY ($5))
        AND ($12::text IS NULL OR state.schema IS NOT DISTINCT FROM $12)
        AND ($13::bigint IS NULL OR state.schema_version IS NOT DISTINCT FROM $13)
        AND ($6::jsonb IS NULL OR state.content @> $6)
        AND CASE
            WHEN $2 IS NULL OR state.application_id = ANY ($2)
                THEN $7::jsonpath IS NULL OR coalesce(state.content @@ $7, false)
            ELSE false
        END AS chosen
    FROM keys
    LEFT JOIN LATERAL (
        SELECT c.id, CASE WHEN commits.revision <= $1 THEN c.version END AS version
        FROM configurations AS c
        JOIN commits ON commits.id = c.commit_id
        WHERE c.application = keys.application AND c.name = keys.name
        LIMIT 1
    ) AS present ON true
    LEFT JOIN LATERAL (
        -- The first that gave up the key since had it.
        SELECT r.resource_id AS id
        FROM change_records AS r
        JOIN commits ON commits.id = r.commit_id
        WHERE present.version IS NULL AND r.previous_application = keys.application AND r.previous_name = keys.name
            AND r.kind = 'CONFIGURATION'
            AND (r.operation = 'DELETED' OR r.previous_application <> r.application OR r.previous_name <> r.name)
            AND commits.revision > $1
        ORDER BY commits.revision, r.ordinal
        LIMIT 1
    ) AS gone ON true
    LEFT JOIN LATERAL (
        SELECT r.*, commits.revision, commits.time AS commit_time
        FROM change_records AS r
        JOIN commits ON commits.id = r.commit_id
        WHERE r.kind = 'CONFIGURATION' AND r.resource_id = coalesce(gone.id, present.id)
            AND r.version = coalesce(
                present.version, version_at('CONFIGURATION', coalesce(gone.id, present.id), $1)
            )
            AND r.operation <> 'DELETED' AND r.application = keys.application AND r.name = keys.name
        LIMIT 1
    ) AS state ON true
), shortened AS (
    SELECT * FROM page WHERE chosen OR place = $14 ORDER BY application, name LIMIT $10
), measured AS (
    SELECT
        shortened.*,
        count(*) OVER () AS rows_found,
        sum(CASE WHEN chosen THEN content_bytes ELSE 0 END) OVER (ORDER BY application, name)
        - CASE WHEN chosen THEN content_bytes ELSE 0 END AS bytes_before
    FROM shortened
)
SELECT
    $1::bigint AS shown_revision, shown.head AS head_revision, shown.compacted AS compacted_revision,
    CASE WHEN m.chosen THEN m.resource_id END AS id, m.application_id, m.application, m.name, m.comments,
    CASE WHEN $11 AND m.chosen THEN m.content END AS config, m.content_bytes AS config_bytes, m.schema, m.schema_version,
    m.version, m.revision, m.create_time, m.commit_time AS update_time, m.created_by, m.actor AS updated_by, m.rows_found, m.place
FROM shown
LEFT JOIN measured AS m ON NOT $11 OR m.bytes_before = 0 OR m.bytes_before + m.content_bytes <= $15 OR NOT m.chosen
ORDER BY m.application, m.name;
