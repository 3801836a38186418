"""ConfigurationService, without a transport."""

from collections.abc import AsyncIterable, Awaitable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from typing import ClassVar

from google.longrunning.operations_proto_pb2 import Operation

from configapi.v1.configuration_service_pb2 import (
    BatchGetConfigurationsRequest,
    BatchGetConfigurationsResponse,
    BatchWriteConfigurationsRequest,
    BatchWriteConfigurationsResponse,
    CreateConfigurationRequest,
    CreateConfigurationResponse,
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
    RollbackConfigurationResponse,
    UndeleteConfigurationRequest,
    UndeleteConfigurationResponse,
    UpdateConfigurationRequest,
    UpdateConfigurationResponse,
    WatchConfigurationsRequest,
)
from configsvc.access.caller import Caller, Guard
from configsvc.api.batches import batch_response, parsed_batch, targets_of
from configsvc.api.methods import Encoded, Offer, Write, Writer
from configsvc.api.polling import Poll, Polled, PolledPage
from configsvc.api.uploads import Uploads
from configsvc.api.watches import WatchEncoder
from configsvc.configurations.export import exported
from configsvc.configurations.history import ConfigurationHistory
from configsvc.configurations.reads import Shown
from configsvc.configurations.use_cases import Configurations
from configsvc.domain import models
from configsvc.domain.access import Role
from configsvc.domain.errors import DatabaseUnavailableError, ResourceNotFoundError, Violations
from configsvc.domain.models import ConfigurationRef, KeyRef, Now, Page, PastMoment
from configsvc.domain.preconditions import Precondition
from configsvc.domain.requests import ConfigurationExport
from configsvc.domain.scope import Only, Scope
from configsvc.domain.selection import Selection
from configsvc.domain.watching import After, RestOfSnapshot, Snapshot, Watcher, WatchRequest
from configsvc.domain.writes import BatchWrite
from configsvc.feed.feed import Feed
from configsvc.limits.quotas import Quotas
from configsvc.offload.threads import LargeAnswers
from configsvc.watch.sending import Passing
from configsvc.watch.watches import Watches
from configsvc.wire import configurations as wire
from configsvc.wire import write_requests
from configsvc.wire.exports import encoded_exports, export
from configsvc.wire.history import comparison_message
from configsvc.wire.watch_pages import parsed_watch_page_token, watch_page_token
from configsvc.wire.watch_requests import watch_request
from configsvc.wire.watches import resume_token
from configsvc.wire.write_requests import written


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
        feed: Feed,
    ) -> None:
        self._quotas = quotas
        self._large = large
        self._encoder = WatchEncoder(large)
        self._configurations = configurations
        self._history = history
        self._uploads = uploads
        self._watches = watches
        self._guard = guard
        self._feed = feed

    async def CreateConfiguration(
        self, request: CreateConfigurationRequest, caller: Caller
    ) -> CreateConfigurationResponse:
        creation = write_requests.creation(request, caller.author(caller.scope(Role.EDITOR)))
        caller.require_application(Role.EDITOR, creation.application)
        epoch = self._feed.epoch_for()
        return written(CreateConfigurationResponse, request, await self._configurations.create(creation), epoch)

    async def GetConfiguration(self, data: bytes, caller: Caller) -> Encoded:
        parsed = wire.lookup_from(data)
        # Taken before the data are read, so that it is never newer than they are.
        epoch = self._feed.epoch_for(parsed.epoch)
        shown = await self._found(parsed, caller)
        return shown.encoded, wire.encoded_moment(shown.revision, epoch)

    def _found(self, parsed: wire.Lookup, caller: Caller) -> Awaitable[Shown]:
        moment = parsed.moment
        if not isinstance(moment, Now):
            return self._get_past(parsed, moment, caller)
        if caller.access.everywhere >= Role.VIEWER:
            return self._configurations.get(parsed.ref, moment, as_text=parsed.as_text)
        return self._get_confined(parsed, moment, caller)

    async def _get_confined(self, parsed: wire.Lookup, moment: Now, caller: Caller) -> Shown:
        ref = parsed.ref
        await self._check_confined(ref, caller)
        with suppress(ResourceNotFoundError):
            shown = await self._configurations.get(ref, moment, as_text=parsed.as_text)
            if caller.access.allows(Role.VIEWER, shown.application_id):
                return shown
        caller.require_configuration(Role.VIEWER, ref, None)
        raise ResourceNotFoundError("configuration", str(ref))

    async def _check_confined(self, ref: ConfigurationRef, caller: Caller) -> None:
        if isinstance(ref, KeyRef):
            caller.require_configuration(Role.VIEWER, ref, None)
        elif not caller.access.allows(Role.VIEWER, self._configurations.cached_application_id(ref)):
            # By id, neither the answer nor the work for it tells a missing configuration from a foreign one.
            await self._guard.require_configurations(caller, Role.VIEWER, (ref,))

    async def _get_past(self, parsed: wire.Lookup, moment: PastMoment, caller: Caller) -> Shown:
        await self._guard.require_configurations(caller, Role.VIEWER, (parsed.ref,))
        found, revision = await self._history.get(parsed.ref, moment, scope=caller.scope(Role.VIEWER))
        return Shown(found.application_id, wire.encoded_response(found, as_text=parsed.as_text), revision)

    async def BatchGetConfigurations(
        self, request: BatchGetConfigurationsRequest, caller: Caller
    ) -> BatchGetConfigurationsResponse:
        reading = wire.batch_lookup(request, caller.scope(Role.VIEWER))
        await self._guard.require_configurations(caller, Role.VIEWER, reading.parsed.refs)
        epoch = self._feed.epoch_for(reading.epoch)
        async with self._large.page():
            batch = await self._configurations.get_many(reading.parsed)
            return await self._large.run(
                partial(wire.batch_response, batch.configurations, batch.revision, epoch, as_text=reading.as_text)
            )

    async def ListConfigurations(
        self, request: ListConfigurationsRequest, caller: Caller
    ) -> ListConfigurationsResponse:
        reading = wire.listing(request, caller.scope(Role.VIEWER))
        caller.require_listed(Role.VIEWER, reading.parsed.chosen.application)
        epoch = self._feed.epoch_for(reading.epoch)
        async with self._large.page():
            page, application_id = await self._configurations.list_page(reading.parsed)
            return await self._large.run(
                partial(wire.list_response, request, page, application_id, epoch, as_text=reading.as_text)
            )

    async def UpdateConfiguration(
        self, request: UpdateConfigurationRequest, caller: Caller
    ) -> UpdateConfigurationResponse:
        update = write_requests.update(request, caller.author(caller.scope(Role.EDITOR)))
        await self._guard.require_configurations(caller, Role.EDITOR, (update.ref,))
        epoch = self._feed.epoch_for()
        return written(UpdateConfigurationResponse, request, await self._configurations.update(update), epoch)

    async def DeleteConfiguration(
        self, request: DeleteConfigurationRequest, caller: Caller
    ) -> DeleteConfigurationResponse:
        deletion = write_requests.deletion(request, caller.author(caller.scope(Role.EDITOR)))
        await self._guard.require_configurations(caller, Role.EDITOR, (deletion.ref,))
        epoch = self._feed.epoch_for()
        done = await self._configurations.delete(deletion)
        return DeleteConfigurationResponse(revision=done.result, epoch=epoch, changed=done.changed)

    async def ListConfigurationVersions(
        self, request: ListConfigurationVersionsRequest, caller: Caller
    ) -> ListConfigurationVersionsResponse:
        reading = wire.version_listing(request, caller.scope(Role.VIEWER))
        await self._guard.require_configurations(caller, Role.VIEWER, reading.parsed.refs)
        epoch = self._feed.epoch_for(reading.epoch)
        async with self._large.page():
            configuration_id, page = await self._history.list_versions(reading.parsed)
            make = partial(wire.versions_response, request, page, configuration_id, epoch, as_text=reading.as_text)
            return await self._large.run(make)

    async def DiffConfigurationVersions(
        self, request: DiffConfigurationVersionsRequest, caller: Caller
    ) -> DiffConfigurationVersionsResponse:
        parsed, scope = wire.comparison(request), caller.scope(Role.VIEWER)
        await self._guard.require_configurations(caller, Role.VIEWER, (parsed.ref,))
        found = await self._history.compare(parsed.ref, parsed.from_version, parsed.to_version, scope=scope)
        return comparison_message(found, as_text=parsed.as_text)

    async def RollbackConfiguration(
        self, request: RollbackConfigurationRequest, caller: Caller
    ) -> RollbackConfigurationResponse:
        rollback = write_requests.rollback(request, caller.author(caller.scope(Role.EDITOR)))
        await self._guard.require_configurations(caller, Role.EDITOR, (rollback.ref,))
        epoch = self._feed.epoch_for()
        return written(RollbackConfigurationResponse, request, await self._configurations.restore(rollback), epoch)

    async def UndeleteConfiguration(
        self, request: UndeleteConfigurationRequest, caller: Caller
    ) -> UndeleteConfigurationResponse:
        undeletion = write_requests.undeletion(request, caller.author(caller.scope(Role.EDITOR)))
        await self._guard.require_configurations(caller, Role.EDITOR, (undeletion.ref,))
        epoch = self._feed.epoch_for()
        return written(UndeleteConfigurationResponse, request, await self._configurations.restore(undeletion), epoch)

    async def ExportConfigurations(self, request: ExportConfigurationsRequest, caller: Caller, writer: Writer) -> None:
        parsed = export(request, caller.scope(Role.VIEWER))
        caller.require_listed(Role.VIEWER, parsed.chosen.application)
        epoch = self._feed.epoch_for(parsed.epoch)
        pages = exported(self._configurations, parsed, partial(self._check_current, caller, epoch))
        with caller.long_lived("export"):
            async with aclosing(pages):
                async for page in pages:
                    await self._write_page(page, parsed, epoch, writer.write)

    def _check_current(self, caller: Caller, epoch: str) -> None:
        caller.check_current()
        # All pages must be of one history.
        self._feed.check_epoch(epoch)

    async def _write_page(
        self, page: Page[models.Configuration], parsed: ConfigurationExport, epoch: str, write: Write
    ) -> None:
        encode = partial(encoded_exports, page.resources, page.revision, epoch, as_text=parsed.as_text)
        for encoded in await self._large.run(encode):
            await write(encoded)

    async def ImportConfigurations(self, data: AsyncIterable[bytes], caller: Caller) -> Operation:
        with caller.long_lived("upload"):
            return await self._uploads.start(data, caller)

    async def BatchWriteConfigurations(
        self, request: BatchWriteConfigurationsRequest, caller: Caller
    ) -> BatchWriteConfigurationsResponse:
        author, visible = caller.author(caller.scope(Role.EDITOR)), caller.scope(Role.VIEWER)
        with Violations() as violations:
            writes, preconditions, context = await parsed_batch(request, author, visible, violations)
        await self._require_batch(caller, writes, preconditions)
        epoch = self._feed.epoch_for()
        result = await self._configurations.write_many(writes, preconditions, context)
        return await batch_response(result, epoch)

    async def _require_batch(
        self, caller: Caller, writes: Sequence[BatchWrite], preconditions: Sequence[Precondition]
    ) -> None:
        applications, refs = targets_of(writes)
        for application in applications:
            caller.require_application(Role.EDITOR, application)
        for condition in preconditions:
            caller.require_listed(Role.VIEWER, condition.application)
        await self._guard.require_configurations(caller, Role.EDITOR, refs)

    async def WatchConfigurations(self, request: WatchConfigurationsRequest, caller: Caller, writer: Writer) -> None:
        await self._watch(_watch_request(request, caller), caller, writer.write, writer.offer, None)

    async def poll(
        self, request: WatchConfigurationsRequest, caller: Caller, page_token: str | None, wait_seconds: float
    ) -> PolledPage:
        """Return what a watch sends first, once there is something, or nothing after the wait.

        Raises DatabaseUnavailableError if nothing was heard of the log lately: silence would not tell that nothing
        has changed.
        """
        parsed, skipped = _rest_of(request, _watch_request(request, caller), page_token)
        whole = isinstance(parsed.start, Snapshot | RestOfSnapshot)
        poll = Poll(wait_seconds, whole=whole, skipped=skipped)
        polled = await poll.collect(lambda write, passing: self._watch(parsed, caller, write, None, passing))
        if not polled.messages and not self._feed.live:
            raise DatabaseUnavailableError
        return _polled_page(request, parsed.selection.scope, polled)

    async def _watch(
        self, parsed: WatchRequest, caller: Caller, write: Write, offer: Offer | None, passing: Passing | None
    ) -> None:
        encode = self._encoder.encoded
        watcher = Watcher(principal=caller.actor, peer=caller.peer, instance=parsed.instance)
        with self._quotas.watching(caller.quota, parsed.size_bytes):
            await self._watches.watch(parsed, watcher, caller.check_current, encode, write, offer, passing)


