-- name: server
-- reset_val: of the role, the database or the configuration file, whatever the session has set.
SELECT
    current_setting('server_version_num')::integer / 10000 AS version,
    (SELECT reset_val FROM pg_settings WHERE name = 'search_path') AS search_path;

-- name: role_without_rights
SELECT CASE
    WHEN writes_as_service() AND has_function_privilege('write_configurations'::regproc, 'EXECUTE') THEN ''
    ELSE session_user::text
END;

-- name: sequences_behind
-- The sequences that would repeat values of their tables, as after logical replication, which does not copy sequences.
-- Those that the role may not read are left out.
SELECT name, last_value, greatest_value, remedy
FROM (
    SELECT
        name,
        CASE WHEN has_sequence_privilege(name, 'USAGE, SELECT') THEN coalesce(pg_sequence_last_value(name), 0) END AS last_value,
        greatest_value,
        format('SELECT setval(%L, %s)', name, greatest_value) AS remedy
    FROM (
        VALUES
        ('public.commit_ids', greatest((SELECT max(id) FROM commits), (SELECT max(commit_id) FROM change_records))),
        (pg_get_serial_sequence('pgqueuer', 'id'), (SELECT max(id) FROM pgqueuer)),
        (pg_get_serial_sequence('pgqueuer_log', 'id'), (SELECT max(id) FROM pgqueuer_log)),
        (pg_get_serial_sequence('pgqueuer_schedules', 'id'), (SELECT max(id) FROM pgqueuer_schedules)),
        (pg_get_serial_sequence('pgqueuer_statistics', 'id'), (SELECT max(id) FROM pgqueuer_statistics))
    ) AS sequences (name, greatest_value)
) AS found
WHERE last_value < greatest_value;
