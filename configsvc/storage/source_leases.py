"""SQL of the leases of sources."""

from hashlib import blake2b

from configsvc.domain.content import encode_json
from configsvc.domain.sources import MAX_LEASE_SECONDS, Lease, LeaseKey
from configsvc.storage.database import Connection
from configsvc.storage.queries import queries

_SQL = queries("source_leases")


async def acquire(connection: Connection, key: LeaseKey, holder: str, seconds: float) -> Lease | None:
    """Acquire or extend a lease, if nobody else has it; return None if another session changed it meanwhile."""
    arguments = (_digest(key), key.actor, key.repository, key.path, holder, seconds, MAX_LEASE_SECONDS)
    row = await connection.fetchrow(_SQL["acquire"], *arguments)
    if row is None:
        return None
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
