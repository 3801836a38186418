-- Grants a role that owns nothing what the service needs, and revokes all else on our tables. `configsvc migrate` runs
-- this for the role in CONFIGSVC_SERVICE_ROLE. By hand, the owner of the tables runs it after each migration:
--   psql -v role=configsvc_service -f service_role.sql postgresql://owner@…

BEGIN;

REVOKE ALL ON
    _pogo_migration, _pogo_version, application_sources, applications, applied_configurations, change_records, changes, commit_order, commits, compaction, configurations,
    function_digest, log_identity, operation_items, operations, pgqueuer, pgqueuer_log, pgqueuer_schedules, pgqueuer_statistics,
    requests, revision_counter, role_bindings, schema_references, schema_versions, schemas, source_leases
FROM :"role";
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM :"role";

GRANT USAGE ON SCHEMA public TO :"role";

-- The resources that callers change. Triggers write the log with the rights of the owner.
GRANT SELECT, INSERT, UPDATE, DELETE ON applications, configurations, schemas, role_bindings TO :"role";
GRANT SELECT, INSERT ON schema_versions TO :"role";
GRANT SELECT, INSERT, DELETE ON schema_references TO :"role";
GRANT SELECT, INSERT, UPDATE, DELETE ON requests, operations, operation_items TO :"role";
GRANT SELECT, INSERT, UPDATE, DELETE ON application_sources, applied_configurations, source_leases TO :"role";

-- The log, which compaction shortens.
GRANT SELECT, DELETE ON change_records, commits TO :"role";
GRANT SELECT, UPDATE ON compaction TO :"role";
GRANT SELECT ON changes, log_identity, revision_counter TO :"role";

-- The queue of pgqueuer, which checks at the start that all of its tables exist.
GRANT SELECT, INSERT, UPDATE, DELETE ON pgqueuer, pgqueuer_log TO :"role";
GRANT SELECT ON pgqueuer_schedules, pgqueuer_statistics TO :"role";
GRANT USAGE ON SEQUENCE pgqueuer_id_seq TO :"role";

-- The check that no sequence is behind its table.
GRANT SELECT ON SEQUENCE commit_ids TO :"role";

-- The check for pending migrations.
GRANT SELECT ON _pogo_migration, function_digest TO :"role";

-- The right to write in the name of callers, and the function that does it for many of them.
GRANT EXECUTE ON FUNCTION speak_for_callers, write_configurations TO :"role";

COMMIT;
