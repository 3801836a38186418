-- What had a key last: deletions and renames are found by the key that they gave up
-- depends: 0006_requests_of_many

-- migrate: apply

-- squawk-ignore-file require-concurrent-index-creation
CREATE INDEX change_records_given_up ON change_records (previous_application, previous_name)
WHERE kind = 'CONFIGURATION'
AND (operation = 'DELETED' OR previous_application <> application OR previous_name <> name);

-- migrate: rollback

DROP INDEX change_records_given_up;
