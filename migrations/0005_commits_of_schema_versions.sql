-- Compaction asks of each commit whether a schema version refers to it
-- depends: 0004_schemas

-- migrate: apply

-- One transaction, at a start for which the service is not there yet.
-- squawk-ignore-file require-concurrent-index-creation
CREATE INDEX schema_versions_commit_id ON schema_versions (commit_id);

-- migrate: rollback

-- squawk-ignore require-concurrent-index-deletion
DROP INDEX schema_versions_commit_id;
