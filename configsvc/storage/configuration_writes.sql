-- name: find
-- The configurations with the ids $1, or the applications and names $2 and $3 (parallel arrays).
SELECT ref.place, c.id, c.application_id, c.application, c.name, c.schema, c.config_bytes
FROM unnest($1::text[]) WITH ORDINALITY AS ref (id, place)
JOIN configurations AS c ON c.id = ref.id
UNION ALL
SELECT ref.place, c.id, c.application_id, c.application, c.name, c.schema, c.config_bytes
FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS ref (application, name, place)
JOIN configurations AS c ON c.application = ref.application AND c.name = ref.name;

-- name: lock_or_wait
-- Only with the configs of $2.
SELECT
    id, application_id, application, name, comments, CASE WHEN id = ANY ($2::text[]) THEN config END AS config, schema,
    schema_version, version, 0::bigint AS revision, create_time, update_time, created_by, updated_by
FROM configurations
WHERE id = ANY ($1::text[])
ORDER BY id
FOR UPDATE;

-- name: share_or_wait
-- Those with the ids $1 or the names $2, restricted to the ids $3 (null: all), so that no one waits for locks on other
-- applications.
SELECT id, name FROM applications
WHERE (id = ANY ($1::text[]) OR name = ANY ($2::text[])) AND ($3::text[] IS NULL OR id = ANY ($3))
ORDER BY id
FOR KEY SHARE;

-- name: application_names
SELECT id, name FROM applications WHERE id = ANY ($1::text[]);

-- name: insert
-- In key order, so that two sessions with the same keys cannot deadlock. A restored configuration keeps its id.
INSERT INTO configurations (
    id, application_id, application, name, comments, config, schema, schema_version, updated_by, update_reason,
    update_request_id, update_origin
)
SELECT
    new.id, new.application_id, new.application, new.name, new.comments, new.config::jsonb, new.schema, new.schema_version,
    new.context ->> 'actor', new.context ->> 'reason', new.context ->> 'request_id', new.context -> 'origin'
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::text[]::jsonb[]
) AS new (id, application_id, application, name, comments, config, schema, schema_version, context)
ORDER BY new.application, new.name
ON CONFLICT DO NOTHING
RETURNING id, version, create_time, update_time, created_by, updated_by;

-- name: update
UPDATE configurations AS c
SET
    name = new.name, comments = new.comments, config = coalesce(new.config::jsonb, c.config), schema = new.schema,
    schema_version = new.schema_version, updated_by = new.context ->> 'actor', update_reason = new.context ->> 'reason',
    update_request_id = new.context ->> 'request_id', update_origin = new.context -> 'origin'
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[]::jsonb[]
) AS new (id, name, comments, config, schema, schema_version, context)
WHERE c.id = new.id
RETURNING c.id, c.version, c.create_time, c.update_time, c.created_by, c.updated_by;

-- name: delete
DELETE FROM configurations WHERE id = ANY ($1::text[])
RETURNING id, create_time_of(create_time, update_time, commit_id) AS create_time, now() AS time;

-- name: get_versions
-- Versions in the log, with their revisions; with configs if $3.
SELECT
    r.resource_id AS id, r.application_id, r.application, r.name, r.comments, CASE WHEN $3 THEN r.content END AS config,
    r.schema, r.schema_version, r.version, commits.revision,
    coalesce(nullif(r.create_time, r.time), commits.time) AS create_time, commits.time AS update_time, r.created_by,
    r.actor AS updated_by
FROM unnest($1::text[], $2::bigint[]) AS wanted (id, version)
JOIN change_records AS r ON r.kind = 'CONFIGURATION' AND r.resource_id = wanted.id AND r.version = wanted.version
JOIN commits ON commits.id = r.commit_id;

-- name: taken
SELECT c.application, c.name
FROM unnest($1::text[], $2::text[]) AS key (application, name)
JOIN configurations AS c ON c.application = key.application AND c.name = key.name;
