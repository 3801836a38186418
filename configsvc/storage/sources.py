"""SQL of sources and of their marks."""

from collections.abc import Collection

from asyncpg import Record

from configsvc.domain.etags import etag_of
from configsvc.domain.models import ApplicationRef
from configsvc.domain.scope import Scope
from configsvc.domain.sources import AppliedConfiguration, AppliedPage, Source, SourceRevision, SourceState
from configsvc.storage.database import Connection
from configsvc.storage.queries import id_and_name, queries

_SQL = queries("sources")


def _state(row: Record) -> SourceState:
    return SourceState(
        application_id=row["application_id"],
        applied=_applied(row),
        version=row["version"],
        apply_time=row["apply_time"],
        applied_by=row["applied_by"],
    )


def _applied(row: Record) -> SourceRevision:
    return SourceRevision(repository=row["repository"], path=row["path"], commit=row["commit"])


async def lock(connection: Connection, application_id: str) -> SourceState | None:
    """Lock and return the source of an application, waiting for other transactions; None if it has none."""
    row = await connection.fetchrow(_SQL["lock"], application_id)
    return _state(row) if row else None


async def insert(
    connection: Connection, application_id: str, revision: SourceRevision, actor: str
) -> SourceState | None:
    """Give an application its source; return None if it got one meanwhile."""
    texts = (revision.repository, revision.path, revision.commit)
    row = await connection.fetchrow(_SQL["insert"], application_id, *texts, actor)
    return _state(row) if row else None


async def update(connection: Connection, application_id: str, commit: str, actor: str) -> SourceState:
    """Note the commit that was applied last."""
    row = await connection.fetchrow(_SQL["update"], application_id, commit, actor)
    assert row is not None
    return _state(row)


async def delete(connection: Connection, application_id: str) -> None:
    """Delete the source of an application, with its marks."""
    await connection.execute(_SQL["delete"], application_id)


async def marked(connection: Connection, application_id: str, ids: Collection[str]) -> frozenset[str]:
    """Return which of the configurations have a mark."""
    rows = await connection.fetch(_SQL["marked"], application_id, list(ids))
    return frozenset(row["configuration_id"] for row in rows)


async def count_marks(connection: Connection, application_id: str) -> int:
    """Return the number of marks of an application."""
    return await connection.fetchval(_SQL["count_marks"], application_id)


async def mark(connection: Connection, application_id: str, ids: Collection[str]) -> int:
    """Mark configurations with their versions as of now; return the number of marks that changed."""
    return _count(await connection.execute(_SQL["mark"], application_id, list(ids)))


async def unmark(connection: Connection, application_id: str, ids: Collection[str]) -> int:
    """Remove the marks that configurations have; return their number."""
    return _count(await connection.execute(_SQL["unmark"], application_id, list(ids)))


async def unmark_gone(connection: Connection, application_id: str, names: Collection[str]) -> int:
    """Remove the marks with these names of configurations that do not exist; return their number."""
    return _count(await connection.execute(_SQL["unmark_gone"], application_id, list(names)))


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])


async def page(
    connection: Connection, *, scope: Scope, repository: str | None, path: str | None, after: str | None, limit: int
) -> tuple[tuple[Source, ...], str | None]:
    """Return at most limit sources of the applications in scope, and the last id if there are more."""
    rows = await connection.fetch(_SQL["list"], scope.ids, repository, path, after, limit + 1)
    sources = tuple(map(_source, rows[:limit]))
    return sources, sources[-1].application_id if len(rows) > limit else None


def _source(row: Record) -> Source:
    return Source(
        application_id=row["application_id"],
        application=row["application"],
        applied=_applied(row),
        version=row["version"],
        apply_time=row["apply_time"],
        applied_by=row["applied_by"],
        applied_count=row["applied_count"],
    )


async def marks_page(
    connection: Connection, ref: ApplicationRef, *, after: str | None, limit: int
) -> AppliedPage | None:
    """Return at most limit marks of an application; None if it does not exist."""
    rows = await connection.fetch(_SQL["list_marks"], *id_and_name(ref), after, limit + 1)
    if not rows:
        return None
    first = rows[0]
    marks = tuple(
        AppliedConfiguration(id=row["configuration_id"], version=row["version"], name=row["name"])
        for row in rows[:limit]
        if row["configuration_id"] is not None
    )
    application_id, version = first["application_id"], first["source_version"]
    return AppliedPage(
        application_id=application_id,
        source_etag=etag_of(application_id, version, first["apply_time"]) if version else "",
        marks=marks,
        last_id=marks[-1].id if len(rows) > limit else None,
    )
