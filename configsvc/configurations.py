"""What callers do with configurations."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ulid import ULID

from configsvc.domain.content import JsonObject, canonical_content, check_content_size, merge_patch, same_json
from configsvc.domain.errors import ResourceNotFoundError, VersionMismatchError, Violations
from configsvc.domain.models import (
    ApplicationRef,
    Configuration,
    ConfigurationFilter,
    ConfigurationQuery,
    ConfigurationRef,
    ConfigurationUpdate,
    IdRef,
    KeyRef,
    Kind,
    Page,
    WriteContext,
    Written,
)
from configsvc.storage import applications, configurations, log
from configsvc.writes import Writes

if TYPE_CHECKING:
    from configsvc.storage.database import Connection, Database

# What gRPC clients take without being told to take more is 4 MiB.
MAX_RESPONSE_BYTES = 3 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPosition:
    """Where a list goes on: in the state of which revision, of which application, after which key."""

    revision: int
    application_id: str | None
    after: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Those that exist, once each, and the names of those that do not, both in the order of the request."""

    configurations: tuple[Configuration, ...]
    not_found: tuple[ConfigurationRef, ...]
    revision: int


class Configurations:
    """Every method raises DatabaseUnavailableError, and those that change something WriteConflictError and
    RequestIdReusedError too.
    """

    def __init__(self, database: "Database", writes: Writes) -> None:
        self._database = database
        self._writes = writes

    async def create(
        self, application: ApplicationRef, *, name: str, comments: str, config: JsonObject, context: WriteContext
    ) -> Configuration:
        """Raises ResourceNotFoundError, ResourceExistsError or InvalidRequestError."""

        async def change(connection: "Connection") -> Written:
            owner = await applications.share(connection, application)
            if owner is None:
                raise ResourceNotFoundError("application", str(application))
            return await configurations.insert(
                connection,
                str(ULID()),
                application_id=owner[0],
                application=owner[1],
                name=name,
                comments=comments,
                config=config,
                context=context,
            )

        return await self._writes.run(context, f"{application}:{name}", change, configurations.get_version)

    async def get(self, ref: ConfigurationRef, *, min_revision: int) -> Configuration:
        """Raises ResourceNotFoundError or RevisionUnknownError."""
        async with self._database.read() as connection:
            await log.require_revision(connection, min_revision)
            configuration = await configurations.get(connection, ref)
        if configuration is None:
            raise ResourceNotFoundError("configuration", str(ref))
        return configuration

    async def get_many(self, refs: Sequence[ConfigurationRef], *, min_revision: int, with_config: bool) -> Batch:
        """Many at one revision. Raises RevisionUnknownError or ResponseTooLargeError."""
        async with self._database.read() as connection:
            await log.require_revision(connection, min_revision)
            found, revision = await configurations.get_many(
                connection, refs, with_config=with_config, limit_bytes=MAX_RESPONSE_BYTES
            )
        by_ref: dict[ConfigurationRef, Configuration] = {}
        for configuration in found:
            by_ref[IdRef(id=configuration.id)] = configuration
            by_ref[KeyRef(application=configuration.application, name=configuration.name)] = configuration
        shown = {by_ref[ref].id: by_ref[ref] for ref in refs if ref in by_ref}
        not_found = dict.fromkeys(ref for ref in refs if ref not in by_ref)
        return Batch(configurations=tuple(shown.values()), not_found=tuple(not_found), revision=revision)

    async def list_page(
        self,
        chosen: ConfigurationFilter,
        *,
        min_revision: int,
        position: ListPosition | None,
        limit: int,
        with_config: bool,
    ) -> tuple[Page[Configuration], str | None]:
        """The first page, as of now, or the one at the position; and the id of the filter's application.

        Raises ResourceNotFoundError, RevisionUnknownError, RevisionCompactedError, InvalidRequestError or
        FilterTooSlowError.
        """
        async with self._database.read() as connection:
            await log.require_revision(connection, min_revision)
            if chosen.json_path is not None:
                await configurations.check_json_path(connection, chosen.json_path)
            application_id = (
                position.application_id if position else await _application_id(connection, chosen.application)
            )
            query = ConfigurationQuery(
                revision=position.revision if position else None,
                application_id=application_id,
                name_prefix=chosen.name_prefix,
                contains=chosen.contains,
                json_path=chosen.json_path,
                after=position.after if position else None,
                limit=limit,
                with_config=with_config,
                limit_bytes=MAX_RESPONSE_BYTES,
            )
            return await configurations.page(connection, query), application_id

    async def update(
        self, ref: ConfigurationRef, update: ConfigurationUpdate, *, expected_version: int, context: WriteContext
    ) -> Configuration:
        """Raises ResourceNotFoundError, VersionMismatchError, ResourceExistsError or InvalidRequestError."""

        async def change(connection: "Connection") -> Written:
            current = await _locked(connection, ref, expected_version)
            name = current.name if update.name is None else update.name
            comments = current.comments if update.comments is None else update.comments
            assert current.config is not None
            config = _new_config(current.config, update)
            if (name, comments) == (current.name, current.comments) and same_json(config, current.config):
                return Written(resource_id=current.id, version=current.version)
            return await configurations.update(
                connection, current, name=name, comments=comments, config=config, context=context
            )

        return await self._writes.run(context, str(ref), change, configurations.get_version)

    async def delete(self, ref: ConfigurationRef, *, expected_version: int, context: WriteContext) -> int:
        """The revision of the deletion. Raises ResourceNotFoundError or VersionMismatchError."""

        async def change(connection: "Connection") -> Written:
            current = await _locked(connection, ref, expected_version)
            await log.explain_deletion(connection, context)
            return await configurations.delete(connection, current.id)

        return await self._writes.run(context, str(ref), change, partial(log.revision_of, Kind.CONFIGURATION))


async def _application_id(connection: "Connection", ref: ApplicationRef | None) -> str | None:
    if ref is None:
        return None
    application = await applications.get(connection, ref)
    if application is None:
        raise ResourceNotFoundError("application", str(ref))
    return application.id


async def _locked(connection: "Connection", ref: ConfigurationRef, expected_version: int) -> Configuration:
    # Who waited for a row that was deleted and made again in one transaction found only the old one gone.
    current = await configurations.lock(connection, ref) or await configurations.lock(connection, ref)
    if current is None:
        raise ResourceNotFoundError("configuration", str(ref))
    if expected_version and expected_version != current.version:
        raise VersionMismatchError(expected=expected_version, current=current.version)
    return current


def _new_config(current: JsonObject, update: ConfigurationUpdate) -> JsonObject:
    if update.merge_patch is None:
        return current if update.config is None else update.config
    violations = Violations()
    merged = canonical_content(merge_patch(current, update.merge_patch), "merge_patch", violations)
    check_content_size(merged, "merge_patch", violations)
    violations.check()
    return merged
