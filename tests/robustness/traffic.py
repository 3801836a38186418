"""Writers: callers of the service and sessions of psql that conflict. Each write leaves a marker in the log: its reason
or, in SQL, a part of the contents.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import count
from random import Random

import asyncpg
import grpc
from ulid import ULID

from configapi.v1.application_pb2 import Application, ApplicationRef
from configapi.v1.application_service_pb2 import UpdateApplicationRequest
from configapi.v1.configuration_pb2 import Configuration, ConfigurationKey
from configapi.v1.configuration_service_pb2 import (
    CreateConfigurationRequest,
    DeleteConfigurationRequest,
    UpdateConfigurationRequest,
)
from configsvc.domain.errors import DatabaseUnavailableError, WriteConflictError
from configsvc.storage.database import translated_errors
from tests.postgres import plain_connection
from tests.service import Service, reason_if_any, struct
from tests.storage.reading import Session

# The second and the third are one application, which is renamed to and fro.
APPLICATIONS = ("shop", "bank", "bench")
NAMES = tuple(f"{prefix}{number:02}" for prefix in ("web", "db-") for number in range(20))
CALLERS = 3
SESSIONS = 2
PAUSE_SECONDS = 0.05
AGAIN_SECONDS = 0.2
CALL_LIMIT_SECONDS = 20.0
# A caller that goes away before the answer and asks again.
IMPATIENT_SECONDS = 0.01
LIMIT_SECONDS = 40.0

# Errors that a caller may get when others change the same resources.
REFUSALS = ("RESOURCE_NOT_FOUND", "RESOURCE_EXISTS")
# Tried again with the same request_id, as docs/reference/errors.md says.
AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED)

Request = (
    CreateConfigurationRequest | UpdateConfigurationRequest | DeleteConfigurationRequest | UpdateApplicationRequest
)


class Outcome(Enum):
    """The answer that the writer got."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(slots=True, kw_only=True)
class Write:
    """One write, by the marker that it leaves in the log."""

    marker: str
    outcome: Outcome = Outcome.UNKNOWN


