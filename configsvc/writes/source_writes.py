"""Writes of a source: an atomic batch that also checks, and notes, what the source owns, in the same transaction."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from configsvc.domain.errors import (
    ResourceNotFoundError,
    SourceMismatchError,
    SourceNotAdoptedError,
    VersionMismatchError,
    WriteConflictError,
)
from configsvc.domain.models import ApplicationRef, Done, Effect, IdRef, KeyRef, WriteContext, Written
from configsvc.domain.preconditions import Precondition
from configsvc.domain.scope import Only, Scope
from configsvc.domain.sources import Source, SourceChange, SourceState
from configsvc.domain.writes import BatchWrite, Deletion, Owner
from configsvc.storage import applications, configuration_writes, sources
from configsvc.storage.database import Connection
from configsvc.storage.idempotency import Earlier
from configsvc.writes import idempotency
from configsvc.writes.atomic_batch import (
    AtomicBatches,
    BatchResult,
    Executed,
    checked_outcomes,
    load_result,
    repeated,
)
from configsvc.writes.execution import effect_of
from configsvc.writes.plan import Changed, Outcome
from configsvc.writes.preconditions import first_check, last_check


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The result of the writes of a source, and the source after them. `is_taken`: this call made it."""

    batch: BatchResult
    source: Done[Source]
    is_taken: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """The source of an application, locked for this transaction. `is_new`: this transaction made it."""

    owner: Owner
    source: SourceState
    is_new: bool


class SourceWrites:
    """The writes of sources, each in a transaction of its own."""

    def __init__(self, batches: AtomicBatches) -> None:
        self._batches = batches

    async def apply(
        self,
        change: SourceChange,
        writes: Sequence[BatchWrite],
        preconditions: Sequence[Precondition],
        context: WriteContext,
    ) -> Applied:
        """Make all writes and mark what they leave, or do nothing.

        Raises ResourceNotFoundError, SourceMismatchError, SourceNotAdoptedError, VersionMismatchError, and what
        `AtomicBatches.write` raises.
        """

        async def execute(connection: Connection) -> tuple[Executed, Done[Source], bool]:
            return await self._execute_once(connection, change, writes, preconditions, context)

        async def load(connection: Connection, done: tuple[Executed, Done[Source], bool]) -> Applied:
            executed, source, is_taken = done
            batch = await load_result(connection, executed, with_config=False)
            return Applied(batch=batch, source=source, is_taken=is_taken)

        return await self._batches.run(f"source {change.application}", context, execute, load)

    async def _execute_once(
        self,
        connection: Connection,
        change: SourceChange,
        writes: Sequence[BatchWrite],
        preconditions: Sequence[Precondition],
        context: WriteContext,
    ) -> tuple[Executed, Done[Source], bool]:
        earlier = None if context.validate_only else await idempotency.claim(connection, context)
        if earlier is not None:
            effects, kept = earlier.effects[:-1], earlier.effects[-1]
            return repeated(effects, earlier.changed), _source_of(kept, change), False
        checked = await first_check(connection, preconditions)
        taken = await _take(connection, change, context)
        executed = await self._write(connection, taken.owner, change, writes, context)
        source = await _note(connection, taken, change, writes, executed.outcomes, context)
        if not context.validate_only:
            effects = (*executed.effects, _effect_of(source))
            await idempotency.complete(connection, context, Earlier(effects=effects, changed=executed.changed))
            await last_check(connection, preconditions, checked)
        return executed, source, taken.is_new and not context.validate_only

    async def _write(
        self,
        connection: Connection,
        owner: Owner,
        change: SourceChange,
        writes: Sequence[BatchWrite],
        context: WriteContext,
    ) -> Executed:
        if not writes:
            return Executed(outcomes=(), changed=None)
        within = replace(context, scope=Only(frozenset({owner.id})))
        own = [replace(write, context=within) for write in writes]
        outcomes = await self._batches.execute(connection, own, with_config=False)
        if not change.adopt:
            outcomes = await _without_foreign(connection, owner, writes, outcomes)
        return await checked_outcomes(connection, outcomes)


async def lock_owner(connection: Connection, ref: ApplicationRef, scope: Scope) -> Owner:
    """Take a shared lock on an application in scope. Raises ResourceNotFoundError."""
    owners = await configuration_writes.share_or_wait(connection, (ref,), scope)
    if ref not in owners:
        raise ResourceNotFoundError("application", str(ref))
    return owners[ref]


async def _take(connection: Connection, change: SourceChange, context: WriteContext) -> _Taken:
    """Lock the source, or make it. Raises what `apply` raises."""
    owner = await lock_owner(connection, change.application, context.scope)
    source = await sources.lock(connection, owner.id)
    if source is None:
        made = await _make(connection, owner, change, context)
        if made is not None:
            return _Taken(owner=owner, source=made, is_new=True)
        # Another call has made it meanwhile.
        source = await sources.lock(connection, owner.id)
        if source is None:
            raise WriteConflictError
    _check_owner(owner, change, source)
    return _Taken(owner=owner, source=source, is_new=False)


