-- What the service needs in the database, for a role that owns nothing; run by the owner of the tables, after every migration:
--   psql -v role=configsvc_service -f service_role.sql postgresql://owner@…
-- `configsvc migrate` does it for the role in CONFIGSVC_SERVICE_ROLE. What else the role had of these tables is taken away.

BEGIN;

REVOKE ALL ON
    _pogo_migration, _pogo_version, applications, change_records, changes, commits, compaction, configurations, operation_items, operations, pgqueuer, pgqueuer_log,
    pgqueuer_schedules, pgqueuer_statistics, requests, revision_counter, role_bindings, schema_references, schema_versions, schemas
FROM :"role";
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM :"role";

GRANT USAGE ON SCHEMA public TO :"role";

-- What callers change. Triggers write the log of it, with the rights of the owner.
GRANT SELECT, INSERT, UPDATE, DELETE ON applications, configurations, schemas, role_bindings TO :"role";
GRANT SELECT, INSERT ON schema_versions TO :"role";
GRANT SELECT, INSERT, DELETE ON schema_references TO :"role";
GRANT SELECT, INSERT, UPDATE, DELETE ON requests, operations, operation_items TO :"role";

-- The log, which compaction shortens.
GRANT SELECT, DELETE ON change_records, commits TO :"role";
GRANT SELECT, UPDATE ON compaction TO :"role";
GRANT SELECT ON changes, revision_counter TO :"role";

-- The queue of pgqueuer, which wants to see all of its tables at the start.
GRANT SELECT, INSERT, UPDATE, DELETE ON pgqueuer, pgqueuer_log TO :"role";
GRANT SELECT ON pgqueuer_schedules, pgqueuer_statistics TO :"role";
GRANT USAGE ON SEQUENCE pgqueuer_id_seq TO :"role";

-- Which migrations there are.
GRANT SELECT ON _pogo_migration TO :"role";

-- Its sessions may say in whose name they write.
GRANT EXECUTE ON FUNCTION speak_for_callers TO :"role";

COMMIT;
