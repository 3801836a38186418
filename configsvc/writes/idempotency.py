"""Idempotent calls: the first call with a `request_id` does the work, later ones get its answer."""

from collections.abc import Awaitable, Callable

from configsvc.domain.errors import ConfigsvcError
from configsvc.domain.models import Effect, WriteContext
from configsvc.storage import idempotency as storage
from configsvc.storage.database import Connection
from configsvc.storage.idempotency import Earlier


async def once(
    connection: Connection, context: WriteContext, change: Callable[[Connection], Awaitable[Effect]]
) -> Effect:
    """Make the change, or return the effect of an earlier call with the same request_id.

    Raises RequestIdReusedError, WriteConflictError, and what change raises.
    """
    earlier = await claim(connection, context)
    if earlier is not None:
        return earlier.effects[0]
    effect = await change(connection)
    if context.request_id:
        await storage.complete(connection, {context.key: effect})
    return effect


async def claim(connection: Connection, context: WriteContext) -> Earlier | None:
    """Claim the request_id for this transaction; return what an earlier call with it wrote, None for the first one.

    Waits for a call with the same request_id under way. Raises RequestIdReusedError or WriteConflictError.
    """
    answer = (await storage.claim(connection, (context,))).get(context.key) if context.request_id else None
    if isinstance(answer, ConfigsvcError):
        raise answer
    return answer


async def complete(connection: Connection, context: WriteContext, result: Earlier) -> None:
    """Keep the result of a claimed call for later calls with its request_id."""
    if context.request_id:
        await storage.complete_many(connection, context.key, result)
