-- How often an operation was begun, so that one that kills its process is not begun for ever
-- depends: 0010_schema_names

-- migrate: apply

-- squawk-ignore-file ban-drop-column
-- attempt_count does not count what was given back at the stop of a process. Before next_attempt_time nobody takes the operation up.
ALTER TABLE operations
ADD COLUMN attempt_count bigint NOT NULL DEFAULT 0,
ADD COLUMN next_attempt_time timestamptz NOT NULL DEFAULT '-infinity';

-- migrate: rollback

ALTER TABLE operations
DROP COLUMN attempt_count,
DROP COLUMN next_attempt_time;
