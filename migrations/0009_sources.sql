-- Sources of applications, what they own, and the leases of those that apply them
-- depends: 0008_items_by_reference

-- migrate: apply

-- These tables are the service's own. They are no part of the log: no commit has a revision because of them.

CREATE TABLE application_sources (
    application_id text COLLATE "C" PRIMARY KEY REFERENCES applications (id) ON DELETE CASCADE,
    repository text NOT NULL,
    path text NOT NULL,
    commit text NOT NULL,
    version bigint NOT NULL,
    apply_time timestamptz NOT NULL,
    applied_by text NOT NULL,
    CONSTRAINT source_texts_fit CHECK (
        length(repository) <= 1024 AND length(path) <= 1024 AND length(commit) <= 256 AND length(applied_by) <= 1024
    )
);

-- The marks of a source. They do not refer to configurations: a mark stays if others delete what it is for.
CREATE TABLE applied_configurations (
    application_id text COLLATE "C" NOT NULL REFERENCES application_sources (application_id) ON DELETE CASCADE,
    configuration_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    PRIMARY KEY (application_id, configuration_id),
    CONSTRAINT applied_configuration_texts_fit CHECK (length(configuration_id) <= 26 AND length(name) <= 256)
);

-- key: a digest of actor, repository and path, which are too long for an index.
CREATE TABLE source_leases (
    key bytea PRIMARY KEY,
    actor text NOT NULL,
    repository text NOT NULL,
    path text NOT NULL,
    holder text NOT NULL,
    expire_time timestamptz NOT NULL,
    CONSTRAINT source_lease_texts_fit CHECK (
        length(actor) <= 1024 AND length(repository) <= 1024 AND length(path) <= 1024 AND length(holder) <= 256
    )
);

CREATE INDEX source_leases_expire_time ON source_leases (expire_time);

-- migrate: rollback

DROP TABLE source_leases;

DROP TABLE applied_configurations;

DROP TABLE application_sources;
