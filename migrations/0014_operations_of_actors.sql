-- Operations by who began them
-- depends: 0013_service_role

-- migrate: apply

-- One transaction, at a start for which the service is not there yet.
-- squawk-ignore-file require-concurrent-index-creation

CREATE INDEX operations_actor_id ON operations (actor, id);

-- migrate: rollback

DROP INDEX operations_actor_id;
