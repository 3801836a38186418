-- Indexes of the deletions of configurations, for lists that show deleted ones
-- depends: 0005_readable_operations

-- migrate: apply

-- Each is built in one pass over the log, during which writers wait.
-- squawk-ignore-file require-concurrent-index-creation, require-concurrent-index-deletion

CREATE INDEX change_records_deleted ON change_records (application, name, resource_id)
WHERE kind = 'CONFIGURATION' AND operation = 'DELETED';

CREATE INDEX change_records_deleted_of ON change_records (application_id, application, name, resource_id)
WHERE kind = 'CONFIGURATION' AND operation = 'DELETED';

-- migrate: rollback

DROP INDEX change_records_deleted_of;

DROP INDEX change_records_deleted;
