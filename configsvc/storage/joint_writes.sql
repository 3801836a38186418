-- name: find
-- The configurations with the ids $1 or the applications and names $2 and $3, side by side.
SELECT ref.place, c.id, c.application_id, c.application, c.name, c.schema, c.config_bytes
FROM unnest($1::text[]) WITH ORDINALITY AS ref (id, place)
JOIN configurations AS c ON c.id = ref.id
UNION ALL
SELECT ref.place, c.id, c.application_id, c.application, c.name, c.schema, c.config_bytes
FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS ref (application, name, place)
JOIN configurations AS c ON c.application = ref.application AND c.name = ref.name;

-- name: share_applications
-- Those with the ids $1 or the names $2, of those with the ids $3, null for all: nobody waits for who holds another.
SELECT id, name FROM applications
WHERE (id = ANY ($1::text[]) OR name = ANY ($2::text[])) AND ($3::text[] IS NULL OR id = ANY ($3))
ORDER BY id
FOR KEY SHARE;

-- name: lock
-- With the configs of $2 alone.
SELECT
    id, application_id, application, name, comments, CASE WHEN id = ANY ($2::text[]) THEN config END AS config, schema,
    schema_version, version, 0::bigint AS revision, create_time, update_time, created_by, updated_by
FROM configurations
WHERE id = ANY ($1::text[])
ORDER BY id
FOR UPDATE;

-- name: outgrown
-- Which of the configs are too large as PostgreSQL writes them, without exponents.
SELECT new.place
FROM unnest($1::text[]) WITH ORDINALITY AS new (config, place)
WHERE octet_length(new.config::jsonb::text) > 1048576;
