"""Calls with a request_id, kept for 24 hours, so that a repeated call gets the first one's answer."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from asyncpg import Record

from configsvc.domain.content import JsonValue, encode_json
from configsvc.domain.errors import ConfigsvcError, RequestIdReusedError, WriteConflictError
from configsvc.domain.models import Effect, RequestKey, WriteContext, Written
from configsvc.storage.database import Connection
from configsvc.storage.queries import queries

_SQL = queries("idempotency")
_NOTHING = Written(resource_id="", version=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """The result of an earlier call: its effects in its order, and one version that its commit made, if any."""

    effects: tuple[Effect, ...]
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
    # A claim that vanished since then was purged by housekeeping.
    answers: dict[RequestKey, Earlier | ConfigsvcError] = {key: WriteConflictError() for key in taken}
    return answers | await earlier(connection, [context for context in contexts if context.key in taken])


async def earlier(
    connection: Connection, contexts: Collection[WriteContext]
) -> dict[RequestKey, Earlier | ConfigsvcError]:
    """Return what calls with the same request_ids did before, or the error for a different call."""
    fingerprints = {context.key: context.fingerprint for context in contexts}
    rows = await connection.fetch(_SQL["earlier"], *_columns(fingerprints))
    answers: dict[RequestKey, Earlier | ConfigsvcError] = {}
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
        return Earlier(effects=(Effect(written=changed, changed=True),), changed=changed)
    return Earlier(effects=tuple(_effect(*answer) for answer in json.loads(row["answers"])), changed=changed)


def _effect(resource_id: str, version: int, changed: bool = True) -> Effect:  # as stored
    # Releases before this one stored no `changed`.
    written = Written(resource_id=resource_id, version=version) if resource_id else None
    return Effect(written=written, changed=changed)


async def complete(connection: Connection, effects: Mapping[RequestKey, Effect]) -> None:
    """Store the effects of the claimed calls."""
    changed = [effect.written if effect.changed and effect.written else _NOTHING for effect in effects.values()]
    await connection.execute(
        _SQL["complete"],
        *_columns(effects),
        [written.resource_id for written in changed],
        [written.version for written in changed],
        [None if effect.changed else answers_of((effect,)) for effect in effects.values()],
    )


async def complete_many(connection: Connection, key: RequestKey, earlier: Earlier) -> None:
    """Store the effects of the claimed call, any number of them."""
    changed = earlier.changed or _NOTHING
    answers = answers_of(earlier.effects)
    await connection.execute(_SQL["complete_many"], *key, changed.resource_id, changed.version, answers)


def answers_of(effects: Iterable[Effect]) -> str:
    """Return the effects of a call as they are stored."""
    stored: list[JsonValue] = []
    for effect in effects:
        written = effect.written or _NOTHING
        stored.append([written.resource_id, written.version, effect.changed])
    return encode_json(stored)


async def purge(connection: Connection, *, limit: int) -> int:
    """Delete at most limit calls older than 24 hours; return their number."""
    status = await connection.execute(_SQL["purge"], limit)
    return int(status.removeprefix("DELETE "))
