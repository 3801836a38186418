-- name: claim
-- In the order of ids, so that two sessions that claim the same ones cannot deadlock.
INSERT INTO requests (request_id, fingerprint, resource_id, version)
SELECT call.request_id, call.fingerprint, '', 0
FROM unnest($1::text[], $2::bytea[]) AS call (request_id, fingerprint)
ORDER BY call.request_id
ON CONFLICT (request_id) DO UPDATE
SET
    fingerprint = excluded.fingerprint, resource_id = '', version = 0, answers = NULL, create_time = excluded.create_time
WHERE requests.create_time < now() - interval '24 hours'
RETURNING request_id;

-- name: earlier
SELECT request_id, fingerprint, resource_id, version, answers FROM requests WHERE request_id = ANY ($1::text[]);

-- name: is_done
SELECT EXISTS (
    SELECT FROM requests WHERE request_id = $1 AND fingerprint = $2 AND create_time >= now() - interval '24 hours'
);

-- name: complete
UPDATE requests
SET resource_id = done.resource_id, version = done.version
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS done (request_id, resource_id, version)
WHERE requests.request_id = done.request_id;

-- name: complete_many
UPDATE requests SET resource_id = $2, version = $3, answers = $4 WHERE request_id = $1;

-- name: release
DELETE FROM requests WHERE request_id = ANY ($1::text[]);

-- name: purge
DELETE FROM requests
WHERE request_id IN (
    SELECT request_id FROM requests WHERE create_time < now() - interval '24 hours' ORDER BY create_time LIMIT $1
);
