-- name: claim
-- In the order of ids, so that two sessions that claim the same ones cannot deadlock.
INSERT INTO requests (request_id, actor, fingerprint, resource_id, version)
SELECT call.request_id, call.actor, call.fingerprint, '', 0
FROM unnest($1::text[], $2::text[], $3::bytea[]) AS call (request_id, actor, fingerprint)
ORDER BY call.request_id, call.actor
ON CONFLICT (request_id, actor) DO UPDATE
SET
    fingerprint = excluded.fingerprint, resource_id = '', version = 0, answers = NULL, create_time = excluded.create_time
WHERE requests.create_time < now() - interval '24 hours'
RETURNING request_id, actor;

-- name: earlier
SELECT r.request_id, r.actor, r.fingerprint, r.resource_id, r.version, r.answers
FROM unnest($1::text[], $2::text[]) AS call (request_id, actor)
JOIN requests AS r ON r.request_id = call.request_id AND r.actor = call.actor
WHERE r.create_time >= now() - interval '24 hours';

-- name: is_done
SELECT EXISTS (
    SELECT FROM requests
    WHERE request_id = $1 AND actor = $2 AND fingerprint = $3 AND create_time >= now() - interval '24 hours'
);

-- name: complete
UPDATE requests
SET resource_id = done.resource_id, version = done.version, answers = done.answers::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[]) AS done (request_id, actor, resource_id, version, answers)
WHERE requests.request_id = done.request_id AND requests.actor = done.actor;

-- name: complete_many
UPDATE requests SET resource_id = $3, version = $4, answers = $5 WHERE request_id = $1 AND actor = $2;

-- name: purge
DELETE FROM requests
WHERE (request_id, actor) IN (
    SELECT request_id, actor FROM requests WHERE create_time < now() - interval '24 hours' ORDER BY create_time LIMIT $1
);
