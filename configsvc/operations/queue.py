"""The queue of operations: a few of each caller run at once, so that one caller cannot delay the others."""

from configsvc.domain.access import ANONYMOUS
from configsvc.domain.errors import RateLimitedError
from configsvc.storage import jobs, operations
from configsvc.storage.database import Connection

# In all processes together: even a single process has a slot left for other callers.
AT_ONCE = 2
UNENDED_LIMIT = 100
RETRY_SECONDS = 10.0


async def add(connection: Connection, actor: str) -> None:
    """Queue the operation that this transaction submits, behind others of the actor.

    Raises RateLimitedError if the actor has too many unfinished operations.
    """
    await operations.lock_queue_of(connection, actor)
    if _is_known(actor) and await operations.count_unended(connection, actor) > UNENDED_LIMIT:
        text = f"{UNENDED_LIMIT} operations of the caller have not ended: wait for some, or cancel them"
        raise RateLimitedError(text, retry_seconds=RETRY_SECONDS)
    await enqueue_due(connection, actor)


async def enqueue_due(connection: Connection, actor: str) -> list[str]:
    """Enqueue jobs for the actor's next operations, within a transaction; return their ids."""
    await operations.lock_queue_of(connection, actor)
    due = await operations.due(connection, actor, at_once=AT_ONCE if _is_known(actor) else None)
    if due:
        await jobs.enqueue(connection, due)
    return due


def _is_known(actor: str) -> bool:
    return actor != ANONYMOUS.principal
