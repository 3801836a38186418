-- name: changes
-- For each condition (parallel arrays of its number $1, the id $2 or the name $3 of its application, its first and last
-- name $4 and $5, and a revision $6): the latest revision after that which changed one of its configurations, if any. $7:
-- ids of applications that count (null: all). In the row without a condition, the compacted revision.
WITH wanted AS (
    SELECT *
    FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
        AS wanted (condition, application_id, application, first_name, last_name, since)
), named AS MATERIALIZED (
    SELECT condition, application_id, application, first_name, last_name, since
    FROM wanted
    WHERE application IS NOT NULL
    UNION ALL
    -- All names that the application had.
    SELECT w.condition, w.application_id, known.name, w.first_name, w.last_name, w.since
    FROM wanted AS w
    CROSS JOIN LATERAL (
        SELECT name FROM applications WHERE id = w.application_id
        UNION
        SELECT name FROM change_records WHERE kind = 'APPLICATION' AND resource_id = w.application_id
        UNION
        SELECT previous_name FROM change_records WHERE kind = 'APPLICATION' AND resource_id = w.application_id
    ) AS known
    WHERE w.application_id IS NOT NULL
)
SELECT named.condition, max(commits.revision) AS revision
FROM named
CROSS JOIN LATERAL (
    -- What has changed is there, or gave up its key.
    SELECT c.commit_id, c.application_id
    FROM configurations AS c
    WHERE c.application = named.application AND c.name BETWEEN named.first_name AND named.last_name
    UNION ALL
    SELECT r.commit_id, r.previous_application_id
    FROM change_records AS r
    WHERE r.previous_application = named.application AND r.previous_name BETWEEN named.first_name AND named.last_name
        AND r.kind = 'CONFIGURATION'
        AND (r.operation = 'DELETED' OR r.previous_application <> r.application OR r.previous_name <> r.name)
) AS known
JOIN commits ON commits.id = known.commit_id
WHERE commits.revision > named.since
    AND (named.application_id IS NULL OR known.application_id = named.application_id)
    AND ($7::text[] IS NULL OR known.application_id = ANY ($7))
GROUP BY named.condition
UNION ALL
SELECT NULL, revision FROM compaction;

-- name: changes_after
-- The same from the log, without the changes of this transaction; a condition need not have an application.
WITH wanted AS MATERIALIZED (
    SELECT *
    FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
        AS wanted (condition, application_id, application, first_name, last_name, since)
), later AS MATERIALIZED (
    SELECT
        commits.revision, r.application_id, r.application, r.name, r.previous_application_id, r.previous_application,
        r.previous_name
    FROM commits
    CROSS JOIN LATERAL (
        -- Commit by commit, however many the planner expects: it does not know that they are few.
        SELECT * FROM change_records WHERE commit_id = commits.id AND kind = 'CONFIGURATION' OFFSET 0
    ) AS r
    WHERE commits.revision > (SELECT min(since) FROM wanted)
        AND commits.transaction IS DISTINCT FROM pg_current_xact_id()
)
SELECT w.condition, max(later.revision) AS revision
FROM wanted AS w
JOIN later ON
    later.revision > w.since
    AND (
        later.name BETWEEN w.first_name AND w.last_name
        AND (w.application_id IS NULL OR later.application_id = w.application_id)
        AND (w.application IS NULL OR later.application = w.application)
        AND ($7::text[] IS NULL OR later.application_id = ANY ($7))
        OR later.previous_name BETWEEN w.first_name AND w.last_name
        AND (w.application_id IS NULL OR later.previous_application_id = w.application_id)
        AND (w.application IS NULL OR later.previous_application = w.application)
        AND ($7 IS NULL OR later.previous_application_id = ANY ($7))
    )
GROUP BY w.condition
UNION ALL
SELECT NULL, revision FROM compaction;
