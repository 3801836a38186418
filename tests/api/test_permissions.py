"""Every RPC, called by every kind of caller, for own, foreign and missing resources."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from configapi.v1.method_rules_pb2 import Permission, rules
from configapi.v1.schema_service_pb2 import CreateSchemaRequest
from configsvc.api.permissions import DECLARED_FOR_OTHERS
from configsvc.domain.access import Role
from configsvc.rpc.server import SERVICES
from tests.access.people import ROOT, STRANGER, Person, Target, as_, bind, make, nothing, people_of, until_known
from tests.access.rpcs import NEEDED, REQUESTS, Named, is_allowed
from tests.doors.marks import grpc_only
from tests.doors.outcomes import Outcome, code_of, outcome_of
from tests.identity.tokens import oidc_settings
from tests.service import Door, Service, running_service, struct
from tests.storage.reading import Session
from tests.storage.statements import Statements

# Health and reflection need no authentication.
ASKED_BY_ANYBODY = {
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
}
OWN, FOREIGN = "own-application", "for-application"
PEOPLE = (STRANGER, *people_of(OWN, FOREIGN, None))
OWNERS = {name: Person(name=f"{name}.editor", role=Role.EDITOR, application=name) for name in (OWN, FOREIGN)}
METHODS = [method for service in SERVICES for method in service.methods]
# Few, so that a busy machine still opens each connection to PostgreSQL within its limit.
AT_ONCE = 8

OK = {grpc.StatusCode.OK}
# The operations are running, so they cannot be deleted.
PRESENT = {
    "DeleteOperation": {grpc.StatusCode.FAILED_PRECONDITION},
    "UndeleteConfiguration": {grpc.StatusCode.ALREADY_EXISTS},
}
MISSING = {grpc.StatusCode.OK, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION}


async def served(service: Service) -> dict[str, descriptor_pb2.ServiceDescriptorProto]:
    """Return the methods that reflection lists and that need authentication."""
    # Its package has no types for asyncio.
    make_stub: Any = reflection_pb2_grpc.ServerReflectionStub
    stub = make_stub(service.channel)

    async def ask(**request: Any) -> reflection_pb2.ServerReflectionResponse:
        return await anext(aiter(stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**request)]))))

    listed = await ask(list_services="*")
    names = {one.name for one in listed.list_services_response.service} - ASKED_BY_ANYBODY
    found: dict[str, descriptor_pb2.ServiceDescriptorProto] = {}
    for name in names:
        answer = await ask(file_containing_symbol=name)
        for text in answer.file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(text)
            for one in file.service:
                if f"{file.package}.{one.name}" == name:
                    found[name] = one
    assert found.keys() == names
    return found


@grpc_only("HTTP has no reflection: tests/doors/test_annotations.py")
async def test_every_method_that_is_served_declares_its_permission(service: Service) -> None:
    for name, described in (await served(service)).items():
        for method in described.method:
            full_name = f"{name}.{method.name}"
            declared = method.options.Extensions[rules].permission or DECLARED_FOR_OTHERS.get(full_name)
            assert declared in set(Permission.values()) - {0}, full_name
            assert method.name in NEEDED, full_name
            assert method.name in REQUESTS, full_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The end of a call, with all bytes of it except the names of its target."""

    code: grpc.StatusCode
    details: tuple[bytes, ...]


async def call(service: Service, method: MethodDescriptor, request: Message, person: Person | None) -> Outcome:
    """Return OK, also for a stream that has begun, or the error."""
    return await outcome_of(service, method, request, as_(person) if person else ())


