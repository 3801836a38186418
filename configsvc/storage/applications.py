"""SQL of applications."""

from asyncpg import Record, UniqueViolationError

from configsvc.domain.errors import DatabaseUnavailableError, ResourceExistsError
from configsvc.domain.models import Application, ApplicationRef, IdRef, NameRef, Operation, Page, WriteContext, Written
from configsvc.domain.scope import Everything, Scope
from configsvc.storage import contexts
from configsvc.storage.database import LARGE_WRITE_ANSWER_SECONDS, Connection
from configsvc.storage.log import require_record
from configsvc.storage.pages import ordered_by_name, page_of, statement_for
from configsvc.storage.queries import id_and_name, queries
from configsvc.storage.unreadable_rows import Names, fetch_around, fetch_one

_SQL = queries("applications")

_NAMES = Names(kind="application", columns="id, name, version", ids="id, '' AS name, version")
_NAMES_OF_PAGE = ordered_by_name("application")


def _name(row: Record) -> str:
    return row["name"]


def _application(row: Record) -> Application:
    return Application(
        id=row["id"],
        name=row["name"],
        comments=row["comments"],
        version=row["version"],
        revision=row["revision"],
        create_time=row["create_time"],
        update_time=row["update_time"],
    )


async def insert(
    connection: Connection, application_id: str, name: str, comments: str, context: WriteContext
) -> Written:
    """Insert an application. Raises ResourceExistsError."""
    version = await connection.fetchval(_SQL["insert"], application_id, name, comments, contexts.encoded(context))
    if version is None:
        raise ResourceExistsError("application", name)
    return Written(resource_id=application_id, version=version)


async def update(
    connection: Connection, application_id: str, name: str, comments: str, context: WriteContext
) -> Written:
    """Write new values, at least one of which must differ. Raises ResourceExistsError."""
    try:
        values = (name, comments, contexts.encoded(context))
        version = await connection.fetchval(_SQL["update"], application_id, *values, timeout=LARGE_WRITE_ANSWER_SECONDS)
    except UniqueViolationError as error:
        raise ResourceExistsError("application", name) from error
    return Written(resource_id=application_id, version=version)


async def delete(connection: Connection, application_id: str) -> Written:
    """Delete an application that has no configurations."""
    version = await connection.fetchval(_SQL["delete"], application_id)
    return Written(resource_id=application_id, version=version)


async def delete_configurations(connection: Connection, application_name: str) -> None:
    """Delete all configurations of an application."""
    await connection.execute(_SQL["delete_configurations"], application_name, timeout=LARGE_WRITE_ANSWER_SECONDS)


async def has_configurations(connection: Connection, application_name: str) -> bool:
    """Return whether the application has any configuration."""
    return await connection.fetchval(_SQL["has_configurations"], application_name)


async def get(connection: Connection, ref: ApplicationRef) -> Application | None:
    """Return the current application."""
    application, _ = await get_shown(connection, ref)
    return application


async def get_shown(connection: Connection, ref: ApplicationRef) -> tuple[Application | None, int]:
    """Return the current application, and the revision as of which that is so.

    Raises DatabaseUnavailableError while the log is being restored.
    """
    row = await fetch_one(connection, _NAMES, _name, _SQL["get"], *id_and_name(ref))
    if row is None:
        raise DatabaseUnavailableError
    return _application(row) if row["id"] else None, row["shown_revision"]


async def get_at(connection: Connection, ref: ApplicationRef, revision: int) -> Application | None:
    """Return the application at a revision that the log still covers."""
    match ref:
        case IdRef(id=application_id):
            return await _get_at(connection, application_id, revision)
        case NameRef(name=name):
            # Most names stay with their application; what has it now and had it then is the one.
            present_id = await connection.fetchval(_SQL["id_named"], name)
            present = present_id and await _get_at(connection, present_id, revision)
            if present and present.name == name:
                return present
            # The exact name sorts first among those that begin with it.
            found = await page(connection, revision=revision, name_prefix=name, after=None, limit=1, scope=Everything())
            return next((application for application in found.resources if application.name == name), None)


async def _get_at(connection: Connection, application_id: str, revision: int) -> Application | None:
    row = await fetch_one(connection, _NAMES, _name, _SQL["get_at"], application_id, revision)
    return _application(row) if row and row["operation"] != Operation.DELETED else None


async def lock(connection: Connection, ref: ApplicationRef) -> Application | None:
    """Lock and return the application, without its revision, until the end of the transaction."""
    row = await fetch_one(connection, _NAMES, _name, _SQL["lock"], *id_and_name(ref))
    return _application(row) if row else None


async def get_version(connection: Connection, written: Written) -> Application:
    """Return the application as a write left it. Raises WriteConflictError if the log no longer has that version."""
    row = await fetch_one(connection, _NAMES, _name, _SQL["get_version"], written.resource_id, written.version)
    return _application(require_record(row))


async def page(
    connection: Connection,
    *,
    revision: int | None,
    name_prefix: str,
    after: str | None,
    limit: int,
    scope: Scope,
) -> Page[Application]:
    """Return at most limit applications in scope as of the revision (None: now), by name.

    Raises RevisionUnknownError or RevisionCompactedError.
    """
    statement = await statement_for(connection, _SQL, revision)
    rows = await fetch_around(connection, _NAMES_OF_PAGE, statement, revision, name_prefix, after, limit + 1, scope.ids)
    return page_of(rows, limit, _application, "name", _NAMES_OF_PAGE)
