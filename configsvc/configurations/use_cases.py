"""Use cases of configurations: create, get, list, update, restore, delete, batch."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from ulid import ULID

from configsvc.configurations.reads import Reads, Shown
from configsvc.domain.errors import ResourceNotFoundError
from configsvc.domain.models import (
    Configuration,
    ConfigurationFilter,
    ConfigurationQuery,
    ConfigurationRef,
    Done,
    IdRef,
    KeyRef,
    Now,
    Page,
    WriteContext,
)
from configsvc.domain.preconditions import Precondition
from configsvc.domain.requests import BatchLookup, ConfigurationListing
from configsvc.domain.sizes import MAX_RESPONSE_BYTES
from configsvc.domain.writes import BatchWrite, Creation, Deletion, Restoration, Update
from configsvc.storage import applications, configurations, log, moments
from configsvc.storage.database import Connection, Database
from configsvc.storage.deleted_configurations import page_with_deleted
from configsvc.writes.atomic_batch import AtomicBatches, BatchResult
from configsvc.writes.group_commit import GroupCommit


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A configuration for each reference, in the order of the request; None: it does not exist for the caller."""

    configurations: tuple[Configuration | None, ...]
    revision: int


class Configurations:
    """The use cases of configurations.

    Every method raises DatabaseUnavailableError; those that write also raise WriteConflictError and
    RequestIdReusedError.
    """

    def __init__(self, database: Database, writes: GroupCommit, batches: AtomicBatches, reads: Reads) -> None:
        self._database = database
        self._writes = writes
        self._batches = batches
        self._reads = reads

    async def create(self, creation: Creation) -> Done[Configuration]:
        """Create a configuration.

        Raises ResourceNotFoundError, ResourceExistsError, InvalidRequestError or SchemaViolatedError.
        """
        return self._noted(await self._writes.write(creation))

    def get(self, ref: ConfigurationRef, moment: Now, *, as_text: bool) -> Awaitable[Shown]:
        """Get a configuration. Raises ResourceNotFoundError, RevisionUnknownError or RecordUnreadableError."""
        return self._reads.get(ref, moment, as_text=as_text)

    def cached_application_id(self, ref: IdRef) -> str | None:
        """Return the application of a configuration, if it can be told from memory."""
        return self._reads.cached_application_id(ref)

    async def get_many(self, lookup: BatchLookup) -> Batch:
        """Return many configurations at one revision.

        Raises RevisionUnknownError, RevisionCompactedError, ResponseTooLargeError or RecordUnreadableError.
        """
        refs = lookup.refs
        async with self._database.read() as connection:
            found, revision = await configurations.get_many(
                connection,
                refs,
                revision=await moments.revision_of(connection, lookup.moment),
                with_config=lookup.with_config,
                limit_bytes=MAX_RESPONSE_BYTES,
                scope=lookup.scope,
            )
        by_ref: dict[ConfigurationRef, Configuration] = {}
        for configuration in found:
            by_ref[IdRef(id=configuration.id)] = configuration
            by_ref[KeyRef(application=configuration.application, name=configuration.name)] = configuration
        return Batch(configurations=tuple(map(by_ref.get, refs)), revision=revision)

    async def list_page(
        self, listing: ConfigurationListing, *, limit_bytes: int = MAX_RESPONSE_BYTES
    ) -> tuple[Page[Configuration], str | None]:
        """Return a page and the id of the filter's application. `limit_bytes` bounds the config of the page as JSON
        text; its first configuration alone may exceed it.

        Raises ResourceNotFoundError, RevisionUnknownError, RevisionCompactedError, InvalidRequestError or
        FilterTooSlowError.
        """
        chosen, page = listing.chosen, listing.page
        async with self._database.read_list() as connection:
            if page.after is None:
                revision = await moments.revision_of(connection, listing.moment)
                application_id = await _application_id(connection, chosen, revision)
            else:
                revision, application_id = page.revision, page.resource_id
            query = ConfigurationQuery(
                scope=chosen.scope,
                revision=revision,
                application_id=application_id,
                name_prefix=chosen.name_prefix,
                names=chosen.names or None,
                contains=chosen.contains,
                json_path=chosen.json_path,
                schema=chosen.schema.schema if chosen.schema else None,
                schema_version=(chosen.schema.version or None) if chosen.schema else None,
                after=page.after,
                limit=page.limit,
                with_config=listing.with_config,
                limit_bytes=limit_bytes,
            )
            read_page = page_with_deleted if listing.with_deleted else configurations.page
            return await read_page(connection, query), application_id

    async def update(self, update: Update) -> Done[Configuration]:
        """Update a configuration, or create it if that may be.

        Raises ResourceNotFoundError, VersionMismatchError, ResourceExistsError, InvalidRequestError or
        SchemaViolatedError.
        """
        return self._noted(await self._writes.write(update))

    async def restore(self, restoration: Restoration) -> Done[Configuration]:
        """Restore an earlier version of a configuration, or a deleted one.

        Raises ResourceNotFoundError, RevisionCompactedError, VersionMismatchError, ResourceExistsError,
        InvalidRequestError or SchemaViolatedError.
        """
        return self._noted(await self._batches.write_one(str(restoration), restoration))

    async def delete(self, deletion: Deletion) -> Done[int]:
        """Delete a configuration and return the revision; 0 if there was none, and that may be.

        Raises ResourceNotFoundError or VersionMismatchError.
        """
        done = await self._writes.write(deletion)
        revision = done.result.revision if done.result else 0
        self._reads.require(revision)
        return Done(result=revision, changed=done.changed)

    async def write_many(
        self, writes: Sequence[BatchWrite], preconditions: Sequence[Precondition], context: WriteContext
    ) -> BatchResult:
        """Do all writes in one commit, or none.

        Raises BatchFailedError, PreconditionFailedError, RevisionUnknownError, RevisionCompactedError,
        EpochChangedError or WriteTooLargeError.
        """
        # A key of its own: batches do not queue in this process, the database orders them.
        result = await self._batches.write(str(ULID()), writes, preconditions, context, with_config=False)
        self._reads.require(result.revision)
        return result

    def _noted(self, done: Done[Configuration | None]) -> Done[Configuration]:
        """Return the result of a write that leaves a configuration, which reads show from now on."""
        assert done.result is not None
        self._reads.note_write(done.result)
        return Done(result=done.result, changed=done.changed)


async def _application_id(connection: Connection, chosen: ConfigurationFilter, revision: int | None) -> str | None:
    ref = chosen.application
    if ref is None:
        return None
    if revision is None:
        application = await applications.get(connection, ref)
    else:
        await log.require_state(connection, revision)
        application = await applications.get_at(connection, ref, revision)
    if application is None or not chosen.scope.includes(application.id):
        raise ResourceNotFoundError("application", str(ref))
    return application.id
