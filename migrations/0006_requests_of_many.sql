-- Calls that write many resources are answered again like those that write one
-- depends: 0005_commits_of_schema_versions

-- migrate: apply

-- Of a call that wrote many: the id and the version that it left of each, in its order. The columns beside have one that its commit changed, if any.
ALTER TABLE requests ADD COLUMN answers jsonb;

-- migrate: rollback

ALTER TABLE requests DROP COLUMN answers;
