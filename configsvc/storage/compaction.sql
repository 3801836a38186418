-- name: take
-- A process that does not get the lock leaves the work to the one that has it.
SELECT revision, ordinal FROM compaction FOR UPDATE SKIP LOCKED;

-- name: remove
-- Pass at most $5 records from revision $1, ordinal $2 on, of commits older than $3 days, and remove at most $5 records
-- that they make obsolete: all but the newest $4 versions of a live resource, everything of a deleted one. Returns the
-- position to continue from and the commits that lost records; nulls if there was nothing to pass.
WITH next_commits AS (
    -- Up to the first commit that is too young, because clocks may have been set back.
    SELECT id, revision, bool_and(time < now() - $3 * interval '1 day') OVER (ORDER BY revision) AS is_old
    FROM (SELECT id, revision, time FROM commits WHERE revision >= $1 ORDER BY revision LIMIT $5::bigint + 1) AS bounded
), passed AS MATERIALIZED (
    SELECT
        next_commits.revision, records.ordinal, records.kind, records.resource_id,
        CASE WHEN records.operation = 'DELETED' THEN records.version ELSE records.version - $4 END AS outdated
    FROM next_commits
    CROSS JOIN LATERAL (
        SELECT *
        FROM change_records
        WHERE commit_id = next_commits.id AND ordinal >= CASE WHEN next_commits.revision = $1 THEN $2::integer ELSE 0 END
        ORDER BY ordinal
        LIMIT $5
    ) AS records
    WHERE next_commits.is_old
    ORDER BY next_commits.revision, records.ordinal
    LIMIT $5
), outdating AS (
    -- Each one takes only what earlier records of the same resource leave.
    SELECT passed.*, coalesce(max(outdated) OVER before, 0) AS removed_before
    FROM passed
    WINDOW before AS (
        PARTITION BY kind, resource_id ORDER BY revision, ordinal ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
), victims AS MATERIALIZED (
    -- Oldest first, so that the newest record of a deleted resource stays until last: a reinserted id continues its
    -- count.
    SELECT outdating.revision, outdating.ordinal, records.version, records.place
    FROM outdating
    CROSS JOIN LATERAL (
        SELECT version, ctid AS place
        FROM change_records
        WHERE kind = outdating.kind AND resource_id = outdating.resource_id
            AND version > outdating.removed_before AND version <= outdating.outdated
        ORDER BY version
        LIMIT $5
    ) AS records
    ORDER BY outdating.revision, outdating.ordinal, records.version
    LIMIT $5
), removed AS (
    DELETE FROM change_records WHERE ctid = ANY (ARRAY(SELECT place FROM victims))
    RETURNING commit_id
), reached AS (
    -- A record that may make more obsolete than fitted is passed again.
    SELECT revision, ordinal FROM victims WHERE (SELECT count(*) FROM victims) = $5
    UNION ALL
    SELECT revision, ordinal + 1 FROM passed WHERE (SELECT count(*) FROM victims) < $5
    ORDER BY revision DESC, ordinal DESC
    LIMIT 1
)
SELECT
    reached.revision, reached.ordinal,
    (SELECT count(*) FROM removed) AS removed, ARRAY(SELECT DISTINCT commit_id FROM removed) AS commit_ids
FROM (SELECT) AS always
LEFT JOIN reached ON true;

-- name: remove_commits
-- Out of commits $1 and the one with revision $2, delete those before revision $3 that have no record and no row left.
-- The newest records of live resources and the commits of schema versions stay, and so does the commit of the compacted
-- revision, so that readers up to it can identify the history.
DELETE FROM commits
WHERE id = ANY ($1::bigint[] || ARRAY(SELECT id FROM commits WHERE revision = $2)) AND revision < $3
    AND NOT EXISTS (SELECT FROM change_records WHERE commit_id = commits.id)
    AND NOT EXISTS (SELECT FROM schema_versions WHERE commit_id = commits.id);

-- name: move
UPDATE compaction SET revision = $1, ordinal = $2;
