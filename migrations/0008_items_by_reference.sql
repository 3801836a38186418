-- Items of imports name their application by id too, and may expect a version
-- depends: 0005_readable_operations

-- migrate: apply

-- Items are kept for a week, and no row is rewritten. The rollback drops what this adds.
-- squawk-ignore-file constraint-missing-not-valid, ban-drop-constraint

-- application_id: of an item that names its application by id; its name is in application once it is known.
-- expected_version: null, no check.
ALTER TABLE operation_items
    ADD COLUMN application_id text COLLATE "C",
    ADD COLUMN expected_version bigint,
    DROP CONSTRAINT item_error,
    ADD CONSTRAINT item_error CHECK (
        error IN (
            'INVALID', 'APPLICATION_NOT_FOUND', 'EXISTS', 'SCHEMA_NOT_FOUND', 'SCHEMA_VIOLATED', 'CONFLICT',
            'VERSION_MISMATCH'
        )
    ) NOT VALID;

-- migrate: rollback

UPDATE operation_items SET error = 'CONFLICT' WHERE error = 'VERSION_MISMATCH';

ALTER TABLE operation_items
    DROP COLUMN application_id,
    DROP COLUMN expected_version,
    DROP CONSTRAINT item_error,
    ADD CONSTRAINT item_error CHECK (
        error IN ('INVALID', 'APPLICATION_NOT_FOUND', 'EXISTS', 'SCHEMA_NOT_FOUND', 'SCHEMA_VIOLATED', 'CONFLICT')
    ) NOT VALID;