class Traffic:
    """Writers that run until they are told to end, with all answers that they got."""

    def __init__(self, services: Sequence[Service], database_url: str, *, seed: str, name: str) -> None:
        self._services = services
        self._database_url = database_url
        self._seed = seed
        self._name = name
        self._stopped = False
        self._ended = asyncio.Event()
        self.writes: list[Write] = []

    @property
    def done(self) -> int:
        """The number of writes that succeeded."""
        return sum(write.outcome is Outcome.DONE for write in self.writes)

    async def more(self, number: int) -> None:
        """Wait until that many more writes have succeeded."""
        wanted = self.done + number
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                while self.done < wanted:  # noqa: ASYNC110  # simpler than a condition in every writer
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"not {number} more writes within {LIMIT_SECONDS} s: {self.writes[-10:]}") from None

    async def end(self) -> None:
        """Let every writer finish its present write, and end."""
        self._stopped = True
        async with asyncio.timeout(LIMIT_SECONDS):
            await self._ended.wait()

    async def run(self) -> None:
        """Write until told to end."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(CALLERS):
                tasks.create_task(self._call_on(number))
            for number in range(SESSIONS):
                tasks.create_task(self._keep_session(number))
        self._ended.set()

    def _begin(self, writer: str) -> Write:
        write = Write(marker=f"{self._name}{writer}-{len(self.writes)}")
        self.writes.append(write)
        return write

    async def _call_on(self, number: int) -> None:
        chance = Random(f"{self._seed} {self._name}caller{number}")
        while not self._stopped:
            write = self._begin(f"caller{number}")
            request = random_request(chance)
            request.reason, request.request_id = write.marker, str(ULID())
            patience = IMPATIENT_SECONDS if chance.random() < 0.1 else CALL_LIMIT_SECONDS
            await self._call(write, request, first=number, patience=patience)
            await asyncio.sleep(chance.uniform(0, PAUSE_SECONDS))

    async def _call(self, write: Write, request: Request, *, first: int, patience: float) -> None:
        for attempt in count():
            service = self._services[(first + attempt) % len(self._services)]
            try:
                await send(service, request, CALL_LIMIT_SECONDS if attempt else patience)
            except grpc.aio.AioRpcError as error:
                if reason_if_any(error) in REFUSALS:
                    # An earlier attempt may still be under way somewhere.
                    write.outcome = Outcome.UNKNOWN if attempt else Outcome.REFUSED
                    return
                if error.code() not in AGAIN:
                    raise
                if self._stopped:
                    return
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                write.outcome = Outcome.DONE
                return

    async def _keep_session(self, number: int) -> None:
        chance = Random(f"{self._seed} {self._name}session{number}")
        while not self._stopped:
            try:
                with translated_errors():
                    async with plain_connection(self._database_url) as session:
                        await session.execute("SET lock_timeout = '1s'")
                        await self._write_in_sql(session, chance, f"session{number}")
            except (DatabaseUnavailableError, asyncpg.PostgresError):
                await asyncio.sleep(AGAIN_SECONDS)

    async def _write_in_sql(self, session: Session, chance: Random, writer: str) -> None:
        while not self._stopped:
            write = self._begin(writer)
            try:
                with translated_errors():
                    write.outcome = await random_transaction(session, chance, write.marker)
            except (WriteConflictError, asyncpg.IntegrityConstraintViolationError):
                write.outcome = Outcome.REFUSED
            await asyncio.sleep(chance.uniform(0, PAUSE_SECONDS))


def random_request(chance: Random) -> Request:
    """Return a write through the service."""
    key = ConfigurationKey(application=chance.choice(APPLICATIONS), name=chance.choice(NAMES))
    number = struct({"number": chance.randrange(1_000_000_000)})
    match chance.choices(("create", "update", "rename", "delete", "rename application"), (4, 6, 1, 1, 0.3))[0]:
        case "create":
            application = ApplicationRef(name=key.application)
            return CreateConfigurationRequest(application=application, name=key.name, config=number)
        case "update":
            return UpdateConfigurationRequest(key=key, merge_patch=number)
        case "rename":
            other = chance.choice([name for name in NAMES if name != key.name])
            return UpdateConfigurationRequest(key=key, configuration=Configuration(name=other))
        case "delete":
            return DeleteConfigurationRequest(key=key)
        case _:
            old, new = chance.sample(APPLICATIONS[1:], 2)
            return UpdateApplicationRequest(name=old, application=Application(name=new))


async def send(service: Service, request: Request, timeout: float) -> None:
    """Make the call."""
    match request:
        case CreateConfigurationRequest():
            await service.configurations.CreateConfiguration(request, timeout=timeout)
        case UpdateConfigurationRequest():
            await service.configurations.UpdateConfiguration(request, timeout=timeout)
        case DeleteConfigurationRequest():
            await service.configurations.DeleteConfiguration(request, timeout=timeout)
        case UpdateApplicationRequest():
            await service.applications.UpdateApplication(request, timeout=timeout)


async def random_transaction(session: Session, chance: Random, marker: str) -> Outcome:
    """Make a transaction in SQL of one to several rows, some with a savepoint, some rolled back at the end."""
    transaction = session.transaction()
    await transaction.start()
    try:
        application = chance.choice(APPLICATIONS)
        names = sorted(chance.sample(NAMES, chance.randint(1, 8)))
        await put(session, application, names, marker)
        if chance.random() < 0.3:
            await roll_back_to_savepoint(session, application, marker)
        if chance.random() < 0.2:
            await session.execute("DELETE FROM configurations WHERE name = $1", chance.choice(NAMES))
    except asyncpg.PostgresError:
        await transaction.rollback()
        raise
    if chance.random() < 0.2:
        await transaction.rollback()
        return Outcome.REFUSED
    await transaction.commit()
    return Outcome.DONE


async def put(session: Session, application: str, names: Sequence[str], marker: str) -> None:
    """Create or replace configurations in one statement."""
    await session.execute(
        """INSERT INTO configurations (application, name, config)
        SELECT $1, name, jsonb_build_object('marker', $3::text) FROM unnest($2::text[]) AS name
        ON CONFLICT (application, name) DO UPDATE SET config = excluded.config""",
        application,
        names,
        marker,
    )


async def roll_back_to_savepoint(session: Session, application: str, marker: str) -> None:
    """Change something else and roll it back."""
    savepoint = session.transaction()
    await savepoint.start()
    await put(session, application, [f"taken-back-{marker}"], f"taken back {marker}")
    await savepoint.rollback()


async def read_marks(session: Session) -> dict[str, list[int]]:
    """Return the revisions at which each marker is in the log, once for each commit."""
    rows = await session.fetch(
        """SELECT marker, array_agg(DISTINCT revision) AS revisions
        FROM changes, coalesce(nullif(reason, ''), content ->> 'marker') AS marker
        WHERE marker IS NOT NULL
        GROUP BY marker"""
    )
    return {row["marker"]: row["revisions"] for row in rows}
