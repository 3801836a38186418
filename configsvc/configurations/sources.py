"""Use cases of sources: list, apply, release, and the leases of those who apply them."""

from collections.abc import Sequence

import structlog

from configsvc.configurations.reads import Reads
from configsvc.domain.errors import ResourceNotFoundError, VersionMismatchError, WriteConflictError
from configsvc.domain.models import ApplicationRef, Effect, IdRef, WriteContext, Written
from configsvc.domain.preconditions import Precondition
from configsvc.domain.requests import PageRequest
from configsvc.domain.scope import Only, Scope
from configsvc.domain.sources import AppliedPage, Lease, LeaseKey, Source, SourceChange, SourceRelease, SourceState
from configsvc.domain.writes import BatchWrite, Owner
from configsvc.storage import applications, source_leases, sources
from configsvc.storage.database import Connection, Database
from configsvc.writes import idempotency
from configsvc.writes.source_writes import Applied, SourceWrites, lock_owner
from configsvc.writes.transactions import Writes, queue_key

log = structlog.get_logger()

TRIES = 3


class Sources:
    """The use cases of sources.

    Every method raises DatabaseUnavailableError; those that write also raise WriteConflictError.
    """

    def __init__(self, database: Database, writes: Writes, source_writes: SourceWrites, reads: Reads) -> None:
        self._database = database
        self._writes = writes
        self._source_writes = source_writes
        self._reads = reads

    async def list_page(
        self,
        ref: ApplicationRef | None,
        repository: str | None,
        path: str | None,
        page: PageRequest[str],
        scope: Scope,
    ) -> tuple[Sequence[Source], str | None]:
        """Return a page of the sources in scope, and the last id if there are more. Raises ResourceNotFoundError."""
        async with self._database.read_list() as connection:
            if ref is not None:
                scope = Only(frozenset({await _application_id(connection, ref, scope)}))
            return await sources.page(
                connection, scope=scope, repository=repository, path=path, after=page.after, limit=page.limit
            )

    async def list_applied(self, ref: ApplicationRef, page: PageRequest[str], scope: Scope) -> AppliedPage:
        """Return a page of the marks of an application. Raises ResourceNotFoundError."""
        # A name can mean another application by now.
        found = IdRef(id=page.resource_id) if page.resource_id else ref
        async with self._database.read() as connection:
            marks = await sources.marks_page(connection, found, after=page.after, limit=page.limit)
        if marks is None or not scope.includes(marks.application_id):
            raise ResourceNotFoundError("application", str(ref))
        return marks

    async def apply(
        self,
        change: SourceChange,
        writes: Sequence[BatchWrite],
        preconditions: Sequence[Precondition],
        context: WriteContext,
    ) -> Applied:
        """Make all writes of a source in one commit, and mark what they leave, or do nothing.

        Raises what `SourceWrites.apply` raises.
        """
        applied = await self._source_writes.apply(change, writes, preconditions, context)
        self._reads.require(applied.batch.revision)
        if applied.is_taken:
            source = applied.source.result
            _log_owner("source taken", Owner(id=source.application_id, name=source.application), source, context)
        return applied

    async def release(self, release: SourceRelease, context: WriteContext) -> bool:
        """Remove the source of an application with its marks; return False if there was none, and that may be.

        Raises ResourceNotFoundError, VersionMismatchError or RequestIdReusedError.
        """
        released: tuple[Owner, SourceState] | None = None

        async def change(connection: Connection) -> Effect:
            nonlocal released
            released = await _release(connection, release, context)
            if released is None:
                return Effect(written=None, changed=False)
            owner, source = released
            return Effect(written=Written(resource_id=owner.id, version=source.version), changed=True)

        async def once(connection: Connection) -> bool:
            if context.validate_only:
                return (await change(connection)).changed
            return (await idempotency.once(connection, context, change)).changed

        async def load(_: Connection, changed: bool) -> bool:
            return changed

        queue = queue_key(context, f"source {release.application}")
        changed = await self._writes.run(queue, once, load, keep=not context.validate_only)
        if released is not None and not context.validate_only:
            _log_owner("source released", *released, context)
        return changed

    async def acquire_lease(self, key: LeaseKey, holder: str, seconds: float) -> Lease:
        """Acquire or extend a lease of the holder, if nobody else has it; return who has it.

        Raises RateLimitedError if the caller has too many leases.
        """
        for _ in range(TRIES):
            async with self._database.write() as connection:
                lease = await source_leases.acquire(connection, key, holder, seconds)
            if lease is not None:
                return lease
        raise WriteConflictError

    async def release_lease(self, key: LeaseKey, holder: str) -> bool:
        """End the lease of a holder; return whether it had it."""
        async with self._database.write() as connection:
            return await source_leases.release(connection, key, holder)


async def _application_id(connection: Connection, ref: ApplicationRef, scope: Scope) -> str:
    application = await applications.get(connection, ref)
    if application is None or not scope.includes(application.id):
        raise ResourceNotFoundError("application", str(ref))
    return application.id


async def _release(
    connection: Connection, release: SourceRelease, context: WriteContext
) -> tuple[Owner, SourceState] | None:
    """Delete the source; return it with its application, or None if there is none, and that may be."""
    owner = await lock_owner(connection, release.application, context.scope)
    source = await sources.lock(connection, owner.id)
    if source is None:
        if release.allow_missing:
            return None
        raise ResourceNotFoundError("source of application", owner.name)
    if release.expected_etag not in {"", source.etag}:
        raise VersionMismatchError(expected=None, current=source.version)
    await sources.delete(connection, owner.id)
    return owner, source


def _log_owner(event: str, owner: Owner, source: SourceState, context: WriteContext) -> None:
    # Sources are no part of the history, so nothing else keeps who changed the owner of an application.
    log.info(
        event,
        application=owner.name,
        application_id=owner.id,
        repository=source.applied.repository,
        path=source.applied.path,
        commit=source.applied.commit,
        caller=context.actor,
        request_id=context.request_id,
    )