def nameless(error: grpc.aio.AioRpcError, target: Target) -> Answer:
    texts = [(error.details() or "").encode()]
    for name, value in error.trailing_metadata() or ():
        texts += [name.encode(), value if isinstance(value, bytes) else value.encode()]
    for index, name in enumerate(astuple(target)):
        texts = [text.replace(name.encode(), b"%d" % index) for text in texts]
    return Answer(code=error.code(), details=tuple(texts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """A service with an own and a foreign application, and the names of a missing one. Owners of operations have the
    ids `owners`.
    """

    service: Service
    own: Target
    foreign: Target
    missing: Target
    owners: dict[str, Person]
    turns: asyncio.Semaphore

    async def judge(self, method: MethodDescriptor, person: Person, *, by_id: bool) -> None:
        """Call the method for each target. Fail unless all refusals use the same words."""
        refusals: set[Answer] = set()
        for target in (self.own, self.foreign, self.missing):
            request = REQUESTS[method.name](Named(target=target, by_id=by_id))
            async with self.turns:
                outcome = await call(self.service, method, request, person)
            case = f"{method.name} of {target.application} by {person.name}, by {'id' if by_id else 'name'}: {outcome}"
            code = code_of(outcome)
            if is_allowed(method.name, person, target, self.owners):
                assert code in (MISSING if target is self.missing else PRESENT.get(method.name, OK)), case
            else:
                assert isinstance(outcome, grpc.aio.AioRpcError), case
                assert code is grpc.StatusCode.PERMISSION_DENIED, case
                refusals.add(nameless(outcome, target))
        assert len(refusals) <= 1, (method.name, person, by_id, refusals)


@asynccontextmanager
async def matrix(database_url: str, door: Door, psql: Session, folder: Path) -> AsyncGenerator[Matrix]:
    async with running_service(database_url, door=door, **oidc_settings(folder)) as service:
        request = CreateSchemaRequest(name="schema", document=struct({"type": "object"}))
        await service.schemas.CreateSchema(request, metadata=as_(ROOT))
        own, foreign = [await make(service, psql, name, owner) for name, owner in OWNERS.items()]
        ids = {OWN: own.application_id, FOREIGN: foreign.application_id}
        for person in set(PEOPLE) - {STRANGER, *OWNERS.values()}:
            await bind(psql, person, ids[person.application] if person.application else None)
        await until_known(service, psql)
        yield Matrix(
            service=service,
            own=own,
            foreign=foreign,
            missing=nothing(OWN),
            owners={own.operation_id: OWNERS[OWN], foreign.operation_id: OWNERS[FOREIGN]},
            turns=asyncio.Semaphore(AT_ONCE),
        )


@pytest.mark.timeout(180)
async def test_nobody_is_let_in_further_than_its_role_or_can_tell_what_is_foreign_from_what_is_not_there(
    database_url: str, door: Door, psql: Session, tmp_path: Path
) -> None:
    async with matrix(database_url, door, psql, tmp_path) as judges, asyncio.TaskGroup() as tasks:
        for method in METHODS:
            for person in PEOPLE:
                for by_id in (False, True):
                    tasks.create_task(judges.judge(method, person, by_id=by_id))


@pytest.mark.timeout(180)
async def test_what_is_foreign_takes_the_same_statements_as_what_is_not_there(
    database_url: str, door: Door, psql: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements = Statements(monkeypatch)
    get_by_id = next(method for method in METHODS if method.name == "GetConfiguration")
    async with matrix(database_url, door, psql, tmp_path) as judges:

        async def sent(method: MethodDescriptor, target: Target, person: Person, by_id: bool) -> tuple[str, ...]:
            statements.take()
            await call(judges.service, method, REQUESTS[method.name](Named(target=target, by_id=by_id)), person)
            # A connection is set up for lists or for look-ups, whichever did not come before.
            return tuple(one for one in statements.take() if not one.startswith("SET plan_cache_mode"))

        # Somebody else has read the foreign one, so that it is in memory.
        await sent(get_by_id, judges.foreign, ROOT, True)
        for person in people_of(OWN):
            for method in METHODS:
                for by_id in (False, True):
                    foreign, missing = [
                        await sent(method, target, person, by_id) for target in (judges.foreign, judges.missing)
                    ]
                    assert foreign == missing, (method.name, person, by_id)


async def test_nobody_is_let_in_without_saying_who_it_is(database_url: str, door: Door, tmp_path: Path) -> None:
    async with running_service(database_url, door=door, **oidc_settings(tmp_path)) as service:
        for method in METHODS:
            request = REQUESTS[method.name](Named(target=nothing(OWN), by_id=True))
            outcome = await call(service, method, request, None)
            assert isinstance(outcome, grpc.aio.AioRpcError), method.name
            assert outcome.code() is grpc.StatusCode.UNAUTHENTICATED, method.name
