-- name: lock
SELECT application_id, repository, path, commit, version, apply_time, applied_by
FROM application_sources
WHERE application_id = $1
FOR UPDATE;

-- name: insert
-- No row if the application got a source meanwhile.
INSERT INTO application_sources (application_id, repository, path, commit, version, apply_time, applied_by)
VALUES ($1, $2, $3, $4, 1, clock_timestamp(), $5)
ON CONFLICT (application_id) DO NOTHING
RETURNING application_id, repository, path, commit, version, apply_time, applied_by;

-- name: update
UPDATE application_sources
SET commit = $2, version = version + 1, apply_time = clock_timestamp(), applied_by = $3
WHERE application_id = $1
RETURNING application_id, repository, path, commit, version, apply_time, applied_by;

-- name: delete
DELETE FROM application_sources WHERE application_id = $1;

-- name: marked
-- Those of the configurations with the ids $2 that have a mark.
SELECT configuration_id FROM applied_configurations WHERE application_id = $1 AND configuration_id = ANY ($2::text[]);

-- name: count_marks
SELECT count(*) FROM applied_configurations WHERE application_id = $1;

-- name: mark
-- The configurations as this transaction leaves them. Marks that say the same already stay as they are.
INSERT INTO applied_configurations AS mark (application_id, configuration_id, version, name)
SELECT c.application_id, c.id, c.version, c.name
FROM configurations AS c
WHERE c.id = ANY ($2::text[]) AND c.application_id = $1
ON CONFLICT (application_id, configuration_id) DO UPDATE
SET version = excluded.version, name = excluded.name
WHERE (mark.version, mark.name) IS DISTINCT FROM (excluded.version, excluded.name);

-- name: unmark
DELETE FROM applied_configurations WHERE application_id = $1 AND configuration_id = ANY ($2::text[]);

-- name: unmark_gone
-- The marks with the names $2 of configurations that do not exist.
DELETE FROM applied_configurations AS mark
WHERE mark.application_id = $1 AND mark.name = ANY ($2::text[])
    AND NOT EXISTS (SELECT FROM configurations AS c WHERE c.id = mark.configuration_id);

-- name: list
-- At most $5 sources after that of the application $4: of the applications $1 (null: any), the repository $2 and the path
-- $3 (null: any).
-- The marks of the page are counted together.
WITH page AS (
    SELECT
        s.application_id, a.name AS application, s.repository, s.path, s.commit, s.version, s.apply_time, s.applied_by
    FROM application_sources AS s
    JOIN applications AS a ON a.id = s.application_id
    WHERE ($1::text[] IS NULL OR s.application_id = ANY ($1)) AND ($2::text IS NULL OR s.repository = $2)
        AND ($3::text IS NULL OR s.path = $3) AND ($4::text IS NULL OR s.application_id > $4)
    ORDER BY s.application_id
    LIMIT $5
), counted AS (
    SELECT application_id, count(*) AS applied_count
    FROM applied_configurations
    WHERE application_id = ANY (ARRAY(SELECT application_id FROM page))
    GROUP BY application_id
)
SELECT page.*, coalesce(counted.applied_count, 0) AS applied_count
FROM page
LEFT JOIN counted USING (application_id)
ORDER BY page.application_id;

-- name: list_marks
-- At most $4 marks after that of the configuration $3, and the source; nulls if the application has none. No row if the
-- application with the id $1 or the name $2 does not exist.
SELECT a.id AS application_id, s.version AS source_version, s.apply_time, mark.configuration_id, mark.version, mark.name
FROM applications AS a
LEFT JOIN application_sources AS s ON s.application_id = a.id
LEFT JOIN LATERAL (
    SELECT m.configuration_id, m.version, m.name
    FROM applied_configurations AS m
    WHERE m.application_id = a.id AND ($3::text IS NULL OR m.configuration_id > $3)
    ORDER BY m.configuration_id
    LIMIT $4
) AS mark ON true
WHERE a.id = $1 OR a.name = $2
ORDER BY mark.configuration_id;
