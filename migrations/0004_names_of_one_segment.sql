-- Names of applications and schemas without slashes, so that application/configuration is one unambiguous key
-- depends: 0003_order_of_commits

-- migrate: apply

-- NOT VALID: a name of before with a slash stays readable, and must be changed at the next write.
ALTER TABLE applications
    ADD CONSTRAINT application_name_has_one_segment CHECK (strpos(name, '/') = 0) NOT VALID;
ALTER TABLE schemas
    ADD CONSTRAINT schema_name_has_one_segment CHECK (strpos(name, '/') = 0) NOT VALID;

-- migrate: rollback

ALTER TABLE applications DROP CONSTRAINT application_name_has_one_segment;
ALTER TABLE schemas DROP CONSTRAINT schema_name_has_one_segment;
