"""The writes of the demo, and the times at which they were sent."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

import grpc
from google.protobuf.struct_pb2 import Struct

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.application_service_pb2 import CreateApplicationRequest
from configapi.v1.application_service_pb2_grpc import ApplicationServiceStub
from configapi.v1.configuration_pb2 import Configuration, ConfigurationKey
from configapi.v1.configuration_service_pb2 import (
    CreateConfigurationRequest,
    CreateConfigurationResponse,
    DeleteConfigurationRequest,
    UpdateConfigurationRequest,
    UpdateConfigurationResponse,
)
from configapi.v1.configuration_service_pb2_grpc import ConfigurationServiceStub
from demo.files import Item

CALL_LIMIT_SECONDS = 15.0
CONCURRENCY = 16
RENAMED_SUFFIX = ".renamed"


class _HasRevision(Protocol):
    @property
    def revision(self) -> int: ...


Answer = TypeVar("Answer", bound=_HasRevision)


class Writer:
    """A client that changes configurations.

    `sent` maps the revision and the configuration's id, which also identify the event, to the time of the write.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._applications = ApplicationServiceStub(channel)
        self._configurations = ConfigurationServiceStub(channel)
        self.sent: dict[tuple[int, str], float] = {}
        self.refused: Counter[str] = Counter()
        self.last_revision = 0

    async def load(self, items: Iterable[Item], done: Callable[[], object]) -> list[Configuration]:
        """Create or update all items, CONCURRENCY at a time. Calls `done` after each."""
        loaded: list[Configuration] = []
        # All loaders take from the same iterator, so each item is loaded once.
        remaining = iter(items)

        async def loader() -> None:
            for item in remaining:
                async with self._refusals():
                    loaded.append(await self._put(item))
                done()

        async with asyncio.TaskGroup() as tasks:
            for _ in range(CONCURRENCY):
                tasks.create_task(loader())
        return sorted(loaded, key=lambda configuration: (configuration.application, configuration.name))

    @asynccontextmanager
    async def _refusals(self) -> AsyncGenerator[None]:
        try:
            yield
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.INVALID_ARGUMENT:
                raise
            self.refused[f"the service rejected it: {error.details()}"] += 1

    async def ensure_application(self, name: str) -> None:
        """Create an application unless it exists."""
        request = CreateApplicationRequest(name=name, reason="demo")
        try:
            await self._applications.CreateApplication(request, timeout=CALL_LIMIT_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.ALREADY_EXISTS:
                raise

    async def _put(self, item: Item) -> Configuration:
        try:
            return await self._create(item)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.ALREADY_EXISTS:
                raise
        return await self._replace(item)

    async def _create(self, item: Item) -> Configuration:
        request = CreateConfigurationRequest(
            application=ApplicationRef(name=item.application),
            name=item.name,
            config=_struct(item.content),
            reason="demo: load",
        )
        created = await self._timed(self._configurations.CreateConfiguration(request, timeout=CALL_LIMIT_SECONDS))
        return created.configuration

    async def _replace(self, item: Item) -> Configuration:
        request = UpdateConfigurationRequest(
            key=ConfigurationKey(application=item.application, name=item.name),
            configuration=Configuration(config=_struct(item.content)),
            reason="demo: load again",
        )
        updated = await self._timed(self._configurations.UpdateConfiguration(request, timeout=CALL_LIMIT_SECONDS))
        return updated.configuration

    async def patch(self, configuration: Configuration) -> None:
        """Add a member to the content and change nothing else."""
        request = UpdateConfigurationRequest(
            id=configuration.id,
            merge_patch=_struct({"changed-by-demo": datetime.now(UTC).isoformat()}),
            reason="demo: merge_patch",
        )
        await self._timed(self._configurations.UpdateConfiguration(request, timeout=CALL_LIMIT_SECONDS))

    async def free_new_name(self, configuration: Configuration) -> None:
        """Delete a configuration that an earlier run left with the name that this one is to get."""
        key = ConfigurationKey(application=configuration.application, name=configuration.name + RENAMED_SUFFIX)
        request = DeleteConfigurationRequest(key=key, allow_missing=True, reason="demo: left by an earlier run")
        answer = await self._configurations.DeleteConfiguration(request, timeout=CALL_LIMIT_SECONDS)
        self.last_revision = max(self.last_revision, answer.revision)

    async def rename(self, configuration: Configuration) -> None:
        """Rename it."""
        new_name = configuration.name + RENAMED_SUFFIX
        request = UpdateConfigurationRequest(
            id=configuration.id, configuration=Configuration(name=new_name), reason="demo: rename"
        )
        await self._timed(self._configurations.UpdateConfiguration(request, timeout=CALL_LIMIT_SECONDS))

    async def delete(self, configuration: Configuration) -> None:
        """Delete it."""
        request = DeleteConfigurationRequest(id=configuration.id, reason="demo: delete")
        call = self._configurations.DeleteConfiguration(request, timeout=CALL_LIMIT_SECONDS)
        await self._timed(call, configuration.id)

    async def _timed(self, call: Awaitable[Answer], resource_id: str | None = None) -> Answer:
        # grpc.aio sends a call in the next turn of the event loop, which is after this.
        moment = time.monotonic()
        answer = await call
        self.last_revision = max(self.last_revision, answer.revision)
        is_kept = isinstance(answer, CreateConfigurationResponse | UpdateConfigurationResponse)
        written = answer.configuration.id if is_kept else resource_id
        assert written is not None
        # A write that changed nothing returns the revision of an earlier one.
        self.sent.setdefault((answer.revision, written), moment)
        return answer


def _struct(content: dict[str, Any]) -> Struct:
    struct = Struct()
    struct.update(content)
    return struct
