"""ConfigurationService, without a transport."""

from collections.abc import AsyncIterable
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from typing import ClassVar

from google.longrunning.operations_proto_pb2 import Operation

from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import (
    BatchGetConfigurationsRequest,
    BatchGetConfigurationsResponse,
    BatchWriteConfigurationsRequest,
    BatchWriteConfigurationsResponse,
    CreateConfigurationRequest,
    DeleteConfigurationRequest,
    DeleteConfigurationResponse,
    DiffConfigurationVersionsRequest,
    DiffConfigurationVersionsResponse,
    ExportConfigurationsRequest,
    ListConfigurationsRequest,
    ListConfigurationsResponse,
    ListConfigurationVersionsRequest,
    ListConfigurationVersionsResponse,
    RollbackConfigurationRequest,
    UpdateConfigurationRequest,
    WatchConfigurationsRequest,
)
from configsvc.access.caller import Caller, Guard
from configsvc.api.batches import batch_response, parsed_batch, target_of
from configsvc.api.methods import Write
from configsvc.api.uploads import Uploads
from configsvc.api.watches import WatchEncoder
from configsvc.configurations.export import exported
from configsvc.configurations.history import ConfigurationHistory
from configsvc.configurations.use_cases import Configurations
from configsvc.domain.access import Role
from configsvc.domain.errors import ResourceNotFoundError
from configsvc.domain.models import ConfigurationRef, IdRef, KeyRef, PastMoment
from configsvc.domain.scope import Only
from configsvc.domain.selection import Selection
from configsvc.domain.watching import Watcher
from configsvc.limits.quotas import Quotas
from configsvc.offload.threads import LargeAnswers
from configsvc.watch.watches import Watches
from configsvc.wire import configurations as wire
from configsvc.wire.exports import encoded_exports, export
from configsvc.wire.history import comparison_message
from configsvc.wire.resources import configuration_message, encoded_configuration
from configsvc.wire.watch_requests import watch_request


