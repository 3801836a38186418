-- Reads of the past.

-- Return the version that a resource had at a revision: none that the log has if it did not exist.
-- Looks 1, 2, 4 … versions back from the newest, then halves the distance, because there may be millions since then.
-- Versions are contiguous: compaction removes the oldest first.
CREATE OR REPLACE FUNCTION version_at(of_kind text, of_resource_id text, at_revision bigint) RETURNS bigint
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
-- Connections for reads ask for a new plan each time, which costs more than the search.
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
AS $$
DECLARE
    -- The first is at the revision or before it, or missing; the second is after it.
    low bigint;
    high bigint := 1 + (
        SELECT version FROM change_records
        WHERE kind = of_kind AND resource_id = of_resource_id
        ORDER BY version DESC
        LIMIT 1
    );
    distance bigint := 1;
    probed bigint;
    is_later boolean;
BEGIN
    IF high IS NULL THEN
        RETURN NULL;
    END IF;
    LOOP
        probed := CASE WHEN low IS NULL THEN greatest(high - distance, 0) ELSE (low + high) / 2 END;
        EXIT WHEN probed = low;
        is_later := (
            -- Not a join, whose plan for a small log would go through all commits.
            SELECT revision > at_revision
            FROM commits
            WHERE id = (
                SELECT commit_id FROM change_records
                WHERE kind = of_kind AND resource_id = of_resource_id AND version = probed
            )
        );
        IF is_later THEN
            high := probed;
            distance := 2 * distance;
        ELSE
            low := probed;
        END IF;
    END LOOP;
    RETURN low;
END
$$;
