-- name: acquire
-- No row if another session changed the lease after this statement began: found would show what it was before.
-- A lease that ends later than any can ($7 seconds from now) is from before the clock was set back, and has expired.
-- acquired is null if it would be one more, and the actor has $8 already. Just then these are counted.
WITH room AS (
    SELECT
        EXISTS (SELECT FROM source_leases WHERE key = $1)
        OR (SELECT count(*) FROM (SELECT FROM source_leases WHERE actor = $2 LIMIT $8) AS counted) < $8 AS is_left
), taken AS (
    INSERT INTO source_leases AS lease (key, actor, repository, path, holder, expire_time)
    SELECT $1, $2, $3, $4, $5, clock_timestamp() + $6::double precision * interval '1 second'
    FROM room
    WHERE is_left
    ON CONFLICT (key) DO UPDATE
    SET holder = excluded.holder, expire_time = excluded.expire_time
    WHERE lease.holder = excluded.holder OR lease.expire_time <= clock_timestamp()
        OR lease.expire_time > clock_timestamp() + $7::double precision * interval '1 second'
    RETURNING true AS acquired, holder, expire_time
), found AS (
    SELECT * FROM taken
    UNION ALL
    SELECT false, holder, expire_time FROM source_leases
    WHERE key = $1 AND holder <> $5 AND expire_time > clock_timestamp() AND NOT EXISTS (SELECT FROM taken)
    UNION ALL
    SELECT null, null, null FROM room WHERE NOT is_left
)
SELECT
    acquired, holder, expire_time,
    greatest(extract(epoch FROM expire_time - clock_timestamp()), 0)::double precision AS remaining_seconds
FROM found;

-- name: release
DELETE FROM source_leases WHERE key = $1 AND holder = $2
RETURNING expire_time > clock_timestamp();

-- name: purge
DELETE FROM source_leases
WHERE key IN (
    SELECT key FROM source_leases WHERE expire_time < clock_timestamp()
    ORDER BY expire_time
    LIMIT $1
    FOR UPDATE SKIP LOCKED
);
