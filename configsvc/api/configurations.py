"""ConfigurationService: requests to use cases, answers to messages."""

import asyncio
from collections.abc import AsyncIterable
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import lru_cache, partial
from typing import ClassVar

from google.longrunning.operations_proto_pb2 import Operation

from configapi.v1.configuration_pb2 import CONFIGURATION_VIEW_UNSPECIFIED, Configuration
from configapi.v1.configuration_service_pb2 import (
    BatchGetConfigurationsRequest,
    BatchGetConfigurationsResponse,
    BatchWriteConfigurationsRequest,
    BatchWriteConfigurationsResponse,
    ConfigurationWriteOutcome,
    CreateConfigurationRequest,
    DeleteConfigurationRequest,
    DeleteConfigurationResponse,
    DiffConfigurationVersionsRequest,
    DiffConfigurationVersionsResponse,
    ExportConfigurationsRequest,
    GetConfigurationRequest,
    ListConfigurationsRequest,
    ListConfigurationsResponse,
    ListConfigurationVersionsRequest,
    ListConfigurationVersionsResponse,
    RollbackConfigurationRequest,
    UpdateConfigurationRequest,
    WatchConfigurationsRequest,
)
from configsvc.access.caller import Caller, Guard
from configsvc.api.methods import Write
from configsvc.api.statuses import status_of
from configsvc.api.uploads import Uploads
from configsvc.api.watches import WatchEncoder
from configsvc.configurations.export import exported
from configsvc.configurations.history import ConfigurationHistory
from configsvc.configurations.use_cases import Configurations, ListPosition
from configsvc.domain.access import Role
from configsvc.domain.errors import ResourceNotFoundError, ResponseTooLargeError, Violations
from configsvc.domain.models import ConfigurationRef, IdRef, KeyRef, Moment, NameRef
from configsvc.domain.scope import Only
from configsvc.domain.selection import Selection
from configsvc.domain.sizes import MAX_RESPONSE_BYTES
from configsvc.domain.writes import Creation, Deletion, JointWrite, Rollback, Update, Upsert
from configsvc.limits.quotas import Quotas
from configsvc.offload.threads import LargeAnswers
from configsvc.watch.watches import Watches
from configsvc.wire import requests
from configsvc.wire.exports import encoded_exports, export_filter
from configsvc.wire.history import comparison_message, moment, version_message
from configsvc.wire.page_tokens import page_token, parsed_page_token
from configsvc.wire.parsing import parsed
from configsvc.wire.resources import configuration_message, configuration_ref_message, encoded_configuration
from configsvc.wire.responses import fitting
from configsvc.wire.watches import watch_request
from configsvc.wire.writes import MAX_WRITES, check_number, joint_write
from configsvc.writes.atomic_batch import Joint

# Clients ask for the same again and again, and to parse and check a request takes as long as to answer it.
REMEMBERED_REQUESTS = 4096
REMEMBERED_REQUEST_BYTES = 1024
# Other calls come between the parts of a large batch.
WRITES_AT_A_TIME = 50


