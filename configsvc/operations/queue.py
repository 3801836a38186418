"""Which operations are carried out next: a few of each caller, so that the many of one keep nobody waiting."""

from configsvc.domain.access import ANONYMOUS
from configsvc.domain.errors import RateLimitedError
from configsvc.storage import jobs, operations
from configsvc.storage.database import Connection

# In all processes together: even a single one has a place left for others.
AT_ONCE = 2
UNENDED_LIMIT = 100
RETRY_SECONDS = 10.0


async def add(connection: Connection, actor: str) -> None:
    """Lets an operation that was submitted in this transaction begin, as soon as it is its turn among the actor's.

    Raises RateLimitedError if too many of them have not ended.
    """
    await operations.lock_queue_of(connection, actor)
    if _is_told_apart(actor) and await operations.count_unended(connection, actor) > UNENDED_LIMIT:
        text = f"{UNENDED_LIMIT} operations of the caller have not ended: wait for some, or cancel them"
        raise RateLimitedError(text, retry_seconds=RETRY_SECONDS)
    await enqueue_due(connection, actor)


async def enqueue_due(connection: Connection, actor: str) -> list[str]:
    """Lets those of the actor's operations begin whose turn it is, within a transaction; their ids."""
    await operations.lock_queue_of(connection, actor)
    due = await operations.due(connection, actor, at_once=AT_ONCE if _is_told_apart(actor) else None)
    if due:
        await jobs.enqueue(connection, due)
    return due


def _is_told_apart(actor: str) -> bool:
    return actor != ANONYMOUS.principal
