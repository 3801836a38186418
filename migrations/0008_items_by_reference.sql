-- Items of imports name their application by id too, and may expect a version
-- depends: 0004_names_of_one_segment

-- migrate: apply

-- application_id: of an item that names its application by id; its name is in application once it is known.
-- expected_version: null, no check.
ALTER TABLE operation_items
    ADD COLUMN application_id text COLLATE "C",
    ADD COLUMN expected_version bigint;

-- migrate: rollback

ALTER TABLE operation_items
    DROP COLUMN application_id,
    DROP COLUMN expected_version;
