"""ConfigurationService.ImportConfigurations: a process of the pool parses its messages, many and large."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable

from google.longrunning.operations_proto_pb2 import Operation
from google.protobuf.message import DecodeError

from configsvc.access.caller import Caller
from configsvc.api.operations import operation_message
from configsvc.domain.access import Role
from configsvc.domain.errors import RateLimitedError, UnsupportedFieldError
from configsvc.domain.models import ApplicationRef, IdRef, NameRef
from configsvc.domain.operations import ImportMessage, StagedItem
from configsvc.feed.feed import Feed
from configsvc.offload.processes import ProcessPool
from configsvc.operations.imports import Imports
from configsvc.wire.imports import import_message
from configsvc.wire.parsing import malformed

# Each takes up to 4 MiB and its parsed form. Operations that need the process pool wait for at most this many.
MESSAGES_AT_ONCE = 2
# Of all callers that are not told apart: each holds a message that is arriving.
SHARED_UPLOADS = 32


class Uploads:
    """Imports, from their encoded messages on."""

    def __init__(self, imports: Imports, pool: ProcessPool, feed: Feed) -> None:
        self._imports = imports
        self._pool = pool
        self._feed = feed
        self._room = asyncio.Semaphore(MESSAGES_AT_ONCE)
        self._shared = 0

    async def start(self, requests: AsyncIterable[bytes], caller: Caller) -> Operation:
        """Start an import and return its operation.

        Raises PermissionDeniedError, RateLimitedError, and what `Imports.start` raises.
        """
        if caller.quota:
            return await self._start(requests, caller)
        if self._shared >= SHARED_UPLOADS:
            text = f"without authentication, all callers share {SHARED_UPLOADS} uploads at a time: upload again later"
            raise RateLimitedError(text, retry_seconds=1.0)
        self._shared += 1
        try:
            return await self._start(requests, caller)
        finally:
            self._shared -= 1

    async def _start(self, requests: AsyncIterable[bytes], caller: Caller) -> Operation:
        epoch = self._feed.epoch_for()
        return operation_message(await self._imports.start(self._read(requests, caller), caller), epoch)

    async def _read(self, requests: AsyncIterable[bytes], caller: Caller) -> AsyncGenerator[ImportMessage]:
        digest = b""
        async for data in requests:
            try:
                async with self._room:
                    message = await self._pool.call(import_message, data, digest, caller.actor)
            except DecodeError as error:
                raise malformed("configapi.v1.ImportConfigurationsRequest") from error
            except UnsupportedFieldError as error:
                # The traceback of the other process is no cause.
                raise error from None
            digest = message.digest
            caller.check_current()
            _authorize(message, caller)
            yield message
        caller.check_current()


def _authorize(message: ImportMessage, caller: Caller) -> None:
    if message.options.create_applications:
        caller.require(Role.ADMIN, None, "creating applications")
    for ref in dict.fromkeys(map(_application_of, message.items)):
        caller.require_application(Role.EDITOR, ref)


def _application_of(item: StagedItem) -> ApplicationRef:
    return NameRef(name=item.application) if item.application_id is None else IdRef(id=item.application_id)