def _rest_of(
    request: WatchConfigurationsRequest, parsed: WatchRequest, page_token: str | None
) -> tuple[WatchRequest, int]:
    """Return the watch that goes on where a page has ended, and how many of its first events were in the page."""
    if page_token is None:
        return parsed, 0
    rest, skipped = parsed_watch_page_token(request, parsed.selection.scope, page_token)
    return replace(parsed, start=rest), skipped


def _polled_page(request: WatchConfigurationsRequest, scope: Scope, polled: Polled) -> PolledPage:
    place = polled.place
    if isinstance(place, After) and not polled.skipped:
        token = resume_token(place.epoch, place.revision)
        return PolledPage(messages=polled.messages, resume_token=token, next_page_token="")
    token = watch_page_token(request, scope, place, polled.skipped)
    return PolledPage(messages=polled.messages, resume_token="", next_page_token=token)


def _watch_request(request: WatchConfigurationsRequest, caller: Caller) -> WatchRequest:
    parsed = watch_request(request, caller.scope(Role.VIEWER))
    return replace(parsed, selection=_confined(parsed.selection, caller))


def _confined(selection: Selection, caller: Caller) -> Selection:
    """Return the selection, confined to the applications that it names unless the caller may watch all."""
    if not selection.selectors or any(selector.application is None for selector in selection.selectors):
        caller.require(Role.VIEWER, None, "a watch without an application in each selector")
    applications = {selector.application for selector in selection.selectors if selector.application}
    own = {caller.require_application(Role.VIEWER, application) for application in applications}
    return selection if None in own or not own else replace(selection, scope=Only(frozenset(filter(None, own))))
