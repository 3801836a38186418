-- A role for the service that owns nothing
-- depends: 0012_origins

-- migrate: apply

-- Does nothing. Who may execute it may speak for callers: the service's role, see service_role.sql. A right of this database, unlike membership in a
-- role, is for its owner alone to give, and says nothing about the other databases of the server.
CREATE FUNCTION speak_for_callers() RETURNS void
LANGUAGE sql
RETURN NULL::void;

REVOKE EXECUTE ON FUNCTION speak_for_callers FROM PUBLIC;

-- Who may speak for callers: sessions of the service, whose role owns the tables, is a member of the role that does, or was given the right. Asked for each
-- row, because the setting can change while a statement runs.
CREATE OR REPLACE FUNCTION writes_as_service() RETURNS boolean
LANGUAGE sql STABLE
RETURN coalesce(current_setting('configsvc.writer', true) = 'service', false)
    AND (
        has_function_privilege(session_user, 'speak_for_callers()'::regprocedure, 'EXECUTE')
        OR pg_has_role(session_user, (SELECT relowner FROM pg_class WHERE oid = 'applications'::regclass), 'MEMBER')
    );

-- migrate: rollback

CREATE OR REPLACE FUNCTION writes_as_service() RETURNS boolean
LANGUAGE sql STABLE
RETURN coalesce(current_setting('configsvc.writer', true) = 'service', false)
    AND pg_has_role(session_user, (SELECT relowner FROM pg_class WHERE oid = 'applications'::regclass), 'MEMBER');

DROP FUNCTION speak_for_callers;
