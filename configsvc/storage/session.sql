-- Sets up a session, in one round trip, and refuses one that the service cannot rely on. Not in the startup message: poolers
-- drop what is there, or refuse it. The variable is a JSON object.

SELECT set_config(key, value, false)
FROM json_each_text(:'settings')
-- A version of PostgreSQL may lack some of them; those of the service do not exist before they are set.
WHERE key LIKE '%.%' OR current_setting(key, true) IS NOT NULL;

DO $$
BEGIN
    IF getdatabaseencoding() <> 'UTF8' THEN
        RAISE EXCEPTION
            'the database % has the encoding %: the service needs one with UTF8 (CREATE DATABASE … TEMPLATE template0 ENCODING ''UTF8'')',
            current_database(), getdatabaseencoding()
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF current_setting('client_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'client_encoding is % and not UTF8: let the pooler pass it on', current_setting('client_encoding')
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF current_setting('session_replication_role') <> 'origin' THEN
        BEGIN
            PERFORM set_config('session_replication_role', 'origin', false);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE EXCEPTION
                'session_replication_role is % for the role %, so that no trigger would write the log: ALTER ROLE % RESET session_replication_role',
                current_setting('session_replication_role'), session_user, quote_ident(session_user)
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END;
    END IF;
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'the server is a replica, which cannot be written: use the primary, or promote this one'
            USING ERRCODE = 'cannot_connect_now';
    END IF;
END
$$;
