-- Compaction: how far back the log can be read
-- depends: 0001_foundation

-- migrate: apply

-- One row: the compacted revision, which is the oldest whose state can be read and after which a watch can be resumed, and the ordinal
-- of the record in it with which the cleaning goes on. It moves in the transaction that removes records, and never back; who reads the log reads it in
-- the same statement.
CREATE TABLE compaction (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    revision bigint NOT NULL,
    ordinal integer NOT NULL
);

INSERT INTO compaction (revision, ordinal) VALUES (0, 0);

-- migrate: rollback

DROP TABLE compaction;
