-- The head is that of commits: a row that every commit replaces collects dead versions under an old snapshot
-- depends: 0002_own_transactions_and_callers

-- migrate: apply

-- One row is locked, and no table is rewritten.
-- squawk-ignore-file renaming-table, renaming-object, ban-drop-column, ban-drop-view, ban-drop-default, adding-required-field


-- One row, which nobody changes. Its lock makes revisions follow the order of commits.
ALTER TABLE revision_counter RENAME TO commit_order;

ALTER TABLE commit_order RENAME CONSTRAINT revision_counter_pkey TO commit_order_pkey;

ALTER TABLE commit_order RENAME CONSTRAINT revision_counter_only_row_check TO commit_order_only_row_check;

ALTER TABLE commit_order DROP COLUMN revision, DROP COLUMN transaction;

ALTER TABLE commit_order RESET (
    fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_vacuum_cost_delay
);

-- A transaction that has a revision takes no second one. Null for commits of before.
ALTER TABLE commits ADD COLUMN transaction xid8;

-- One row: the revision of the last commit.
CREATE VIEW revision_counter AS
SELECT commit_order.only_row, coalesce((SELECT max(commits.revision) FROM commits), 0) AS revision
FROM commit_order;

-- The function of before would fail until functions/02_commits.sql replaces it.
CREATE OR REPLACE FUNCTION assign_revision() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    assigned bigint;
BEGIN
    PERFORM FROM commit_order FOR UPDATE;
    INSERT INTO commits (id, revision, time)
    SELECT NEW.commit_id, revision + 1, clock_timestamp() FROM revision_counter
    RETURNING revision INTO STRICT assigned;
    PERFORM pg_notify('configsvc_changes', assigned::text);
    RETURN NULL;
END
$$;

-- migrate: rollback

DROP VIEW revision_counter;

ALTER TABLE commit_order RENAME TO revision_counter;

ALTER TABLE revision_counter RENAME CONSTRAINT commit_order_pkey TO revision_counter_pkey;

ALTER TABLE revision_counter RENAME CONSTRAINT commit_order_only_row_check TO revision_counter_only_row_check;

ALTER TABLE revision_counter ADD COLUMN revision bigint NOT NULL DEFAULT 0, ADD COLUMN transaction xid8 NOT NULL DEFAULT '0';

ALTER TABLE revision_counter ALTER COLUMN revision DROP DEFAULT;

UPDATE revision_counter SET revision = coalesce((SELECT max(revision) FROM commits), 0);

ALTER TABLE revision_counter SET (
    fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0
);

ALTER TABLE commits DROP COLUMN transaction;
