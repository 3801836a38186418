"""How changes are made one by one: each in a transaction of its own, to its end even if the caller goes away."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar
from weakref import WeakValueDictionary

from configsvc.aio import finish
from configsvc.domain.errors import ConfigsvcError, WriteConflictError
from configsvc.domain.models import WriteContext, Written
from configsvc.storage import idempotency
from configsvc.storage.database import Connection, Database

Done = TypeVar("Done")
Answer = TypeVar("Answer")
Change = Callable[[Connection], Awaitable[Done]]
Load = Callable[[Connection, Done], Awaitable[Answer]]

TURN_LIMIT_SECONDS = 2.0
WRITE_LIMIT_SECONDS = 90.0


class Writes:
    """Runs changes on one database."""

    def __init__(self, database: Database) -> None:
        self.transactions = 0
        self._database = database
        self._running: set[asyncio.Task[object]] = set()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def run_once(
        self, context: WriteContext, turn: str, change: Change[Written], load: Load[Written, Answer]
    ) -> Answer:
        """Makes the change, unless a call with its request_id did already, and loads what it left behind.

        Raises what change raises, RequestIdReusedError, and what `run` raises.
        """

        async def once(connection: Connection) -> Written:
            if context.validate_only or not context.request_id:
                return await change(connection)
            return await _once(connection, context, change)

        return await self.run(turn_of(context, turn), once, load, keep=not context.validate_only)

    async def run(self, turn: str, change: Change[Done], load: Load[Done, Answer], *, keep: bool) -> Answer:
        """Makes the change in a transaction, and loads what it left behind: after the commit, or before the rollback.

        Of the changes with one turn, one at a time goes to the database, so that what somebody holds takes one
        connection, not all. A caller that goes away is kept until the transaction has ended: cancelled in mid-commit,
        its outcome would be unknown. Raises what change and load raise, WriteConflictError, WriteTooLargeError,
        DatabaseBusyError or DatabaseUnavailableError.
        """
        task = asyncio.create_task(self._run_in_turn(turn, change, load, keep=keep))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await finish(task)

    async def drain(self) -> None:
        """Returns when the changes under way are done; each has a limit."""
        if self._running:
            await asyncio.wait(self._running)

    async def _run_in_turn(self, turn: str, change: Change[Done], load: Load[Done, Answer], *, keep: bool) -> Answer:
        lock = self._turns.setdefault(turn, asyncio.Lock())
        try:
            async with asyncio.timeout(TURN_LIMIT_SECONDS):
                await lock.acquire()
        except TimeoutError as error:
            raise WriteConflictError from error
        try:
            async with self._database.write() as connection, asyncio.timeout(WRITE_LIMIT_SECONDS):
                self.transactions += 1
                async with transaction(connection, keep=keep):
                    done = await change(connection)
                    if not keep:
                        return await load(connection, done)
                return await load(connection, done)
        finally:
            lock.release()


def turn_of(context: WriteContext, turn: str) -> str:
    """The turn among the changes of one caller: nobody is to wait for the queue of another."""
    return f"{context.actor} {turn}"


@asynccontextmanager
async def transaction(connection: Connection, *, keep: bool = True) -> AsyncGenerator[None]:
    """A transaction that is committed, or, if it is not to be kept, rolled back."""
    begun = connection.transaction()
    await begun.start()
    try:
        yield
    except TimeoutError:
        # Who does not answer in time would not answer a rollback either.
        connection.terminate()
        raise
    except BaseException:
        await begun.rollback()
        raise
    if keep:
        await begun.commit()
    else:
        await begun.rollback()


async def _once(connection: Connection, context: WriteContext, change: Change[Written]) -> Written:
    earlier = (await idempotency.claim(connection, (context,))).get(context.request_id)
    if isinstance(earlier, ConfigsvcError):
        raise earlier
    if earlier is not None:
        return earlier.written[0]
    written = await change(connection)
    await idempotency.complete(connection, {context.request_id: written})
    return written
