"""Single changes: each runs in a transaction of its own, and to its end even if the caller goes away."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar
from weakref import WeakValueDictionary

from configsvc.aio import finish
from configsvc.domain.errors import WriteConflictError
from configsvc.domain.models import Done, Effect, Kind, WriteContext, Written
from configsvc.storage import log
from configsvc.storage.database import Connection, Database
from configsvc.writes import idempotency

Result = TypeVar("Result")
Answer = TypeVar("Answer")
Change = Callable[[Connection], Awaitable[Result]]
Load = Callable[[Connection, Result], Awaitable[Answer]]

QUEUE_LIMIT_SECONDS = 2.0
WRITE_LIMIT_SECONDS = 90.0


class Writes:
    """Single changes of one database."""

    def __init__(self, database: Database) -> None:
        self.transactions = 0
        self._database = database
        self._running: set[asyncio.Task[object]] = set()
        self._queues: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def run_once(
        self, context: WriteContext, subject: str, change: Change[Effect], load: Load[Written, Answer]
    ) -> Done[Answer]:
        """Make the change, unless an earlier call with its request_id did, and load what it left.

        Raises what change raises, RequestIdReusedError, and what `run` raises.
        """

        async def load_left(connection: Connection, effect: Effect) -> Done[Answer]:
            assert effect.written is not None
            return Done(result=await load(connection, effect.written), changed=effect.changed)

        return await self._run_once(context, subject, change, load_left)

    async def delete_once(
        self, context: WriteContext, subject: str, kind: Kind, change: Change[Written | None]
    ) -> Done[int]:
        """Make the deletion, unless an earlier call with its request_id did; return its revision, 0 if it deleted
        nothing (None).

        Raises what `run_once` raises.
        """

        async def delete(connection: Connection) -> Effect:
            deleted = await change(connection)
            return Effect(written=deleted, changed=deleted is not None)

        async def load(connection: Connection, effect: Effect) -> Done[int]:
            revision = await log.revision_of(kind, connection, effect.written) if effect.written else 0
            return Done(result=revision, changed=effect.changed)

        return await self._run_once(context, subject, delete, load)

    async def _run_once(
        self, context: WriteContext, subject: str, change: Change[Effect], load: Load[Effect, Answer]
    ) -> Answer:
        async def once(connection: Connection) -> Effect:
            if context.validate_only:
                return await change(connection)
            return await idempotency.once(connection, context, change)

        return await self.run(queue_key(context, subject), once, load, keep=not context.validate_only)

    async def run(self, queue: str, change: Change[Result], load: Load[Result, Answer], *, keep: bool) -> Answer:
        """Make the change in a transaction, and load the result: after the commit, or before the rollback if not keep.

        Changes with the same queue run one after the other, so that those waiting for a lock take one connection, not
        all. A cancelled caller waits for the end of the transaction: interrupting a commit would leave its outcome
        unknown. Raises what change and load raise, WriteConflictError, WriteTooLargeError, DatabaseBusyError or
        DatabaseUnavailableError.
        """
        task = asyncio.create_task(self._run_queued(queue, change, load, keep=keep))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await finish(task)

    async def drain(self) -> None:
        """Wait for the running changes; each has a time limit."""
        if self._running:
            await asyncio.wait(self._running)

    async def _run_queued(
        self, queue: str, change: Change[Result], load: Load[Result, Answer], *, keep: bool
    ) -> Answer:
        lock = self._queues.setdefault(queue, asyncio.Lock())
        try:
            async with asyncio.timeout(QUEUE_LIMIT_SECONDS):
                await lock.acquire()
        except TimeoutError as error:
            raise WriteConflictError from error
        try:
            async with self._database.write() as connection, asyncio.timeout(WRITE_LIMIT_SECONDS):
                self.transactions += 1
                async with transaction(connection, keep=keep):
                    result = await change(connection)
                    if not keep:
                        return await load(connection, result)
                return await load(connection, result)
        finally:
            lock.release()


def queue_key(context: WriteContext, subject: str) -> str:
    """Return the queue of one caller's changes of one subject: callers never wait in each other's queues."""
    return f"{context.actor} {subject}"


@asynccontextmanager
async def transaction(connection: Connection, *, keep: bool = True) -> AsyncGenerator[None]:
    """Run a transaction; commit it at the end, or roll it back if not keep."""
    begun = connection.transaction()
    await begun.start()
    try:
        yield
    except TimeoutError:
        # A server that has not answered in time would not answer a rollback either.
        connection.terminate()
        raise
    except BaseException:
        await begun.rollback()
        raise
    if keep:
        await begun.commit()
    else:
        await begun.rollback()