class ConfigurationServicer:
    """One method for each RPC, named like it; those in TAKES_BYTES parse their requests themselves."""

    TAKES_BYTES: ClassVar = frozenset({"GetConfiguration"})

    def __init__(
        self,
        configurations: Configurations,
        history: ConfigurationHistory,
        watches: Watches,
        large: LargeAnswers,
        uploads: Uploads,
        quotas: Quotas,
        guard: Guard,
    ) -> None:
        self._quotas = quotas
        self._large = large
        self._encoder = WatchEncoder(large)
        self._configurations = configurations
        self._history = history
        self._uploads = uploads
        self._watches = watches
        self._guard = guard

    async def CreateConfiguration(self, request: CreateConfigurationRequest, caller: Caller) -> Configuration:
        creation = wire.creation(request, caller.author(caller.scope(Role.EDITOR)))
        caller.require_application(Role.EDITOR, creation.application)
        return configuration_message(await self._configurations.create(creation))

    async def GetConfiguration(self, data: bytes, caller: Caller) -> bytes:
        parsed = wire.lookup_from(data)
        if parsed.at is not None:
            return await self._get_past(parsed.ref, parsed.at, parsed.min_revision, caller)
        if caller.access.everywhere >= Role.VIEWER:
            return (await self._configurations.get(parsed.ref, min_revision=parsed.min_revision)).encoded
        return await self._get_confined(parsed.ref, parsed.min_revision, caller)

    async def _get_confined(self, ref: ConfigurationRef, min_revision: int, caller: Caller) -> bytes:
        await self._check_confined(ref, caller)
        with suppress(ResourceNotFoundError):
            answer = await self._configurations.get(ref, min_revision=min_revision)
            if caller.access.allows(Role.VIEWER, answer.application_id):
                return answer.encoded
        caller.require_configuration(Role.VIEWER, ref, None)
        raise ResourceNotFoundError("configuration", str(ref))

    async def _check_confined(self, ref: ConfigurationRef, caller: Caller) -> None:
        if isinstance(ref, KeyRef):
            caller.require_configuration(Role.VIEWER, ref, None)
        elif not caller.access.allows(Role.VIEWER, self._configurations.cached_application_id(ref)):
            # By id, neither the answer nor the work for it tells a missing configuration from a foreign one.
            await self._guard.require_configurations(caller, Role.VIEWER, (ref,))

    async def _get_past(self, ref: ConfigurationRef, at: PastMoment, min_revision: int, caller: Caller) -> bytes:
        await self._guard.require_configurations(caller, Role.VIEWER, (ref,))
        found = await self._history.get(ref, at, min_revision=min_revision, scope=caller.scope(Role.VIEWER))
        return encoded_configuration(found)

    async def BatchGetConfigurations(
        self, request: BatchGetConfigurationsRequest, caller: Caller
    ) -> BatchGetConfigurationsResponse:
        parsed = wire.batch_lookup(request, caller.scope(Role.VIEWER))
        await self._guard.require_configurations(caller, Role.VIEWER, parsed.refs)
        async with self._large.page():
            batch = await self._configurations.get_many(parsed)
            return await self._large.run(
                partial(wire.batch_response, batch.configurations, batch.not_found, batch.revision)
            )

    async def ListConfigurations(
        self, request: ListConfigurationsRequest, caller: Caller
    ) -> ListConfigurationsResponse:
        parsed = wire.listing(request, caller.scope(Role.VIEWER))
        caller.require_listed(Role.VIEWER, parsed.chosen.application)
        async with self._large.page():
            page, application_id = await self._configurations.list_page(parsed)
            return await self._large.run(partial(wire.list_response, request, page, application_id))

    async def UpdateConfiguration(self, request: UpdateConfigurationRequest, caller: Caller) -> Configuration:
        update = wire.update(request, caller.author(caller.scope(Role.EDITOR)))
        await self._guard.require_configurations(caller, Role.EDITOR, (update.ref,))
        return configuration_message(await self._configurations.update(update))

    async def DeleteConfiguration(
        self, request: DeleteConfigurationRequest, caller: Caller
    ) -> DeleteConfigurationResponse:
        deletion = wire.deletion(request, caller.author(caller.scope(Role.EDITOR)))
        await self._guard.require_configurations(caller, Role.EDITOR, (deletion.ref,))
        return DeleteConfigurationResponse(revision=await self._configurations.delete(deletion))

    async def ListConfigurationVersions(
        self, request: ListConfigurationVersionsRequest, caller: Caller
    ) -> ListConfigurationVersionsResponse:
        parsed = wire.version_listing(request, caller.scope(Role.VIEWER))
        known = IdRef(id=parsed.page.resource_id) if parsed.page.resource_id else parsed.ref
        await self._guard.require_configurations(caller, Role.VIEWER, (parsed.ref, known))
        async with self._large.page():
            configuration_id, page = await self._history.list_versions(replace(parsed, ref=known))
            return await self._large.run(partial(wire.versions_response, request, page, configuration_id))

    async def DiffConfigurationVersions(
        self, request: DiffConfigurationVersionsRequest, caller: Caller
    ) -> DiffConfigurationVersionsResponse:
        parsed, scope = wire.comparison(request), caller.scope(Role.VIEWER)
        await self._guard.require_configurations(caller, Role.VIEWER, (parsed.ref,))
        found = await self._history.compare(parsed.ref, parsed.from_version, parsed.to_version, scope=scope)
        return comparison_message(found)

    async def RollbackConfiguration(self, request: RollbackConfigurationRequest, caller: Caller) -> Configuration:
        rollback = wire.rollback(request, caller.author(caller.scope(Role.EDITOR)))
        await self._guard.require_configurations(caller, Role.EDITOR, (rollback.ref,))
        return configuration_message(await self._configurations.roll_back(rollback))

    async def ExportConfigurations(self, request: ExportConfigurationsRequest, caller: Caller, write: Write) -> None:
        parsed = export(request, caller.scope(Role.VIEWER))
        caller.require_listed(Role.VIEWER, parsed.chosen.application)
        pages = exported(self._configurations, parsed, caller.check_current)
        with caller.long_lived("export"):
            async with aclosing(pages):
                async for page in pages:
                    for encoded in await self._large.run(partial(encoded_exports, page.revision, page.resources)):
                        await write(encoded)

    async def ImportConfigurations(self, data: AsyncIterable[bytes], caller: Caller) -> Operation:
        with caller.long_lived("upload"):
            return await self._uploads.start(data, caller)

    async def BatchWriteConfigurations(
        self, request: BatchWriteConfigurationsRequest, caller: Caller
    ) -> BatchWriteConfigurationsResponse:
        writes, context = await parsed_batch(request, caller.author(caller.scope(Role.EDITOR)))
        await self._guard.require_configurations(caller, Role.EDITOR, dict.fromkeys(map(target_of, writes)))
        result = await self._configurations.write_many(writes, context)
        return await batch_response(result, len(writes))

    async def WatchConfigurations(self, request: WatchConfigurationsRequest, caller: Caller, write: Write) -> None:
        parsed = watch_request(request, caller.scope(Role.VIEWER))
        parsed = replace(parsed, selection=_confined(parsed.selection, caller))
        watcher = Watcher(principal=caller.actor, peer=caller.peer, instance=parsed.instance)
        with self._quotas.watching(caller.quota, parsed.size_bytes):
            await self._watches.watch(parsed, watcher, caller.check_current, self._encoder.encoded, write)


def _confined(selection: Selection, caller: Caller) -> Selection:
    """Return the selection, confined to the applications that it names unless the caller may watch all."""
    if not selection.selectors or any(selector.application is None for selector in selection.selectors):
        caller.require(Role.VIEWER, None, "a watch without an application in each selector")
    applications = {selector.application for selector in selection.selectors if selector.application}
    own = {caller.require_application(Role.VIEWER, application) for application in applications}
    return selection if None in own or not own else replace(selection, scope=Only(frozenset(filter(None, own))))
