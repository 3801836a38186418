-- name: stage
INSERT INTO operations (id, kind, settings, actor, reason, request_id, origin, validate_only)
VALUES (
    $1, $2, $3, $4::jsonb ->> 'actor', $4::jsonb ->> 'reason', $4::jsonb ->> 'request_id', $4::jsonb -> 'origin', $5
);

-- name: keep_staging
-- The heartbeat of an upload, for housekeeping.
UPDATE operations SET update_time = now(), total_count = total_count + $2 WHERE id = $1 AND state = 'STAGING';

-- name: submit
UPDATE operations SET state = 'PENDING', create_time = now(), update_time = now() WHERE id = $1 AND state = 'STAGING'
RETURNING id;

-- name: get
-- Of the actor $2; null: of all. One of another actor costs the work of one that does not exist.
-- An operation that ends in its last commit ends at the time of that.
SELECT
    operations.*, coalesce(commits.revision, 0) AS revision,
    CASE WHEN end_time IS NOT NULL THEN greatest(end_time, commits.time) END AS shown_end_time
FROM operations
LEFT JOIN commits ON commits.id = operations.commit_id
WHERE operations.id = $1 AND operations.state <> 'STAGING' AND ($2::text IS NULL OR operations.actor = $2);

-- name: list
-- Newest first: ids begin with the time. $3: the actor, null for all.
SELECT
    operations.*, coalesce(commits.revision, 0) AS revision,
    CASE WHEN end_time IS NOT NULL THEN greatest(end_time, commits.time) END AS shown_end_time
FROM operations
LEFT JOIN commits ON commits.id = operations.commit_id
WHERE operations.state <> 'STAGING' AND ($1::text IS NULL OR operations.id < $1)
    AND ($3::text IS NULL OR operations.actor = $3)
ORDER BY operations.id DESC
LIMIT $2;

-- name: cancel
UPDATE operations
SET
    state = CASE state WHEN 'PENDING' THEN 'CANCELLED' ELSE 'CANCELLING' END,
    end_time = CASE state WHEN 'PENDING' THEN now() END,
    update_time = now()
WHERE id = $1 AND state IN ('PENDING', 'RUNNING');

-- name: lock
SELECT state FROM operations WHERE id = $1 AND state <> 'STAGING' FOR UPDATE;

-- name: delete_items
DELETE FROM operation_items
WHERE (operation_id, place) IN (SELECT operation_id, place FROM operation_items WHERE operation_id = $1 LIMIT $2);

-- name: delete
DELETE FROM operations WHERE id = $1;

-- name: hide
-- Hides it from callers; housekeeping removes its items in small steps.
UPDATE operations SET state = 'STAGING', update_time = '-infinity' WHERE id = $1;

-- name: expired
-- Operations that ended 7 days ago, and those whose items stopped arriving an hour ago.
SELECT id FROM operations
WHERE end_time < now() - interval '7 days' OR (state = 'STAGING' AND update_time < now() - interval '1 hour')
LIMIT 1;

-- name: take_up
-- The next attempt waits $3 seconds from the start of this one, twice as long each time, up to 16 times.
UPDATE operations
SET
    state = CASE state WHEN 'PENDING' THEN 'RUNNING' ELSE state END, run = $2, attempt_count = attempt_count + 1,
    next_attempt_time = now() + make_interval(secs => $3 * 2 ^ least(attempt_count, 4)), update_time = now()
WHERE id = $1 AND (
    (state IN ('PENDING', 'RUNNING') AND next_attempt_time <= now())
    OR state = 'CANCELLING'
)
RETURNING id;

-- name: seconds_to_attempt
SELECT extract(EPOCH FROM next_attempt_time - now())::double precision FROM operations
WHERE id = $1 AND state IN ('PENDING', 'RUNNING');

-- name: give_back
UPDATE operations SET attempt_count = attempt_count - 1, next_attempt_time = now(), update_time = now()
WHERE id = $1 AND run = $2 AND end_time IS NULL;

-- name: lock_queue_of
-- No one else changes which operations of the actor have jobs until the end of the transaction.
SELECT pg_advisory_xact_lock(hashtextextended('operations of ' || $1::text, 0));

-- name: count_unended
SELECT count(*) FROM operations WHERE actor = $1 AND end_time IS NULL AND state <> 'STAGING';

-- name: due
-- The actor's operations to enqueue, so that $2 have a job (null: all). A silent one that is not new has lost its job.
WITH unended AS (
    SELECT
        id, state, create_time, update_time, EXISTS (
            SELECT FROM pgqueuer WHERE pgqueuer.dedupe_key = operations.id AND pgqueuer.status IN ('queued', 'picked')
        ) AS has_job
    FROM operations
    WHERE actor = $1 AND end_time IS NULL AND state <> 'STAGING'
)
SELECT id FROM unended
WHERE NOT has_job AND (state = 'PENDING' OR update_time < now() - interval '1 minute')
ORDER BY create_time, id
LIMIT CASE WHEN $2::bigint IS NOT NULL THEN greatest(0, $2 - (SELECT count(*) FROM unended WHERE has_job)) END;

-- name: actor_of
SELECT actor FROM operations WHERE id = $1;