class ConfigurationServicer:
    """Its methods are named for the RPCs that they answer; those in TAKES_BYTES parse their requests themselves."""

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
        violations = Violations()
        application = requests.application_ref(request.application, "application", violations)
        name = requests.new_name(request.name, "name", violations)
        comments = requests.comments(request.comments, "comments", violations)
        config = requests.required_config(request, "", violations)
        schema = requests.new_pin(request, "", violations)
        context = requests.write_context(request, caller, caller.scope(Role.EDITOR), violations)
        violations.check()
        caller.require_application(Role.EDITOR, application)
        creation = Creation(
            application=application, name=name, comments=comments, config=config, schema=schema, context=context
        )
        return configuration_message(await self._configurations.create(creation))

    async def GetConfiguration(self, data: bytes, caller: Caller) -> bytes:
        checked = _remembered_get(data) if len(data) <= REMEMBERED_REQUEST_BYTES else _checked_get(data)
        ref, min_revision, at = checked
        if at is not None:
            return await self._get_past(ref, at, min_revision, caller)
        if caller.access.everywhere >= Role.VIEWER:
            return (await self._configurations.get(ref, min_revision=min_revision)).encoded
        return await self._get_confined(ref, min_revision, caller)

    async def _get_confined(self, ref: ConfigurationRef, min_revision: int, caller: Caller) -> bytes:
        if isinstance(ref, KeyRef):
            caller.require_configuration(Role.VIEWER, ref, None)
        with suppress(ResourceNotFoundError):
            answer = await self._configurations.get(ref, min_revision=min_revision)
            if caller.access.allows(Role.VIEWER, answer.application_id):
                return answer.encoded
        # By id, nothing tells what is not there from what is not the caller's.
        caller.require_configuration(Role.VIEWER, ref, None)
        raise ResourceNotFoundError("configuration", str(ref))

    async def _get_past(self, ref: ConfigurationRef, at: Moment, min_revision: int, caller: Caller) -> bytes:
        await self._guard.require_configurations(caller, Role.VIEWER, (ref,))
        found = await self._history.get(ref, at, min_revision=min_revision, scope=caller.scope(Role.VIEWER))
        return encoded_configuration(found)

    async def BatchGetConfigurations(
        self, request: BatchGetConfigurationsRequest, caller: Caller
    ) -> BatchGetConfigurationsResponse:
        violations = Violations()
        refs = requests.configuration_refs(request, violations)
        min_revision = requests.non_negative(request.min_revision, "min_revision", violations)
        with_config = requests.wants_config(request.view, violations)
        violations.check()
        await self._guard.require_configurations(caller, Role.VIEWER, refs)
        async with self._large.page():
            batch = await self._configurations.get_many(
                refs,
                min_revision=min_revision,
                with_config=with_config,
                scope=caller.scope(Role.VIEWER),
            )
            shown = await self._large.made(lambda: fitting(map(configuration_message, batch.configurations)))
        if len(shown) < len(batch.configurations):
            raise ResponseTooLargeError(limit=MAX_RESPONSE_BYTES)
        return BatchGetConfigurationsResponse(
            configurations=shown,
            not_found=[configuration_ref_message(ref) for ref in batch.not_found],
            revision=batch.revision,
        )

    async def ListConfigurations(
        self, request: ListConfigurationsRequest, caller: Caller
    ) -> ListConfigurationsResponse:
        violations = Violations()
        chosen = requests.configuration_filter(request, caller.scope(Role.VIEWER), violations)
        with_config = requests.wants_config(request.view, violations)
        min_revision = requests.non_negative(request.min_revision, "min_revision", violations)
        as_of_revision = requests.non_negative(request.as_of_revision, "as_of_revision", violations)
        limit = requests.page_size(request.page_size, violations)
        token = parsed_page_token(request, key=(str, str), violations=violations)
        violations.check()
        caller.require_listed(Role.VIEWER, chosen.application)
        position = None
        if token:
            after = (str(token.after[0]), str(token.after[1]))
            position = ListPosition(revision=token.revision, application_id=token.resource_id, after=after)
        async with self._large.page():
            page, application_id = await self._configurations.list_page(
                chosen,
                min_revision=min_revision,
                as_of_revision=as_of_revision,
                position=position,
                limit=limit,
                with_config=with_config,
            )
            shown = await self._large.made(lambda: fitting(map(configuration_message, page.resources)))
        cut = len(shown) < len(page.resources)
        last_key = (shown[-1].application, shown[-1].name) if cut else page.last_key
        return ListConfigurationsResponse(
            configurations=shown,
            next_page_token=page_token(request, revision=page.revision, resource_id=application_id, after=last_key),
            revision=page.revision,
        )

    async def UpdateConfiguration(self, request: UpdateConfigurationRequest, caller: Caller) -> Configuration:
        violations = Violations()
        ref = requests.configuration_ref(request, "", violations)
        values = requests.configuration_update(request, "", violations)
        expected_version = requests.non_negative(request.expected_version, "expected_version", violations)
        context = requests.write_context(request, caller, caller.scope(Role.EDITOR), violations)
        violations.check()
        await self._guard.require_configurations(caller, Role.EDITOR, (ref,))
        update = Update(ref=ref, values=values, expected_version=expected_version, context=context)
        return configuration_message(await self._configurations.update(update))

    async def DeleteConfiguration(
        self, request: DeleteConfigurationRequest, caller: Caller
    ) -> DeleteConfigurationResponse:
        violations = Violations()
        ref = requests.configuration_ref(request, "", violations)
        expected_version = requests.non_negative(request.expected_version, "expected_version", violations)
        context = requests.write_context(request, caller, caller.scope(Role.EDITOR), violations)
        violations.check()
        await self._guard.require_configurations(caller, Role.EDITOR, (ref,))
        deletion = Deletion(ref=ref, expected_version=expected_version, context=context)
        return DeleteConfigurationResponse(revision=await self._configurations.delete(deletion))

    async def ListConfigurationVersions(
        self, request: ListConfigurationVersionsRequest, caller: Caller
    ) -> ListConfigurationVersionsResponse:
        violations = Violations()
        ref = requests.configuration_ref(request, "", violations)
        with_config = request.view != CONFIGURATION_VIEW_UNSPECIFIED and requests.wants_config(request.view, violations)
        min_revision = requests.non_negative(request.min_revision, "min_revision", violations)
        limit = requests.page_size(request.page_size, violations)
        token = parsed_page_token(request, key=(int,), violations=violations)
        violations.check()
        known = IdRef(id=token.resource_id) if token and token.resource_id else ref
        await self._guard.require_configurations(caller, Role.VIEWER, (ref, known))
        async with self._large.page():
            configuration_id, page = await self._history.list_versions(
                known,
                before=int(token.after[0]) if token else None,
                min_revision=min_revision,
                limit=limit,
                with_config=with_config,
                scope=caller.scope(Role.VIEWER),
            )
            shown = await self._large.made(lambda: fitting(map(version_message, page.versions)))
        goes_on = page.more or len(shown) < len(page.versions)
        after = (shown[-1].configuration.version,) if goes_on else None
        return ListConfigurationVersionsResponse(
            versions=shown,
            next_page_token=page_token(request, revision=0, resource_id=configuration_id, after=after),
            compacted=page.compacted,
        )

    async def DiffConfigurationVersions(
        self, request: DiffConfigurationVersionsRequest, caller: Caller
    ) -> DiffConfigurationVersionsResponse:
        violations = Violations()
        ref = requests.configuration_ref(request, "", violations)
        from_version = requests.non_negative(request.from_version, "from_version", violations)
        to_version = requests.non_negative(request.to_version, "to_version", violations)
        violations.check()
        await self._guard.require_configurations(caller, Role.VIEWER, (ref,))
        compared = await self._history.compare(ref, from_version, to_version, scope=caller.scope(Role.VIEWER))
        return comparison_message(compared)

    async def RollbackConfiguration(self, request: RollbackConfigurationRequest, caller: Caller) -> Configuration:
        violations = Violations()
        ref = requests.configuration_ref(request, "", violations)
        version = requests.non_negative(request.version, "version", violations)
        expected_version = requests.non_negative(request.expected_version, "expected_version", violations)
        context = requests.write_context(request, caller, caller.scope(Role.EDITOR), violations)
        violations.check()
        await self._guard.require_configurations(caller, Role.EDITOR, (ref,))
        rollback = Rollback(ref=ref, version=version, expected_version=expected_version, context=context)
        return configuration_message(await self._configurations.roll_back(rollback))

    async def ExportConfigurations(self, request: ExportConfigurationsRequest, caller: Caller, write: Write) -> None:
        violations = Violations()
        chosen = export_filter(request, caller.scope(Role.VIEWER), violations)
        as_of_revision = requests.non_negative(request.as_of_revision, "as_of_revision", violations)
        min_revision = requests.non_negative(request.min_revision, "min_revision", violations)
        violations.check()
        caller.require_listed(Role.VIEWER, chosen.application)
        pages = exported(
            self._configurations,
            chosen,
            caller.check_current,
            as_of_revision=as_of_revision,
            min_revision=min_revision,
        )
        with caller.lasting("export"):
            async with aclosing(pages):
                async for page in pages:
                    for encoded in await self._large.made(partial(encoded_exports, page.revision, page.resources)):
                        await write(encoded)

    async def ImportConfigurations(self, data: AsyncIterable[bytes], caller: Caller) -> Operation:
        with caller.lasting("upload"):
            return await self._uploads.start(data, caller)

    async def BatchWriteConfigurations(
        self, request: BatchWriteConfigurationsRequest, caller: Caller
    ) -> BatchWriteConfigurationsResponse:
        violations = Violations()
        check_number(request, violations)
        context = requests.write_context(request, caller, caller.scope(Role.EDITOR), violations)
        writes: list[JointWrite] = []
        for place, message in enumerate(request.writes[:MAX_WRITES]):
            write = joint_write(message, f"writes[{place}]", context, violations)
            if write is not None:
                writes.append(write)
            if place % WRITES_AT_A_TIME == 0:
                await asyncio.sleep(0)
        violations.check()
        await self._guard.require_configurations(caller, Role.EDITOR, dict.fromkeys(map(_ref, writes)))
        joint = await self._configurations.write_many(writes, context)
        response = BatchWriteConfigurationsResponse(revision=joint.revision)
        for place in range(len(writes)):
            response.outcomes.append(_outcome(joint, place))
            if place % WRITES_AT_A_TIME == 0:
                await asyncio.sleep(0)
        return response

    async def WatchConfigurations(self, request: WatchConfigurationsRequest, caller: Caller, write: Write) -> None:
        violations = Violations()
        wanted = watch_request(request, caller.scope(Role.VIEWER), violations)
        violations.check()
        wanted = replace(wanted, selection=_confined(wanted.selection, caller))
        with self._quotas.watching(caller.quota):
            await self._watches.watch(wanted, caller.check_current, self._encoder.encoded, write)


