"""Callers with each role, for their own application, a foreign one and all; and the resources of each."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import grpc
import pytest
from ulid import ULID

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.application_service_pb2 import CreateApplicationRequest
from configapi.v1.configuration_pb2 import Configuration, ConfigurationKey
from configapi.v1.configuration_service_pb2 import CreateConfigurationRequest
from configapi.v1.server_service_pb2 import GetServerStatusRequest
from configsvc.domain.access import Role
from tests.identity.tokens import bearing
from tests.service import LIMIT_SECONDS, POLL_SECONDS, Service, struct
from tests.storage.reading import Session, head

ROLES = (Role.VIEWER, Role.EDITOR, Role.ADMIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A caller with a role for the named application (None: for all applications)."""

    name: str
    role: Role = Role.NONE
    application: str | None = None

    def role_for(self, application: str | None) -> Role:
        """Return the caller's role for an application; None: one that does not exist, so only roles for all count."""
        return self.role if self.application in {None, application} else Role.NONE

    @property
    def everywhere(self) -> Role:
        return self.role if self.application is None else Role.NONE


STRANGER = Person(name="stranger")
ROOT = Person(name="root", role=Role.ADMIN)


def people_of(*applications: str | None) -> tuple[Person, ...]:
    """Return a caller for each role and application; None: all applications."""
    return tuple(
        Person(name=f"{application or 'all'}.{role.name.lower()}", role=role, application=application)
        for application in applications
        for role in ROLES
    )


@cache
def as_(person: Person) -> tuple[tuple[str, str], ...]:
    """Return the metadata of the caller's calls."""
    return bearing(person.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The subject of a request: an application with a configuration, and an operation; or ids and names of nothing."""

    application: str
    application_id: str
    name: str
    id: str
    operation_id: str
    role_binding_id: str


def nothing(like: str) -> Target:
    """Return a target that does not exist, with names as long as those of an application."""
    ids = [str(ULID()) for _ in range(4)]
    application = "n" * len(like)
    return Target(
        application=application,
        application_id=ids[0],
        name=f"{application}-x",
        id=ids[1],
        operation_id=ids[2],
        role_binding_id=ids[3],
    )


async def make(service: Service, psql: Session, application: str, owner: Person, **fields: Any) -> Target:
    """Create an application with a configuration as root, and an operation of its owner that nobody runs."""
    request = CreateApplicationRequest(
        name=application, comments=f"{application} comments", reason=f"{application} reason"
    )
    made = (await service.applications.CreateApplication(request, metadata=as_(ROOT))).application
    configuration = await create(service, application, f"{application}-x", {application: application}, **fields)
    operation_id = str(ULID())
    settings = f'{{"application_ids": ["{made.id}"], "atomic": true}}'
    await psql.execute(
        """INSERT INTO operations (id, kind, state, settings, actor, reason, request_id, validate_only)
        VALUES ($1, 'IMPORT_CONFIGURATIONS', 'RUNNING', $2, $3, $4, '', false)""",
        operation_id,
        settings,
        f"user:{owner.name}",
        f"{application} reason",
    )
    # One without a job gets another when it has been silent for a minute.
    await psql.execute(
        """INSERT INTO pgqueuer (priority, status, entrypoint, dedupe_key, execute_after)
        VALUES (0, 'queued', 'operation', $1, now() + interval '1 day')""",
        operation_id,
    )
    return Target(
        application=application,
        application_id=made.id,
        name=configuration.name,
        id=configuration.id,
        operation_id=operation_id,
        role_binding_id=await bind(psql, owner, made.id),
    )


async def create(service: Service, application: str, name: str, config: dict[str, Any], **fields: Any) -> Configuration:
    request = CreateConfigurationRequest(
        application=ApplicationRef(name=application),
        name=name,
        config=struct(config),
        comments=f"{application} comments",
        reason=f"{application} reason",
        **fields,
    )
    return (await service.configurations.CreateConfiguration(request, metadata=as_(ROOT))).configuration


def key(application: str, name: str) -> ConfigurationKey:
    return ConfigurationKey(application=application, name=name)


async def bind(psql: Session, person: Person, application_id: str | None) -> str:
    """Bind the caller's role for the application with the id, or for all; return the id of the binding."""
    return await psql.fetchval(
        "INSERT INTO role_bindings (principal, role, application_id) VALUES ($1, $2, $3) RETURNING id",
        f"user:{person.name}",
        person.role.name,
        application_id,
    )


async def unbind(psql: Session, person: Person) -> int:
    """Take all roles away from the caller; return the revision of that change."""
    await psql.execute("DELETE FROM role_bindings WHERE principal = $1", f"user:{person.name}")
    return await head(psql)


async def until_known(service: Service, psql: Session) -> None:
    """Wait until the service has applied everything that was committed before."""
    revision = await head(psql)
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            status = await service.server.GetServerStatus(GetServerStatusRequest(), metadata=as_(ROOT))
            if status.revision >= revision:
                return
            await asyncio.sleep(POLL_SECONDS)


@contextmanager
def denied() -> Generator[None]:
    """Expect PERMISSION_DENIED."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED, caught.value
