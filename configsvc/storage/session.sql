-- name: is_sound
-- One row if the session can be relied on, else none.
SELECT
WHERE getdatabaseencoding() = 'UTF8'
    AND current_setting('client_encoding') = 'UTF8'
    AND current_setting('session_replication_role') = 'origin'
    AND NOT pg_is_in_recovery();

-- name: facts
SELECT
    current_database() AS database, session_user::text AS role, getdatabaseencoding()::text AS encoding,
    current_setting('client_encoding') AS client_encoding,
    current_setting('session_replication_role') AS replication_role, pg_is_in_recovery() AS is_replica;
