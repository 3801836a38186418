-- name: claim
INSERT INTO requests (request_id, fingerprint, resource_id, version)
VALUES ($1, $2, '', 0)
ON CONFLICT (request_id) DO UPDATE
SET fingerprint = excluded.fingerprint, resource_id = '', version = 0, create_time = excluded.create_time
WHERE requests.create_time < now() - interval '24 hours'
RETURNING true;

-- name: earlier
SELECT fingerprint, resource_id, version FROM requests WHERE request_id = $1;

-- name: complete
UPDATE requests SET resource_id = $2, version = $3 WHERE request_id = $1;

-- name: purge
DELETE FROM requests
WHERE request_id IN (
    SELECT request_id FROM requests WHERE create_time < now() - interval '24 hours' ORDER BY create_time LIMIT $1
);