-- name: actors_without_job
-- Actors whose waiting or running operations have been silent for a minute, and have no job.
SELECT DISTINCT actor FROM operations
WHERE end_time IS NULL AND state <> 'STAGING' AND update_time < now() - interval '1 minute'
    AND NOT EXISTS (
        SELECT FROM pgqueuer WHERE pgqueuer.dedupe_key = operations.id AND pgqueuer.status IN ('queued', 'picked')
    );

-- name: standing
SELECT state FROM operations WHERE id = $1 AND run = $2;

-- name: set_total
UPDATE operations SET total_count = $3, update_time = now() WHERE id = $1 AND run = $2
RETURNING id;

-- name: advance
UPDATE operations
SET
    done_count = done_count + $3, failed_count = failed_count + $4, created_count = created_count + $5,
    updated_count = updated_count + $6, unchanged_count = unchanged_count + $7,
    commit_id = coalesce(commit_of_transaction(), commit_id), update_time = now()
WHERE id = $1 AND run = $2
RETURNING id;

-- name: recount
-- The items are the truth; progress before this was only for display.
UPDATE operations
SET
    done_count = counted.done, failed_count = counted.failed, created_count = counted.created,
    updated_count = counted.updated, unchanged_count = counted.done - counted.failed - counted.created - counted.updated,
    commit_id = coalesce(commit_of_transaction(), commit_id), update_time = now()
FROM (
    SELECT
        count(*) FILTER (WHERE state <> 'WAITING') AS done, count(*) FILTER (WHERE state = 'FAILED') AS failed,
        count(*) FILTER (WHERE change = 'CREATED') AS created, count(*) FILTER (WHERE change = 'UPDATED') AS updated
    FROM operation_items
    WHERE operation_id = $1
) AS counted
WHERE id = $1 AND run = $2
RETURNING failed_count;

-- name: finish
UPDATE operations SET state = $3, failure = $4, end_time = now(), update_time = now()
WHERE id = $1 AND run = $2 AND end_time IS NULL
RETURNING id;

-- name: list_items
-- At most $4 items within $5 bytes, and at least one; found tells whether there are more.
SELECT * FROM (
    SELECT
        place, application, application_id, name, expected_version, configuration_version, schema, schema_version, change,
        error, faults, before,
        CASE WHEN before IS NOT NULL THEN config END AS after,
        sum(octet_length(coalesce(before, '')) + octet_length(coalesce(config, '')) + octet_length(faults))
        OVER (ORDER BY place) AS bytes,
        row_number() OVER (ORDER BY place) AS number, count(*) OVER () AS found
    FROM (
        SELECT * FROM operation_items
        WHERE operation_id = $1 AND place > $2 AND state <> 'WAITING' AND (state = 'FAILED' OR NOT $3)
        ORDER BY place
        LIMIT $4 + 1
    ) AS page
) AS measured
WHERE (bytes <= $5 AND number <= $4) OR number = 1
ORDER BY place;

-- name: slice
-- Out of the $3 indexes after $2, the last one up to which waiting items have at most $4 bytes of config, not counting
-- the first; null if none wait.
SELECT max(place) FROM (
    SELECT
        place, sum(octet_length(coalesce(config, before))) OVER (ORDER BY place) AS bytes, row_number() OVER (ORDER BY place) AS number
    FROM operation_items
    WHERE operation_id = $1 AND place BETWEEN $2 + 1 AND $2 + $3 AND state = 'WAITING'
) AS measured
WHERE bytes <= $4 OR number = 1;

-- name: fail_duplicates
-- All but the first of the items with one key; an application without a name does not exist. No join: the planner expects one row for an operation that is newer than
-- the last ANALYZE, and would number all items again for each of them.
UPDATE operation_items
SET state = 'FAILED', error = 'INVALID', faults = $2, config = NULL
WHERE operation_id = $1 AND state = 'WAITING' AND place = ANY (ARRAY(
    SELECT place
    FROM (
        SELECT
            place, row_number() OVER (
                PARTITION BY application, CASE application WHEN '' THEN application_id END, name ORDER BY place
            ) AS number
        FROM operation_items
        WHERE operation_id = $1
    ) AS numbered
    WHERE number > 1
));

-- name: pinned
-- A slice, from index $2 to $3.
SELECT place, schema, schema_version, config FROM operation_items
WHERE operation_id = $1 AND place BETWEEN $2 AND $3 AND state = 'WAITING' AND schema IS NOT NULL
ORDER BY place;

-- name: fail_items
UPDATE operation_items AS i
SET state = 'FAILED', error = failed.error, faults = failed.faults, config = NULL
FROM unnest($2::bigint[], $3::text[], $4::text[]) AS failed (place, error, faults)
WHERE i.operation_id = $1 AND i.place = failed.place AND i.state = 'WAITING';

-- name: note_outcomes
-- Outcomes of a transaction that was rolled back.
UPDATE operation_items AS i
SET
    state = CASE WHEN noted.error IS NULL THEN 'DONE' ELSE 'FAILED' END, change = noted.change, error = noted.error,
    faults = noted.faults, config = CASE WHEN i.before IS NOT NULL THEN i.config END,
    configuration_version = noted.current_version
FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[]) AS noted (
    place, change, error, faults, current_version
)
WHERE i.operation_id = $1 AND i.place = noted.place;

-- name: purge_log_of_jobs
DELETE FROM pgqueuer_log
WHERE id IN (SELECT id FROM pgqueuer_log WHERE created < now() - interval '7 days' ORDER BY created LIMIT $1);
