"""SQL of role bindings."""

from collections.abc import Iterable

import asyncpg
from asyncpg import ForeignKeyViolationError

from configsvc.domain.access import Grant, Role, RoleBinding
from configsvc.domain.errors import ResourceExistsError, WriteConflictError
from configsvc.domain.models import Page, WriteContext, Written
from configsvc.domain.scope import Scope
from configsvc.storage import contexts
from configsvc.storage.database import Connection
from configsvc.storage.log import PAGE_SECONDS, require_record
from configsvc.storage.pages import ordered_by_id, page_of
from configsvc.storage.queries import queries
from configsvc.storage.unreadable_rows import Names, fetch_around, fetch_one, readable_rows

_SQL = queries("role_bindings")

_GRANT = "application_id"
_NAMES_OF_GRANT = Names(kind="role binding", columns=_GRANT, ids=_GRANT)
_NAMES = Names(kind="role binding", columns="id, version", ids="id, version")
_NAMES_OF_PAGE = ordered_by_id("role binding")


async def grants(connection: Connection) -> tuple[Grant, ...]:
    """Return the grants of all role bindings; one that cannot be read grants nothing."""
    return _grants(readable_rows(_NAMES_OF_GRANT, await fetch_around(connection, _NAMES_OF_GRANT, _SQL["all"])))


async def grants_at_deletion(connection: Connection, application_ids: Iterable[str]) -> tuple[Grant, ...]:
    """Return the grants for deleted applications, as of their deletion."""
    # This scans the records of the deletion, which may include those of all the configurations.
    return _grants(await connection.fetch(_SQL["grants_at_deletion"], list(application_ids), timeout=PAGE_SECONDS))


def _grants(rows: Iterable[asyncpg.Record]) -> tuple[Grant, ...]:
    return tuple(
        Grant(
            principal=row["principal"],
            role=Role[row["role"]],
            application_id=row["application_id"],
            application=row["application"],
        )
        for row in rows
    )


async def applications_of(connection: Connection, ids: Iterable[str]) -> dict[str, str]:
    """Return the id of the current or last application of each configuration, by the configuration's id."""
    rows = await connection.fetch(_SQL["applications_of"], list(ids))
    return {row["id"]: row["application_id"] for row in rows}


def _role_binding(row: asyncpg.Record) -> RoleBinding:
    return RoleBinding(
        id=row["id"],
        principal=row["principal"],
        role=Role[row["role"]],
        application_id=row["application_id"],
        application=row["application"],
        version=row["version"],
        revision=row["revision"],
        create_time=row["create_time"],
        created_by=row["created_by"],
    )


async def insert(connection: Connection, binding_id: str, grant: Grant, context: WriteContext) -> Written:
    """Insert a role binding.

    Raises ResourceExistsError, or WriteConflictError if the application was deleted meanwhile.
    """
    try:
        version = await connection.fetchval(
            _SQL["insert"],
            binding_id,
            grant.principal,
            grant.role.name,
            grant.application_id,
            contexts.encoded(context),
        )
    except ForeignKeyViolationError as error:
        raise WriteConflictError from error
    if version is None:
        raise ResourceExistsError("role binding", str(grant))
    return Written(resource_id=binding_id, version=version)


async def lock_admins(connection: Connection) -> frozenset[str]:
    """Lock the role bindings of admins for all applications until the end of the transaction; return their ids."""
    return frozenset(row["id"] for row in await connection.fetch(_SQL["lock_admins"]))


async def delete(connection: Connection, binding_id: str) -> Written | None:
    """Delete a role binding; return None if it does not exist."""
    version = await connection.fetchval(_SQL["delete"], binding_id)
    return None if version is None else Written(resource_id=binding_id, version=version)


async def application_of(connection: Connection, binding_id: str) -> str | None:
    """Return the application id of a role binding, even a deleted one; None if it is for all or never existed."""
    return await connection.fetchval(_SQL["application_of"], binding_id)


async def get_version(connection: Connection, written: Written) -> RoleBinding:
    """Return the role binding as a write left it. Raises WriteConflictError if the log no longer has that version."""
    statement, place = _SQL["get_version"], (written.resource_id, written.version)
    row = await fetch_one(connection, _NAMES, lambda row: row["id"], statement, *place)
    return _role_binding(require_record(row))


async def page(
    connection: Connection,
    *,
    revision: int | None,
    principal: str,
    scope: Scope,
    after: str | None,
    limit: int,
) -> Page[RoleBinding]:
    """Return at most limit role bindings in scope as of the revision (None: now), by id.

    Those for all applications are included only if everything is in scope. Raises
    RevisionUnknownError or RevisionCompactedError.
    """
    arguments = (revision, principal, scope.ids, after, limit + 1)
    rows = await fetch_around(connection, _NAMES_OF_PAGE, _SQL["list"], *arguments)
    return page_of(rows, limit, _role_binding, "id", _NAMES_OF_PAGE)
