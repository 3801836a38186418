-- name: look
-- What each of some writes needs to be planned, in their order, without locks. $1: ids of configurations, or $2, $3: their
-- applications and names. $4: whether to return the config. $5: ids of applications, or $6: their names. $7: names of
-- schemas; instead of null, a configuration comes with its own. fits: configs are returned until they exceed $8 bytes.
SELECT
    coalesce(sum(c.config_bytes) FILTER (WHERE w.with_config) OVER in_order, 0) < $8::bigint AS fits,
    a.id AS owner_id, a.name AS owner, s.id AS pin_id, s.name AS pin, s.latest_version,
    c.id, c.application_id, c.application, c.name, c.comments,
    CASE
        WHEN w.with_config AND coalesce(sum(c.config_bytes) FILTER (WHERE w.with_config) OVER in_order, 0) < $8::bigint
            THEN c.config
    END AS config,
    c.schema, c.schema_version, c.version, commits.revision,
    coalesce(nullif(c.create_time, c.update_time), commits.time) AS create_time, commits.time AS update_time, c.created_by,
    c.updated_by
FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::text[], $7::text[]) WITH ORDINALITY AS w (
    id, application, name, with_config, owner_id, owner, schema, place
)
LEFT JOIN configurations AS c ON c.id = coalesce(
    w.id, (SELECT k.id FROM configurations AS k WHERE k.application = w.application AND k.name = w.name)
)
LEFT JOIN commits ON commits.id = c.commit_id
LEFT JOIN applications AS a ON a.id = coalesce(w.owner_id, (SELECT k.id FROM applications AS k WHERE k.name = w.owner))
LEFT JOIN schemas AS s ON s.name = coalesce(w.schema, c.schema)
WINDOW in_order AS (ORDER BY w.place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
ORDER BY w.place;

-- name: write
SELECT outcomes, revision, commit_time
FROM write_configurations(
    $1, $2, $3, $4, $5, $6, $7, $8, $9::text[]::jsonb[], $10, $11, $12, $13, $14::text[]::jsonb[], $15, $16::text[]::jsonb[],
    $17
);
