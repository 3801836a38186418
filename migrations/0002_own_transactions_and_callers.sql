-- The transaction of the last commit, the identity of the log, and the caller of each request_id
-- depends: 0001_baseline

-- migrate: apply

-- Each table holds one row, or the calls of a day: nobody waits for long. The rollback drops what this adds.
-- squawk-ignore-file ban-drop-column, ban-drop-constraint, ban-drop-table
-- squawk-ignore-file constraint-missing-not-valid, adding-serial-primary-key-field


-- A transaction that has a revision takes no second one: see assign_revision in functions/02_commits.sql.
ALTER TABLE revision_counter ADD COLUMN transaction xid8 NOT NULL DEFAULT '0';


-- One row, which nobody changes. Its xmin is part of the epoch: whoever restores the log writes this row anew.
CREATE TABLE log_identity (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row)
);

INSERT INTO log_identity DEFAULT VALUES;


-- Each caller has request_ids of its own. The log and the operations tell whose the calls of the last day were. Of calls that
-- changed nothing they cannot, and such a call, made again, runs again.
ALTER TABLE requests ADD COLUMN actor text COLLATE "C" NOT NULL DEFAULT '';

UPDATE requests
SET actor = r.actor
FROM change_records AS r
WHERE r.kind IN ('APPLICATION', 'CONFIGURATION', 'SCHEMA', 'ROLE_BINDING')
    AND r.resource_id = requests.resource_id AND r.version = requests.version AND r.request_id = requests.request_id;

UPDATE requests
SET actor = operations.actor
FROM operations
WHERE operations.id = requests.resource_id AND operations.request_id = requests.request_id;

-- Imports of schemas keep the id of their commit.
UPDATE requests
SET actor = r.actor
FROM change_records AS r
WHERE requests.resource_id = 'commit' AND r.commit_id = requests.version AND r.request_id = requests.request_id;

ALTER TABLE requests DROP CONSTRAINT requests_pkey;

ALTER TABLE requests ADD PRIMARY KEY (request_id, actor);

-- migrate: rollback

DELETE FROM requests
USING requests AS other
WHERE other.request_id = requests.request_id AND other.actor > requests.actor;

ALTER TABLE requests DROP CONSTRAINT requests_pkey;

ALTER TABLE requests ADD PRIMARY KEY (request_id);

ALTER TABLE requests DROP COLUMN actor;

DROP TABLE log_identity;

ALTER TABLE revision_counter DROP COLUMN transaction;
