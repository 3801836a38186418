-- Group commits: the independent writes of many callers in one statement, which is a transaction of its own.

-- Make the planned writes that can be made now; return the outcome of each, and the commit, null if nothing was written.
-- Arrays have one element for each write; those in which it may be null can be null as a whole.
-- operations: CREATED, UPDATED, DELETED; KEPT for a write that changes nothing, and has a request_id. versions: those
-- that the writes were planned with, 0 for creations. previous_names: names before. configs: null to leave them.
-- pin_ids, latest_versions: the schema that a config was validated by, with its latest version at that time.
-- fingerprints: null without a request_id. answers: what KEPT keeps for it. wait: a limit for each wait but that of
-- the commit, null for that of the session.
--
-- Outcomes: '' is done. LOCKED, CHANGED: another session has locked a row that the write needs, or changed it since it
-- was planned. CLAIMED: another call has the request_id. EXISTS: a configuration has the key. UNCHANGED: the row would
-- stay as it is.
--
-- It writes the log itself, set by set, so that the triggers of configurations do nothing: see writes_own_log.
CREATE OR REPLACE FUNCTION write_configurations(
    operations text[], ids text[], versions bigint[], application_ids text[], applications text[], names text[],
    previous_names text[], all_comments text[], configs jsonb[], schemas text[], schema_versions bigint[], pin_ids text[],
    latest_versions bigint[], contexts jsonb[], fingerprints bytea[], answers jsonb[], wait text,
    OUT outcomes text[], OUT revision bigint, OUT commit_time timestamptz
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp SET configsvc.writes_own_log = 'on'
AS $$
DECLARE
    usual_wait text := current_setting('lock_timeout');
    chosen text[];
    this_commit bigint;
    logged integer := 0;
BEGIN
    IF pg_current_xact_id_if_assigned() IS NOT NULL OR NOT writes_own_log() THEN
        RAISE EXCEPTION 'write_configurations is a transaction of its own: call it first, and outside of triggers'
            USING ERRCODE = 'active_sql_transaction';
    END IF;
    outcomes := array_fill(''::text, ARRAY[cardinality(ids)]);
    IF wait IS NOT NULL THEN
        PERFORM set_config('lock_timeout', wait, true);
    END IF;

    -- In the order of keys, so that two sessions that claim the same ones cannot deadlock. Complete at once: what fails is
    -- released below.
    IF fingerprints IS NOT NULL THEN
        WITH claimed AS (
            INSERT INTO requests (request_id, actor, fingerprint, resource_id, version, answers)
            SELECT
                w.context ->> 'request_id', w.context ->> 'actor', w.fingerprint,
                CASE WHEN w.operation = 'KEPT' THEN '' ELSE w.id END,
                CASE WHEN w.operation = 'KEPT' THEN 0 ELSE w.version + 1 END, w.answer
            FROM unnest(operations, ids, versions, contexts, fingerprints, answers) AS w (
                operation, id, version, context, fingerprint, answer
            )
            WHERE w.fingerprint IS NOT NULL
            ORDER BY 1, 2
            ON CONFLICT (request_id, actor) DO UPDATE
            SET
                fingerprint = excluded.fingerprint, resource_id = excluded.resource_id, version = excluded.version,
                answers = excluded.answers, create_time = excluded.create_time
            WHERE requests.create_time < now() - interval '24 hours'
            RETURNING jsonb_build_array(request_id, actor)::text AS key
        )
        SELECT coalesce(array_agg(claimed.key), '{}') INTO chosen FROM claimed;
        IF cardinality(chosen) < cardinality(array_remove(fingerprints, NULL)) THEN
            SELECT
                array_agg(
                    CASE
                        WHEN w.fingerprint IS NULL
                            OR jsonb_build_array(w.context ->> 'request_id', w.context ->> 'actor')::text = ANY (chosen)
                            THEN w.outcome
                        ELSE 'CLAIMED'
                    END ORDER BY w.place
                )
            INTO outcomes
            FROM unnest(outcomes, contexts, fingerprints) WITH ORDINALITY AS w (outcome, context, fingerprint, place);
        END IF;
    END IF;

    -- Applications of creations: nobody renames or deletes them until the commit.
    IF 'CREATED' = ANY (operations) THEN
        chosen := ARRAY(
            SELECT a.id
            FROM (
                SELECT DISTINCT w.application_id, w.application
                FROM unnest(operations, application_ids, applications) AS w (operation, application_id, application)
                WHERE w.operation = 'CREATED'
            ) AS owner
            JOIN applications AS a ON a.id = owner.application_id AND a.name = owner.application
            FOR KEY SHARE OF a SKIP LOCKED
        );
        SELECT
            array_agg(
                CASE
                    WHEN w.outcome <> '' OR w.operation <> 'CREATED' OR w.application_id = ANY (chosen) THEN w.outcome
                    WHEN EXISTS (SELECT FROM applications AS a WHERE a.id = w.application_id AND a.name = w.application)
                        THEN 'LOCKED'
                    ELSE 'CHANGED'
                END ORDER BY w.place
            )
        INTO outcomes
        FROM unnest(outcomes, operations, application_ids, applications) WITH ORDINALITY AS w (
            outcome, operation, application_id, application, place
        );
    END IF;

    -- Schemas that configs were validated by: nobody deletes them, or moves their configurations, until the commit.
    IF pin_ids IS NOT NULL THEN
        chosen := ARRAY(
            SELECT s.id
            FROM (
                SELECT DISTINCT w.pin_id, w.latest_version FROM unnest(pin_ids, latest_versions) AS w (pin_id, latest_version)
            ) AS pin
            JOIN schemas AS s ON s.id = pin.pin_id AND s.latest_version = pin.latest_version
            FOR KEY SHARE OF s SKIP LOCKED
        );
        SELECT
            array_agg(
                CASE
                    WHEN w.outcome <> '' OR w.pin_id IS NULL OR w.pin_id = ANY (chosen) THEN w.outcome
                    WHEN EXISTS (SELECT FROM schemas AS s WHERE s.id = w.pin_id AND s.latest_version = w.latest_version)
                        THEN 'LOCKED'
                    ELSE 'CHANGED'
                END ORDER BY w.place
            )
        INTO outcomes
        FROM unnest(outcomes, pin_ids, latest_versions) WITH ORDINALITY AS w (outcome, pin_id, latest_version, place);
    END IF;

    -- Rows as they were when the writes were planned: each change makes another version.
    chosen := ARRAY(
        SELECT c.id
        FROM unnest(outcomes, operations, ids, versions) AS w (outcome, operation, id, version)
        JOIN configurations AS c ON c.id = w.id AND c.version = w.version
        WHERE w.outcome = '' AND w.operation IN ('UPDATED', 'DELETED')
        FOR UPDATE OF c SKIP LOCKED
    );
    IF cardinality(chosen) < cardinality(ids) THEN
        SELECT
            array_agg(
                CASE
                    WHEN w.outcome <> '' OR w.operation NOT IN ('UPDATED', 'DELETED') OR w.id = ANY (chosen) THEN w.outcome
                    WHEN EXISTS (SELECT FROM configurations AS c WHERE c.id = w.id AND c.version = w.version) THEN 'LOCKED'
                    ELSE 'CHANGED'
                END ORDER BY w.place
            )
        INTO outcomes
        FROM unnest(outcomes, operations, ids, versions) WITH ORDINALITY AS w (outcome, operation, id, version, place);
    END IF;

    this_commit := nextval('commit_ids');

    -- Deletions, then updates, then creations, which may take names given up before.
    IF 'DELETED' = ANY (operations) THEN
        WITH gone AS (
            DELETE FROM configurations AS c
            USING unnest(outcomes, operations, ids, contexts) AS w (outcome, operation, id, context)
            WHERE w.outcome = '' AND w.operation = 'DELETED' AND c.id = w.id
            RETURNING c.*, w.context
        )
        INSERT INTO change_records (
            commit_id, ordinal, kind, operation, resource_id, version, previous_version, application_id, application, name,
            previous_application_id, previous_application, previous_name, comments, content, content_bytes, schema,
            schema_version, create_time, created_by, time, actor, reason, request_id, origin
        )
        SELECT
            this_commit, row_number() OVER (ORDER BY id) - 1, 'CONFIGURATION', 'DELETED', id, version + 1, version,
            application_id, application, name, application_id, application, name, comments, NULL, 0, schema, schema_version,
            coalesce(nullif(create_time, update_time), (SELECT time FROM commits WHERE id = gone.commit_id), create_time),
            created_by, now(), context ->> 'actor', context ->> 'reason', context ->> 'request_id', context -> 'origin'
        FROM gone;
        GET DIAGNOSTICS logged = ROW_COUNT;
    END IF;

    IF 'UPDATED' = ANY (operations) THEN
        WITH written AS (
            UPDATE configurations AS c
            SET
                name = w.name, comments = w.comments, config = coalesce(w.config, c.config), schema = w.schema,
                schema_version = w.schema_version, version = c.version + 1, commit_id = this_commit, update_time = now(),
                create_time = coalesce(
                    nullif(c.create_time, c.update_time), (SELECT time FROM commits WHERE commits.id = c.commit_id), c.create_time
                ),
                updated_by = w.context ->> 'actor', update_reason = w.context ->> 'reason',
                update_request_id = w.context ->> 'request_id', update_origin = w.context -> 'origin'
            FROM unnest(
                outcomes, operations, ids, names, previous_names, all_comments, configs, schemas, schema_versions, contexts
            ) AS w (outcome, operation, id, name, previous_name, comments, config, schema, schema_version, context)
            WHERE w.outcome = '' AND w.operation = 'UPDATED' AND c.id = w.id
                AND (c.name, c.comments, c.schema, c.schema_version, c.config)
                IS DISTINCT FROM
                (w.name, w.comments, w.schema, w.schema_version, coalesce(w.config, c.config))
            RETURNING c.*, w.previous_name
        ), records AS (
            INSERT INTO change_records (
                commit_id, ordinal, kind, operation, resource_id, version, previous_version, application_id, application,
                name, previous_application_id, previous_application, previous_name, comments, content, content_bytes, schema,
                schema_version, create_time, created_by, time, actor, reason, request_id, origin
            )
            SELECT
                this_commit, logged - 1 + row_number() OVER (ORDER BY id), 'CONFIGURATION', 'UPDATED', id, version,
                version - 1, application_id, application, name, application_id, application, previous_name, comments, config,
                config_bytes, schema, schema_version, create_time, created_by, update_time, updated_by, update_reason,
                update_request_id, update_origin
            FROM written
            RETURNING resource_id
        )
        SELECT coalesce(array_agg(resource_id), '{}') INTO chosen FROM records;
        logged := logged + cardinality(chosen);
        IF cardinality(chosen) < cardinality(ids) THEN
            SELECT
                array_agg(
                    CASE
                        WHEN w.outcome <> '' OR w.operation <> 'UPDATED' OR w.id = ANY (chosen) THEN w.outcome
                        ELSE 'UNCHANGED'
                    END ORDER BY w.place
                )
            INTO outcomes
            FROM unnest(outcomes, operations, ids) WITH ORDINALITY AS w (outcome, operation, id, place);
        END IF;
    END IF;

    IF 'CREATED' = ANY (operations) THEN
        -- In key order, so that two sessions with the same keys cannot deadlock.
        WITH made AS (
            INSERT INTO configurations (
                id, application_id, application, name, comments, config, version, commit_id, create_time, update_time,
                created_by, updated_by, update_reason, update_request_id, schema, schema_version, update_origin
            )
            SELECT
                w.id, w.application_id, w.application, w.name, w.comments, w.config, 1, this_commit, now(), now(),
                w.context ->> 'actor', w.context ->> 'actor', w.context ->> 'reason', w.context ->> 'request_id', w.schema,
                w.schema_version, w.context -> 'origin'
            FROM unnest(
                outcomes, operations, ids, application_ids, applications, names, all_comments, configs, schemas, schema_versions,
                contexts
            ) AS w (
                outcome, operation, id, application_id, application, name, comments, config, schema, schema_version, context
            )
            WHERE w.outcome = '' AND w.operation = 'CREATED'
            ORDER BY w.application, w.name
            ON CONFLICT DO NOTHING
            RETURNING *
        ), records AS (
            INSERT INTO change_records (
                commit_id, ordinal, kind, operation, resource_id, version, previous_version, application_id, application,
                name, previous_application_id, previous_application, previous_name, comments, content, content_bytes, schema,
                schema_version, create_time, created_by, time, actor, reason, request_id, origin
            )
            SELECT
                this_commit, logged - 1 + row_number() OVER (ORDER BY id), 'CONFIGURATION', 'CREATED', id, 1, 0,
                application_id, application, name, application_id, application, name, comments, config, config_bytes, schema,
                schema_version, create_time, created_by, update_time, updated_by, update_reason, update_request_id,
                update_origin
            FROM made
            RETURNING resource_id
        )
        SELECT coalesce(array_agg(resource_id), '{}') INTO chosen FROM records;
        logged := logged + cardinality(chosen);
        SELECT
            array_agg(
                CASE
                    WHEN w.outcome <> '' OR w.operation <> 'CREATED' OR w.id = ANY (chosen) THEN w.outcome
                    ELSE 'EXISTS'
                END ORDER BY w.place
            )
        INTO outcomes
        FROM unnest(outcomes, operations, ids) WITH ORDINALITY AS w (outcome, operation, id, place);
    END IF;

    IF fingerprints IS NOT NULL THEN
        DELETE FROM requests AS r
        USING unnest(outcomes, contexts, fingerprints) AS w (outcome, context, fingerprint)
        WHERE w.outcome NOT IN ('', 'CLAIMED', 'UNCHANGED') AND w.fingerprint IS NOT NULL
            AND r.request_id = w.context ->> 'request_id' AND r.actor = w.context ->> 'actor';
        IF 'UNCHANGED' = ANY (outcomes) THEN
            UPDATE requests AS r
            SET resource_id = '', version = 0, answers = jsonb_build_array(jsonb_build_array(w.id, w.version, false))
            FROM unnest(outcomes, ids, versions, contexts, fingerprints) AS w (outcome, id, version, context, fingerprint)
            WHERE w.outcome = 'UNCHANGED' AND w.fingerprint IS NOT NULL
                AND r.request_id = w.context ->> 'request_id' AND r.actor = w.context ->> 'actor';
        END IF;
    END IF;

    IF logged > 0 THEN
        PERFORM set_config('lock_timeout', usual_wait, true);
        -- The trigger of the log takes the revision, which the caller needs, at the last moment.
        SET CONSTRAINTS assign_revision IMMEDIATE;
        SELECT c.revision, c.time INTO revision, commit_time FROM commits AS c WHERE c.id = this_commit;
    END IF;
END
$$;

REVOKE EXECUTE ON FUNCTION write_configurations FROM PUBLIC;
