-- The whole schema but its triggers and their functions, which stand in functions/
-- depends:

-- migrate: apply

-- Everything here is new: nobody waits for its locks. The tables of pgqueuer are as its library defines them.
-- squawk-ignore-file require-concurrent-index-creation, prefer-identity


-- Functions that tables depend on. They are part of the tables, because rows were checked and made by them: a later
-- migration that replaces one must also decide what happens to the rows. All other functions stand in functions/.

CREATE FUNCTION is_name(value text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN length(value) BETWEEN 1 AND 256
    AND value ~ '^[A-Za-z0-9][A-Za-z0-9._/-]*$'
    AND value !~ '(^|/)[.]{0,2}(/|$)';

-- The id of a row that is inserted by hand: 48 bits of milliseconds and 80 random bits in Crockford's base 32.
CREATE FUNCTION generate_ulid() RETURNS text
LANGUAGE sql VOLATILE
RETURN (
    SELECT string_agg(substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', digit::integer + 1, 1), '' ORDER BY place)
    FROM (
        SELECT place, ((extract(epoch FROM clock_timestamp()) * 1000)::bigint >> (45 - 5 * place)) & 31 AS digit
        FROM generate_series(0, 9) AS place
        UNION ALL
        SELECT place, floor(random() * 32)::bigint
        FROM generate_series(10, 25) AS place
    ) AS digits
);


-- Commits and their revisions.

-- One row: the revision of the last commit. Its lock makes revisions follow the order of commits. Every commit rewrites
-- the row, so its page keeps room for new row versions, and vacuum runs often.
CREATE TABLE revision_counter (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    revision bigint NOT NULL
) WITH (
    fillfactor = 10,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

INSERT INTO revision_counter (revision) VALUES (0);

-- A transaction draws a commit id at its first change and a revision when it commits: see functions/02_commits.sql.
CREATE SEQUENCE commit_ids AS bigint CACHE 1;

CREATE TABLE commits (
    id bigint PRIMARY KEY,
    revision bigint NOT NULL UNIQUE,
    time timestamptz NOT NULL
);


-- Applications.

-- update_origin: an object with peer and, if the call named one, change_request. Empty for changes made in SQL.
CREATE TABLE applications (
    id text COLLATE "C" PRIMARY KEY DEFAULT generate_ulid(),
    name text COLLATE "C" NOT NULL UNIQUE,
    comments text NOT NULL DEFAULT '',
    version bigint NOT NULL,
    commit_id bigint NOT NULL,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    created_by text NOT NULL,
    updated_by text NOT NULL,
    update_reason text NOT NULL,
    update_request_id text NOT NULL,
    update_origin jsonb NOT NULL DEFAULT '{}',
    UNIQUE (id, name),
    CONSTRAINT application_id_is_ulid CHECK (id ~ '^[0-7][0-9A-HJKMNP-TV-Z]{25}$'),
    CONSTRAINT application_name_is_valid CHECK (is_name(name)),
    CONSTRAINT application_comments_fit CHECK (length(comments) <= 1024)
);


-- Schemas and their versions.

-- The name of a schema never changes: pinned configurations and the documents of other schemas repeat it.
CREATE TABLE schemas (
    id text COLLATE "C" PRIMARY KEY DEFAULT generate_ulid(),
    name text COLLATE "C" NOT NULL UNIQUE,
    comments text NOT NULL DEFAULT '',
    latest_version bigint NOT NULL DEFAULT 0,
    version bigint NOT NULL,
    commit_id bigint NOT NULL,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    created_by text NOT NULL,
    updated_by text NOT NULL,
    update_reason text NOT NULL,
    update_request_id text NOT NULL,
    update_origin jsonb NOT NULL DEFAULT '{}',
    UNIQUE (id, name),
    CONSTRAINT schema_id_is_ulid CHECK (id ~ '^[0-7][0-9A-HJKMNP-TV-Z]{25}$'),
    CONSTRAINT schema_name_is_valid CHECK (is_name(name)),
    CONSTRAINT schema_comments_fit CHECK (length(comments) <= 1024)
);

-- additions: what closing added to the document, a list of objects with pointer and keyword.
CREATE TABLE schema_versions (
    schema_id text COLLATE "C" NOT NULL,
    schema text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    document jsonb NOT NULL,
    document_bytes integer NOT NULL GENERATED ALWAYS AS (octet_length(document::text)) STORED,
    additions jsonb NOT NULL DEFAULT '[]',
    commit_id bigint NOT NULL,
    create_time timestamptz NOT NULL,
    created_by text NOT NULL,
    PRIMARY KEY (schema, version),
    FOREIGN KEY (schema_id, schema) REFERENCES schemas (id, name) ON DELETE CASCADE,
    CONSTRAINT schema_document_is_object CHECK (jsonb_typeof(document) = 'object'),
    CONSTRAINT schema_document_fits CHECK (document_bytes <= 4194304)
);

-- For the cascade.
CREATE INDEX schema_versions_schema_id ON schema_versions (schema_id);

-- For compaction, which checks each commit for schema versions that refer to it.
CREATE INDEX schema_versions_commit_id ON schema_versions (commit_id);

-- The versions that the document of a version refers to.
CREATE TABLE schema_references (
    schema text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    referenced_schema text COLLATE "C" NOT NULL,
    referenced_version bigint NOT NULL,
    PRIMARY KEY (schema, version, referenced_schema, referenced_version),
    FOREIGN KEY (schema, version) REFERENCES schema_versions (schema, version) ON DELETE CASCADE,
    CONSTRAINT schema_version_is_referred_to
    FOREIGN KEY (referenced_schema, referenced_version) REFERENCES schema_versions (schema, version)
);

CREATE INDEX schema_references_referenced ON schema_references (referenced_schema, referenced_version);


-- Configurations.

-- Each row repeats the name of its application, so that sorting a list and finding a configuration by key need no join.
-- The foreign key carries a new name over, which is a change of each configuration.
CREATE TABLE configurations (
    id text COLLATE "C" PRIMARY KEY DEFAULT generate_ulid(),
    application_id text COLLATE "C" NOT NULL,
    application text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    comments text NOT NULL DEFAULT '',
    config jsonb NOT NULL,
    config_bytes integer NOT NULL GENERATED ALWAYS AS (octet_length(config::text)) STORED,
    version bigint NOT NULL,
    commit_id bigint NOT NULL,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    created_by text NOT NULL,
    updated_by text NOT NULL,
    update_reason text NOT NULL,
    update_request_id text NOT NULL,
    schema text COLLATE "C",
    schema_version bigint,
    update_origin jsonb NOT NULL DEFAULT '{}',
    UNIQUE (application, name),
    FOREIGN KEY (application_id, application) REFERENCES applications (id, name) ON UPDATE CASCADE,
    CONSTRAINT configuration_is_pinned
    FOREIGN KEY (schema, schema_version) REFERENCES schema_versions (schema, version),
    CONSTRAINT configuration_id_is_ulid CHECK (id ~ '^[0-7][0-9A-HJKMNP-TV-Z]{25}$'),
    CONSTRAINT configuration_name_is_valid CHECK (is_name(name)),
    CONSTRAINT configuration_comments_fit CHECK (length(comments) <= 1024),
    CONSTRAINT configuration_schema_is_whole CHECK ((schema IS NULL) = (schema_version IS NULL)),
    CONSTRAINT configuration_is_object CHECK (jsonb_typeof(config) = 'object'),
    CONSTRAINT configuration_fits CHECK (config_bytes <= 1048576),
    CONSTRAINT configuration_is_shallow CHECK (
        NOT config @? 'strict $.**{32} ? (@.type() == "object" || @.type() == "array")'
    ),
    CONSTRAINT configuration_numbers_are_exact CHECK (
        NOT config @? 'strict $.** ? (@.type() == "number" && (@ > 9007199254740991 || @ < -9007199254740991))'
    )
);

CREATE INDEX configurations_config ON configurations USING gin (config jsonb_path_ops);

CREATE INDEX configurations_schema ON configurations (schema, application, name) WHERE schema IS NOT NULL;


-- Role bindings: who may do what.

-- A binding never changes. One without an application applies to all of them. Deleting an application deletes its
-- bindings.
CREATE TABLE role_bindings (
    id text COLLATE "C" PRIMARY KEY DEFAULT generate_ulid(),
    principal text COLLATE "C" NOT NULL,
    role text NOT NULL,
    application_id text COLLATE "C" REFERENCES applications (id) ON DELETE CASCADE,
    version bigint NOT NULL,
    commit_id bigint NOT NULL,
    create_time timestamptz NOT NULL,
    created_by text NOT NULL,
    create_reason text NOT NULL,
    create_request_id text NOT NULL,
    create_origin jsonb NOT NULL DEFAULT '{}',
    UNIQUE NULLS NOT DISTINCT (principal, application_id, role),
    CONSTRAINT role_binding_id_is_ulid CHECK (id ~ '^[0-7][0-9A-HJKMNP-TV-Z]{25}$'),
    CONSTRAINT role_binding_principal_is_valid CHECK (
        principal ~ '^(user|group|certificate):[^[:cntrl:]]+$' AND length(principal) <= 524
    ),
    CONSTRAINT role_binding_role CHECK (role IN ('VIEWER', 'EDITOR', 'ADMIN'))
);

-- For the cascade, and to list the bindings of an application.
CREATE INDEX role_bindings_application_id ON role_bindings (application_id);


-- The log of all changes.

-- Append-only, written by triggers. To read it, use the view changes, which adds the revision.
-- schema and schema_version: of a configuration, the version it is pinned to; of a schema, its name and latest version.
-- Of a role binding, name is the principal, and content holds the role.
CREATE TABLE change_records (
    commit_id bigint NOT NULL,
    ordinal integer NOT NULL,
    kind text NOT NULL,
    operation text NOT NULL,
    resource_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    previous_version bigint NOT NULL,
    application_id text COLLATE "C",
    application text COLLATE "C",
    name text COLLATE "C" NOT NULL,
    previous_application_id text COLLATE "C",
    previous_application text COLLATE "C",
    previous_name text COLLATE "C" NOT NULL,
    comments text NOT NULL,
    content jsonb,
    content_bytes integer NOT NULL,
    create_time timestamptz NOT NULL,
    created_by text NOT NULL,
    time timestamptz NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    request_id text NOT NULL,
    schema text COLLATE "C",
    schema_version bigint,
    origin jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (commit_id, ordinal),
    UNIQUE (kind, resource_id, version),
    CONSTRAINT change_kind CHECK (kind IN ('APPLICATION', 'CONFIGURATION', 'SCHEMA', 'ROLE_BINDING')),
    CONSTRAINT change_operation CHECK (operation IN ('CREATED', 'UPDATED', 'DELETED'))
);

-- Finds deletions and renames by the key that they gave up: the last configuration that had a key.
CREATE INDEX change_records_given_up ON change_records (previous_application, previous_name)
WHERE kind = 'CONFIGURATION'
AND (operation = 'DELETED' OR previous_application <> application OR previous_name <> name);

CREATE VIEW changes AS
SELECT commits.revision, commits.time AS commit_time, change_records.*
FROM commits
JOIN change_records ON change_records.commit_id = commits.id;

-- One row. revision is the compacted revision: the oldest whose state can be read and after which a watch can resume.
-- ordinal is the record in it at which cleaning continues. Both move in the transaction that removes records, and never
-- back. Readers of the log read this row in the same statement.
CREATE TABLE compaction (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    revision bigint NOT NULL,
    ordinal integer NOT NULL
);

INSERT INTO compaction (revision, ordinal) VALUES (0, 0);


-- Idempotency: calls that carry a request_id. The second of two equal calls is answered from here.

-- answers: for a call that wrote many resources, the id and resulting version of each, in its order. resource_id and
-- version then name one resource that its commit changed, if any.
CREATE TABLE requests (
    request_id text COLLATE "C" PRIMARY KEY,
    fingerprint bytea NOT NULL,
    resource_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now(),
    answers jsonb
);

CREATE INDEX requests_create_time ON requests (create_time);


-- Long-running operations and their items.

-- state: STAGING while items arrive (no caller sees it yet), then PENDING, RUNNING, CANCELLING, and at the end
-- SUCCEEDED, CANCELLED or FAILED.
-- run: names one attempt of one process. A process that finds another name here has lost the operation.
-- commit_id: the last commit of the operation.
-- attempt_count: excludes attempts that a stopping process gave back. next_attempt_time: no process starts the next
-- attempt earlier.
CREATE TABLE operations (
    id text COLLATE "C" PRIMARY KEY,
    kind text NOT NULL,
    state text NOT NULL DEFAULT 'STAGING',
    settings jsonb NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    request_id text NOT NULL,
    validate_only boolean NOT NULL,
    total_count bigint NOT NULL DEFAULT 0,
    done_count bigint NOT NULL DEFAULT 0,
    failed_count bigint NOT NULL DEFAULT 0,
    created_count bigint NOT NULL DEFAULT 0,
    updated_count bigint NOT NULL DEFAULT 0,
    unchanged_count bigint NOT NULL DEFAULT 0,
    run text NOT NULL DEFAULT '',
    commit_id bigint,
    failure text NOT NULL DEFAULT '',
    create_time timestamptz NOT NULL DEFAULT now(),
    update_time timestamptz NOT NULL DEFAULT now(),
    end_time timestamptz,
    attempt_count bigint NOT NULL DEFAULT 0,
    next_attempt_time timestamptz NOT NULL DEFAULT '-infinity',
    origin jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT operation_kind CHECK (kind IN ('IMPORT_CONFIGURATIONS', 'MIGRATE_CONFIGURATIONS')),
    CONSTRAINT operation_state CHECK (
        state IN ('STAGING', 'PENDING', 'RUNNING', 'CANCELLING', 'SUCCEEDED', 'CANCELLED', 'FAILED')
    )
);

CREATE INDEX operations_end_time ON operations (end_time);

CREATE INDEX operations_actor_id ON operations (actor, id);

-- place: the index of the item, from 0. config: the content to write, cleared once written; a dry run of a migration
-- keeps it, and the content before it in before. schema_version 0 means the latest version.
-- configuration_id: the configuration that is created, or the one that is migrated from configuration_version.
CREATE TABLE operation_items (
    operation_id text COLLATE "C" NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    place bigint NOT NULL,
    application text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    comments text NOT NULL DEFAULT '',
    schema text COLLATE "C",
    schema_version bigint,
    configuration_id text COLLATE "C" NOT NULL,
    configuration_version bigint NOT NULL DEFAULT 0,
    config text,
    before text,
    state text NOT NULL DEFAULT 'WAITING',
    change text,
    error text,
    faults text NOT NULL DEFAULT '[]',
    PRIMARY KEY (operation_id, place),
    CONSTRAINT item_state CHECK (state IN ('WAITING', 'DONE', 'FAILED')),
    CONSTRAINT item_change CHECK (change IN ('CREATED', 'UPDATED'))
);

CREATE INDEX operation_items_failed ON operation_items (operation_id, place) WHERE state = 'FAILED';


-- The job queue, as `pgq sql install` of pgqueuer defines it.

CREATE TYPE pgqueuer_status AS ENUM ('queued', 'picked', 'successful', 'exception', 'canceled', 'deleted', 'failed');

CREATE TABLE pgqueuer (
    id bigserial NOT NULL PRIMARY KEY,
    priority integer NOT NULL,
    queue_manager_id uuid,
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now(),
    heartbeat timestamptz NOT NULL DEFAULT now(),
    execute_after timestamptz NOT NULL DEFAULT now(),
    status pgqueuer_status NOT NULL,
    entrypoint text NOT NULL,
    dedupe_key text,
    payload bytea,
    headers jsonb,
    attempts integer NOT NULL DEFAULT 0,
    slot bigint
);

CREATE TABLE pgqueuer_log (
    id bigint GENERATED BY DEFAULT AS IDENTITY NOT NULL PRIMARY KEY,
    created timestamptz NOT NULL DEFAULT now(),
    job_id bigint NOT NULL,
    status pgqueuer_status NOT NULL,
    priority integer NOT NULL,
    entrypoint text NOT NULL,
    traceback jsonb,
    aggregated boolean DEFAULT false
);

CREATE TABLE pgqueuer_schedules (
    id bigserial NOT NULL PRIMARY KEY,
    expression text NOT NULL,
    entrypoint text NOT NULL,
    heartbeat timestamptz NOT NULL DEFAULT now(),
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now(),
    next_run timestamptz NOT NULL DEFAULT now(),
    last_run timestamptz,
    status pgqueuer_status DEFAULT 'queued',
    UNIQUE (expression, entrypoint)
);

CREATE TABLE pgqueuer_statistics (
    id bigserial NOT NULL PRIMARY KEY,
    created timestamptz NOT NULL DEFAULT date_trunc('sec', now()),
    count bigint NOT NULL,
    priority integer NOT NULL,
    status pgqueuer_status NOT NULL,
    entrypoint text NOT NULL
);

CREATE INDEX pgqueuer_ep_ea_idx ON pgqueuer (entrypoint, execute_after) WHERE status = 'queued';

CREATE INDEX pgqueuer_ep_prio_id_idx ON pgqueuer (entrypoint, priority DESC, id) WHERE status = 'queued';

CREATE INDEX pgqueuer_priority_id_id1_idx ON pgqueuer (priority, id DESC) INCLUDE (id) WHERE status = 'queued';

CREATE INDEX pgqueuer_picked_heartbeat_idx ON pgqueuer (heartbeat) WHERE status = 'picked';

CREATE INDEX pgqueuer_updated_id_id1_idx ON pgqueuer (updated, id DESC) INCLUDE (id) WHERE status = 'picked';

CREATE UNIQUE INDEX pgqueuer_picked_slot_idx ON pgqueuer (entrypoint, slot)
WHERE status = 'picked' AND slot IS NOT NULL;

CREATE INDEX pgqueuer_queue_manager_id_idx ON pgqueuer (queue_manager_id) WHERE queue_manager_id IS NOT NULL;

CREATE UNIQUE INDEX pgqueuer_unique_dedupe_key ON pgqueuer (dedupe_key)
WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL;

CREATE INDEX pgqueuer_log_created ON pgqueuer_log (created);

CREATE INDEX pgqueuer_log_job_id_status ON pgqueuer_log (job_id, created DESC);

CREATE INDEX pgqueuer_log_not_aggregated ON pgqueuer_log ((1)) WHERE NOT aggregated;

CREATE INDEX pgqueuer_log_status ON pgqueuer_log (status);

CREATE UNIQUE INDEX pgqueuer_statistics_unique_count ON pgqueuer_statistics
(priority, date_trunc('sec', timezone('UTC', created)), status, entrypoint);


-- The functions that this database has.

-- One row: the digest of the files in functions/ that were applied last, empty before the first time.
CREATE TABLE function_digest (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    digest text NOT NULL
);

INSERT INTO function_digest (digest) VALUES ('');

-- migrate: rollback

DO $$
BEGIN
    RAISE EXCEPTION 'nothing comes before the baseline: drop the database instead';
END
$$;
