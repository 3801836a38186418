"""Calls with a request_id, kept for 24 hours, so that the second of two equal ones is answered like the first."""

from typing import TYPE_CHECKING

from configsvc.domain.errors import RequestIdReusedError, WriteConflictError
from configsvc.domain.models import WriteContext, Written
from configsvc.storage.queries import queries

if TYPE_CHECKING:
    from configsvc.storage.database import Connection

_SQL = queries("requests")


async def claim(connection: "Connection", context: WriteContext) -> Written | None:
    """Takes the request_id for this transaction, waiting for a twin under way; or what the earlier call wrote.

    Raises RequestIdReusedError if the earlier call asked for something else.
    """
    if await connection.fetchval(_SQL["claim"], context.request_id, context.fingerprint):
        return None
    earlier = await connection.fetchrow(_SQL["earlier"], context.request_id)
    if earlier is None:
        # It was there a moment ago: housekeeping took it away.
        raise WriteConflictError
    if earlier["fingerprint"] != context.fingerprint:
        raise RequestIdReusedError(context.request_id)
    return Written(resource_id=earlier["resource_id"], version=earlier["version"])


async def complete(connection: "Connection", context: WriteContext, written: Written) -> None:
    """Notes what the claimed call wrote."""
    await connection.execute(_SQL["complete"], context.request_id, written.resource_id, written.version)


async def purge(connection: "Connection", *, limit: int) -> int:
    """Deletes at most limit calls older than 24 hours; how many it deleted."""
    status = await connection.execute(_SQL["purge"], limit)
    return int(status.removeprefix("DELETE "))
