"""How every change is made: in one transaction, once for each request_id, to its end even if the caller goes away."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakValueDictionary

from configsvc.domain.errors import WriteConflictError
from configsvc.domain.models import WriteContext, Written
from configsvc.storage import requests

if TYPE_CHECKING:
    from configsvc.storage.database import Connection, Database

Answer = TypeVar("Answer")
Change = Callable[["Connection"], Awaitable[Written]]
Load = Callable[["Connection", Written], Awaitable[Answer]]

TURN_LIMIT_SECONDS = 2.0
WRITE_LIMIT_SECONDS = 90.0


class Writes:
    """Runs changes on one database."""

    def __init__(self, database: "Database") -> None:
        self.transactions = 0
        self._database = database
        self._running: set[asyncio.Task[object]] = set()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def run(self, context: WriteContext, subject: str, change: Change, load: Load[Answer]) -> Answer:
        """Makes the change, unless a call with its request_id did already, and loads what it left behind.

        Of the changes to one subject, one at a time goes to the database, so that one row that somebody holds takes one
        connection, not all. A caller that goes away leaves the transaction to its end: cancelled in mid-commit, its
        outcome would be unknown. Raises what change raises, RequestIdReusedError, WriteConflictError,
        WriteTooLargeError, DatabaseBusyError or DatabaseUnavailableError.
        """
        task = asyncio.create_task(self._run_in_turn(context, subject, change, load))
        self._running.add(task)
        task.add_done_callback(self._finished)
        return await asyncio.shield(task)

    def _finished(self, task: asyncio.Task[object]) -> None:
        self._running.discard(task)
        # Asked for, so that asyncio does not complain of an error whose caller has gone.
        if not task.cancelled():
            task.exception()

    async def drain(self) -> None:
        """Returns when the changes under way are done; each has a limit."""
        if self._running:
            await asyncio.wait(self._running)

    async def _run_in_turn(self, context: WriteContext, subject: str, change: Change, load: Load[Answer]) -> Answer:
        turn = self._turns.setdefault(subject, asyncio.Lock())
        try:
            async with asyncio.timeout(TURN_LIMIT_SECONDS):
                await turn.acquire()
        except TimeoutError as error:
            raise WriteConflictError from error
        try:
            return await self._run(context, change, load)
        finally:
            turn.release()

    async def _run(self, context: WriteContext, change: Change, load: Load[Answer]) -> Answer:
        async with self._database.write() as connection, asyncio.timeout(WRITE_LIMIT_SECONDS):
            self.transactions += 1
            async with _transaction(connection, keep=not context.validate_only):
                if context.validate_only:
                    return await load(connection, await change(connection))
                written = await self._change_once(connection, context, change)
            return await load(connection, written)

    async def _change_once(self, connection: "Connection", context: WriteContext, change: Change) -> Written:
        if not context.request_id:
            return await change(connection)
        earlier = await requests.claim(connection, context)
        if earlier:
            return earlier
        written = await change(connection)
        await requests.complete(connection, context, written)
        return written


@asynccontextmanager
async def _transaction(connection: "Connection", *, keep: bool) -> AsyncGenerator[None]:
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    except BaseException:
        await transaction.rollback()
        raise
    if keep:
        await transaction.commit()
    else:
        await transaction.rollback()