async def _make(
    connection: Connection, owner: Owner, change: SourceChange, context: WriteContext
) -> SourceState | None:
    if change.expected_etag:
        raise VersionMismatchError(expected=None, current=0)
    if not change.adopt and await applications.has_configurations(connection, owner.name):
        raise SourceNotAdoptedError("application", owner.name)
    return await sources.insert(connection, owner.id, change.revision, context.actor)


def _check_owner(owner: Owner, change: SourceChange, source: SourceState) -> None:
    applied = source.applied
    if (applied.repository, applied.path) != (change.revision.repository, change.revision.path):
        raise SourceMismatchError(owner.name, repository=applied.repository, path=applied.path, commit=applied.commit)
    if change.expected_etag != source.etag:
        raise VersionMismatchError(expected=None if change.expected_etag else 0, current=source.version)


async def _without_foreign(
    connection: Connection, owner: Owner, writes: Sequence[BatchWrite], outcomes: Sequence[Outcome]
) -> tuple[Outcome, ...]:
    """Return the outcomes, with errors in place of those of configurations that existed and have no mark."""
    existing = {index: found for index, outcome in enumerate(outcomes) if (found := _existing_id(outcome))}
    marked = await sources.marked(connection, owner.id, existing.values()) if existing else frozenset[str]()
    return tuple(
        SourceNotAdoptedError("configuration", str(writes[index]))
        if index in existing and existing[index] not in marked
        else outcome
        for index, outcome in enumerate(outcomes)
    )


def _existing_id(outcome: Outcome) -> str | None:
    """Return the id of the configuration that a write found; None if it made it, or failed, or found nothing."""
    effect = effect_of(outcome)
    if effect is None or effect.written is None:
        return None
    # New configurations have new ids, and so their first version.
    return None if effect.changed and effect.written.version == 1 else effect.written.resource_id


async def _note(
    connection: Connection,
    taken: _Taken,
    change: SourceChange,
    writes: Sequence[BatchWrite],
    outcomes: Sequence[Outcome],
    context: WriteContext,
) -> Done[Source]:
    """Bring the marks and the source up to date; return the source."""
    owner, source = taken.owner, taken.source
    marks = 0
    if removed := {*change.released_ids, *_deleted(writes, outcomes)}:
        marks += await sources.unmark(connection, owner.id, removed)
    if gone := _gone(owner, writes, outcomes):
        marks += await sources.unmark_gone(connection, owner.id, gone)
    if left := _left(writes, outcomes):
        marks += await sources.mark(connection, owner.id, left)
    if not taken.is_new and (marks or source.applied.commit != change.revision.commit):
        source = await sources.update(connection, owner.id, change.revision.commit, context.actor)
    return Done(
        result=Source(
            application_id=owner.id,
            application=owner.name,
            applied=source.applied,
            version=source.version,
            apply_time=source.apply_time,
            applied_by=source.applied_by,
            applied_count=await sources.count_marks(connection, owner.id),
        ),
        changed=taken.is_new or source.version > taken.source.version,
    )


def _deleted(writes: Sequence[BatchWrite], outcomes: Sequence[Outcome]) -> Collection[str]:
    """Return the ids of the configurations that the writes deleted, or that are gone already, if named by id."""
    ids: set[str] = set()
    for write, outcome in zip(writes, outcomes, strict=True):
        if isinstance(write, Deletion):
            if isinstance(outcome, Changed):
                ids.add(outcome.configuration.id)
            elif isinstance(write.ref, IdRef):
                ids.add(write.ref.id)
    return ids


def _gone(owner: Owner, writes: Sequence[BatchWrite], outcomes: Sequence[Outcome]) -> Collection[str]:
    """Return the names in the application that deletions found to be gone already."""
    return {
        write.ref.name
        for write, outcome in zip(writes, outcomes, strict=True)
        if isinstance(write, Deletion) and isinstance(write.ref, KeyRef) and not isinstance(outcome, Changed)
        if write.ref.application == owner.name
    }


def _left(writes: Sequence[BatchWrite], outcomes: Sequence[Outcome]) -> Collection[str]:
    """Return the ids of the configurations that exist after the writes."""
    return {
        effect.written.resource_id
        for write, outcome in zip(writes, outcomes, strict=True)
        if not isinstance(write, Deletion) and (effect := effect_of(outcome)) and effect.written
    }


def _effect_of(source: Done[Source]) -> Effect:
    """Return the source in the form in which the effects of calls with a request_id are kept."""
    found = source.result
    kept = (found.application_id, found.application, found.apply_time.isoformat(), str(found.applied_count))
    # Last, because names of actors may have spaces.
    text = " ".join((*kept, found.applied_by))
    return Effect(written=Written(resource_id=text, version=found.version), changed=source.changed)


def _source_of(effect: Effect, change: SourceChange) -> Done[Source]:
    """Return the source that `_effect_of` kept, of a call with the same change."""
    assert effect.written is not None
    application_id, application, apply_time, applied_count, applied_by = effect.written.resource_id.split(" ", 4)
    return Done(
        result=Source(
            application_id=application_id,
            application=application,
            applied=change.revision,
            version=effect.written.version,
            apply_time=datetime.fromisoformat(apply_time),
            applied_by=applied_by,
            applied_count=int(applied_count),
        ),
        changed=effect.changed,
    )
