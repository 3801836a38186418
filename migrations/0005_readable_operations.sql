-- What operations and their items may hold: what the service can read, whoever writes it
-- depends: 0004_names_of_one_segment

-- migrate: apply

-- NOT VALID: rows of before stay as they are, for a week at most. An item that is no JSON fails in the cast.
ALTER TABLE operations
    ADD CONSTRAINT operation_failure CHECK (
        failure IN ('', 'ITEMS_FAILED', 'WRITE_CONFLICT', 'WRITE_TOO_LARGE', 'ATTEMPTS_EXHAUSTED', 'INTERNAL')
    ) NOT VALID,
    ADD CONSTRAINT operation_settings_are_object CHECK (jsonb_typeof(settings) = 'object') NOT VALID,
    ADD CONSTRAINT operation_origin_is_object CHECK (jsonb_typeof(origin) = 'object') NOT VALID;

ALTER TABLE operation_items
    ADD CONSTRAINT item_error CHECK (
        error IN ('INVALID', 'APPLICATION_NOT_FOUND', 'EXISTS', 'SCHEMA_NOT_FOUND', 'SCHEMA_VIOLATED', 'CONFLICT')
    ) NOT VALID,
    ADD CONSTRAINT item_config_is_object CHECK (jsonb_typeof(config::jsonb) = 'object') NOT VALID,
    ADD CONSTRAINT item_before_is_object CHECK (jsonb_typeof(before::jsonb) = 'object') NOT VALID,
    -- A list of lists of field, keyword and message.
    ADD CONSTRAINT item_faults_are_lists CHECK (
        faults = '[]' OR (
            jsonb_typeof(faults::jsonb) = 'array'
            AND NOT faults::jsonb @? 'strict $[*] ? (@.type() != "array" || @.size() != 3)'
            AND NOT faults::jsonb @? 'lax $[*][*] ? (@.type() != "string")'
        )
    ) NOT VALID;

ALTER TABLE requests
    ADD CONSTRAINT request_answers_are_list CHECK (jsonb_typeof(answers) = 'array') NOT VALID;

ALTER TABLE applications
    ADD CONSTRAINT application_origin_is_object CHECK (jsonb_typeof(update_origin) = 'object') NOT VALID;

ALTER TABLE schemas
    ADD CONSTRAINT schema_origin_is_object CHECK (jsonb_typeof(update_origin) = 'object') NOT VALID;

ALTER TABLE configurations
    ADD CONSTRAINT configuration_origin_is_object CHECK (jsonb_typeof(update_origin) = 'object') NOT VALID;

ALTER TABLE role_bindings
    ADD CONSTRAINT role_binding_origin_is_object CHECK (jsonb_typeof(create_origin) = 'object') NOT VALID;

-- migrate: rollback

ALTER TABLE role_bindings DROP CONSTRAINT role_binding_origin_is_object;

ALTER TABLE configurations DROP CONSTRAINT configuration_origin_is_object;

ALTER TABLE schemas DROP CONSTRAINT schema_origin_is_object;

ALTER TABLE applications DROP CONSTRAINT application_origin_is_object;

ALTER TABLE requests DROP CONSTRAINT request_answers_are_list;

ALTER TABLE operation_items
    DROP CONSTRAINT item_faults_are_lists,
    DROP CONSTRAINT item_before_is_object,
    DROP CONSTRAINT item_config_is_object,
    DROP CONSTRAINT item_error;

ALTER TABLE operations
    DROP CONSTRAINT operation_origin_is_object,
    DROP CONSTRAINT operation_settings_are_object,
    DROP CONSTRAINT operation_failure;
