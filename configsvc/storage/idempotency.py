"""Calls with a request_id, kept for 24 hours, so that a repeated call gets the first one's answer."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from asyncpg import Record

from configsvc.domain.content import encode_json
from configsvc.domain.errors import ConfigsvcError, RequestIdReusedError, WriteConflictError
from configsvc.domain.models import RequestKey, WriteContext, Written
from configsvc.storage.database import Connection
from configsvc.storage.queries import queries

_SQL = queries("idempotency")


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """The result of an earlier call: versions in its order, and one that its commit made, if it changed anything."""

    written: tuple[Written, ...]
    changed: Written | None


async def claim(
    connection: Connection, contexts: Collection[WriteContext]
) -> dict[RequestKey, Earlier | ConfigsvcError]:
    """Claim the request_ids for their callers in this transaction, waiting for concurrent claims.

    For each one that is already claimed, return what the earlier call wrote, or the error for a
    different call.
    """
    fingerprints = {context.key: context.fingerprint for context in contexts}
    claimed = await connection.fetch(_SQL["claim"], *_columns(fingerprints), list(fingerprints.values()))
    taken = fingerprints.keys() - {_key(row) for row in claimed}
    if not taken:
        return {}
    rows = await connection.fetch(_SQL["earlier"], *_columns(taken))
    # A claim that vanished since then was purged by housekeeping.
    answers: dict[RequestKey, Earlier | ConfigsvcError] = {key: WriteConflictError() for key in taken}
    for row in rows:
        key = _key(row)
        same = row["fingerprint"] == fingerprints[key]
        answers[key] = _earlier(row) if same else RequestIdReusedError(row["request_id"])
    return answers


def _key(row: Record) -> RequestKey:
    return row["request_id"], row["actor"]


def _columns(keys: Iterable[RequestKey]) -> tuple[list[str], list[str]]:
    keys = tuple(keys)
    return [request_id for request_id, _ in keys], [actor for _, actor in keys]


async def is_done(connection: Connection, context: WriteContext) -> bool:
    """Return whether the same call succeeded before, so that preparing it again is useless."""
    if context.validate_only or not context.request_id:
        return False
    return await connection.fetchval(_SQL["is_done"], *context.key, context.fingerprint)


def _earlier(row: Record) -> Earlier:
    changed = Written(resource_id=row["resource_id"], version=row["version"]) if row["resource_id"] else None
    if row["answers"] is None:
        assert changed is not None
        return Earlier(written=(changed,), changed=changed)
    written = tuple(Written(resource_id=resource_id, version=version) for resource_id, version in row["answers"])
    return Earlier(written=written, changed=changed)


async def complete(connection: Connection, written: Mapping[RequestKey, Written]) -> None:
    """Store what the claimed calls wrote."""
    resource_ids = [version.resource_id for version in written.values()]
    versions = [version.version for version in written.values()]
    await connection.execute(_SQL["complete"], *_columns(written), resource_ids, versions)


async def complete_many(connection: Connection, key: RequestKey, earlier: Earlier) -> None:
    """Store what the claimed call wrote, any number of versions."""
    answers = encode_json([[written.resource_id, written.version] for written in earlier.written])
    changed = earlier.changed or Written(resource_id="", version=0)
    await connection.execute(_SQL["complete_many"], *key, changed.resource_id, changed.version, answers)


async def release(connection: Connection, keys: Collection[RequestKey]) -> None:
    """Release claims of this transaction for failed calls."""
    await connection.execute(_SQL["release"], *_columns(keys))


async def purge(connection: Connection, *, limit: int) -> int:
    """Delete at most limit calls older than 24 hours; return their number."""
    status = await connection.execute(_SQL["purge"], limit)
    return int(status.removeprefix("DELETE "))
