-- Who may write in the name of callers, and whom the log names for a deletion.

-- Does nothing. A role that may execute it may speak for callers: see service_role.sql. Only the owner of this database
-- can grant that, and it says nothing about other databases of the server; membership in a role would.
CREATE OR REPLACE FUNCTION speak_for_callers() RETURNS void
LANGUAGE sql
RETURN NULL::void;

REVOKE EXECUTE ON FUNCTION speak_for_callers FROM PUBLIC;

-- Return whether this session may speak for callers: it says so, and its role was granted the right, owns the tables, or is
-- a member of the owner. Checked for each row, because the setting can change while a statement runs.
CREATE OR REPLACE FUNCTION writes_as_service() RETURNS boolean
LANGUAGE sql STABLE
RETURN coalesce(current_setting('configsvc.writer', true) = 'service', false)
    AND (
        has_function_privilege(session_user, 'speak_for_callers()'::regprocedure, 'EXECUTE')
        OR pg_has_role(session_user, (SELECT relowner FROM pg_class WHERE oid = 'applications'::regclass), 'MEMBER')
    );

-- Return one field of the deletion of a resource. The service sets configsvc.deletion to a JSON object by resource id, * for
-- all others. Null for sessions that may not speak for callers.
CREATE OR REPLACE FUNCTION deletion_context(resource_id text, field text) RETURNS text
LANGUAGE sql STABLE
RETURN (
    SELECT coalesce(deletion -> resource_id, deletion -> '*') ->> field
    FROM (SELECT nullif(current_setting('configsvc.deletion', true), '')::jsonb AS deletion) AS setting
    WHERE writes_as_service()
);

-- Return all that configsvc.deletion says, one row for each resource id. Read once for a statement, not for each row:
-- deletions of many callers share a statement.
CREATE OR REPLACE FUNCTION deletion_contexts() RETURNS TABLE (resource_id text, actor text, reason text, request_id text, origin jsonb)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT explained.key, explained.value ->> 'actor', explained.value ->> 'reason', explained.value ->> 'request_id',
        explained.value -> 'origin'
    FROM jsonb_each(nullif(current_setting('configsvc.deletion', true), '')::jsonb) AS explained
    WHERE writes_as_service();
END;