def _ref(write: JointWrite) -> ConfigurationRef:
    match write:
        case Creation(application=NameRef(name=application), name=name):
            return KeyRef(application=application, name=name)
        case Upsert(key=key):
            return key
        case Update(ref=ref) | Deletion(ref=ref):
            return ref
        case _:
            raise AssertionError(f"creations of a batch name their application: {write}")


def _confined(selection: Selection, caller: Caller) -> Selection:
    """The selection, confined to the applications that it names, unless the caller may watch all."""
    if not selection.selectors or any(selector.application is None for selector in selection.selectors):
        caller.require(Role.VIEWER, None, "a watch without an application in each selector")
    applications = {selector.application for selector in selection.selectors if selector.application}
    own = {caller.require_application(Role.VIEWER, application) for application in applications}
    return selection if None in own or not own else replace(selection, scope=Only(frozenset(filter(None, own))))


def _outcome(joint: Joint, place: int) -> ConfigurationWriteOutcome:
    if place in joint.errors:
        return ConfigurationWriteOutcome(error=status_of(joint.errors[place]))
    return ConfigurationWriteOutcome(
        configuration=configuration_message(joint.configurations[place], with_config=False)
    )


def _checked_get(data: bytes) -> tuple[ConfigurationRef, int, Moment | None]:
    request = parsed(GetConfigurationRequest, data)
    violations = Violations()
    ref = requests.configuration_ref(request, "", violations)
    min_revision = requests.non_negative(request.min_revision, "min_revision", violations)
    at = moment(request, violations)
    violations.check()
    return ref, min_revision, at


_remembered_get = lru_cache(maxsize=REMEMBERED_REQUESTS)(_checked_get)
