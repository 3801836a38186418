"""SQL of the leases of sources."""

from hashlib import blake2b

from configsvc.domain.content import encode_json
from configsvc.domain.errors import RateLimitedError
from configsvc.domain.sources import MAX_LEASE_SECONDS, MAX_LEASES, Lease, LeaseKey
from configsvc.storage.database import Connection
from configsvc.storage.queries import queries

RETRY_SECONDS = 10.0

_SQL = queries("source_leases")


async def acquire(connection: Connection, key: LeaseKey, holder: str, seconds: float) -> Lease | None:
    """Acquire or extend a lease, if nobody else has it; return None if another session changed it meanwhile.

    Raises RateLimitedError if the actor has too many.
    """
    arguments = (_digest(key), key.actor, key.repository, key.path, holder, seconds, MAX_LEASE_SECONDS, MAX_LEASES)
    row = await connection.fetchrow(_SQL["acquire"], *arguments)
    if row is None:
        return None
    if row["acquired"] is None:
        text = f"the caller has {MAX_LEASES} leases: release some; expired ones are deleted within 10 minutes"
        raise RateLimitedError(text, retry_seconds=RETRY_SECONDS)
    return Lease(
        acquired=row["acquired"],
        holder=row["holder"],
        expire_time=row["expire_time"],
        remaining_seconds=row["remaining_seconds"],
    )


async def release(connection: Connection, key: LeaseKey, holder: str) -> bool:
    """End the lease of a holder; return whether it had not expired."""
    return bool(await connection.fetchval(_SQL["release"], _digest(key), holder))


async def purge(connection: Connection, *, limit: int) -> int:
    """Delete at most limit expired leases; return their number."""
    status = await connection.execute(_SQL["purge"], limit)
    return int(status.removeprefix("DELETE "))


def _digest(key: LeaseKey) -> bytes:
    # As JSON, so that no two keys have the same text.
    return blake2b(encode_json([key.actor, key.repository, key.path]).encode(), digest_size=32).digest()
