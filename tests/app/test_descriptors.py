"""File descriptors: the standard ones are open, the limit is the highest, and everybody hears when none is left."""

import asyncio
import resource
import socket
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from grpc_health.v1.health_pb2 import HealthCheckResponse
from joserfc import jwt
from joserfc.jwk import ECKey

from configapi.v1.access_service_pb2 import GetCallerRequest
from configapi.v1.schema_pb2 import CLOSING_AS_WRITTEN
from tests.api.calls import create, create_application, failing, head
from tests.identity.tokens import AUDIENCE, ISSUER, oidc_settings
from tests.process.running import CONFIGSVC, Program, program
from tests.schemas.calls import create_schema
from tests.service import LIMIT_SECONDS, Service, connected, reason_of, wait_for_health
from tests.validation.test_checks import SLOW, TEXTS
from tests.writes.schemas import pin


def in_shell(commands: str) -> tuple[str, ...]:
    """Run the program in a process that was prepared by a shell."""
    return ("sh", "-c", f'{commands}; exec "$0" "$@"', *CONFIGSVC)


def processes(running: Program) -> list[psutil.Process]:
    """Return the program and its workers."""
    workers = [event["pid"] for event in running.events("worker ready")]
    return [psutil.Process(pid) for pid in (running.process.pid, *workers)]


@contextmanager
def without_descriptors(running: Program) -> Generator[None]:
    """Let the program open nothing more."""
    pid = running.process.pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    opened = {int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir()}
    lowest_free = min(set(range(len(opened) + 1)) - opened)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))


@asynccontextmanager
async def served(folder: Path, **settings: Any) -> AsyncGenerator[tuple[Program, Service]]:
    """Run the program, with a client that is connected."""
    async with program(folder, "serve", listen="127.0.0.1:0", **settings) as running:
        address = (await running.wait_for("ready"))["listen"]
        async with connected(address, asyncio.Event()) as service:
            await wait_for_health(service, HealthCheckResponse.SERVING)
            yield running, service


@pytest.mark.parametrize("workers", [1, 2])
async def test_each_process_may_open_as_many_files_as_the_hard_limit_says(
    tmp_path: Path, database_url: str, workers: int
) -> None:
    settings = {"listen": "127.0.0.1:0", "database_url": database_url, "workers": str(workers)}
    async with program(tmp_path, "serve", command=in_shell("ulimit -S -n 300"), **settings) as running:
        await running.wait_for("ready")
        limits = [process.rlimit(resource.RLIMIT_NOFILE) for process in processes(running)]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert limits == [(hard, hard)] * (1 if workers == 1 else 3)


async def test_closed_standard_descriptors_are_opened_on_nothing(tmp_path: Path, database_url: str) -> None:
    settings: dict[str, Any] = {"listen": "127.0.0.1:0", "database_url": database_url}
    # Only the log can be seen.
    async with program(tmp_path, "serve", command=in_shell("exec 2>&1 <&- >&-"), **settings) as running:
        await running.wait_for("ready")
        opened = Path(f"/proc/{running.process.pid}/fd")
        assert [str((opened / str(number)).readlink()) for number in (0, 1)] == ["/dev/null"] * 2


async def test_the_log_says_when_no_file_descriptor_is_left_and_when_there_are_some_again(
    tmp_path: Path, database_url: str
) -> None:
    settings: dict[str, Any] = {"listen": "127.0.0.1:0", "database_url": database_url}
    async with program(tmp_path, "serve", **settings) as running:
        host, _, port = (await running.wait_for("ready"))["listen"].partition(":")
        pid = running.process.pid
        with ExitStack() as connections:
            # So few that the server's own limit of connections does not come first.
            _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            limit = max(int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir()) + 2
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))
            for _ in range(20):
                connections.enter_context(socket.create_connection((host, int(port))))
            shortage = await running.wait_for(
                "out of file descriptors: new connections of clients and to the database fail or wait"
            )
        await running.wait_for("file descriptors are available again")
        # With the low limit, gRPC would accept the connections that nobody holds any more at two a second.
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
        async with connected(f"{host}:{port}", asyncio.Event()) as service:
            await create_application(service)
    assert (shortage["level"], shortage["reason"], shortage["limit"]) == ("error", "Too many open files", limit)
    assert "ulimit -n" in shortage["advice"]


async def test_calls_are_told_that_no_descriptor_is_left_for_a_connection_to_the_database(
    tmp_path: Path, database_url: str
) -> None:
    async with served(tmp_path, database_url=database_url) as (running, service):
        await create_application(service)
        with without_descriptors(running):
            for call in (head(service), create(service, "web")):
                with failing(grpc.StatusCode.UNAVAILABLE, "OUT_OF_DESCRIPTORS") as caught:
                    await call
                assert "no file descriptor left" in (caught.value.details() or "")
        assert await head(service) == 1
        assert (await create(service, "web")).version == 1


async def test_calls_are_told_that_no_descriptor_is_left_for_a_process_that_validates(
    tmp_path: Path, database_url: str
) -> None:
    async with served(tmp_path, database_url=database_url) as (running, service):
        await create_application(service)
        await create_schema(service, "slow", SLOW, closing=CLOSING_AS_WRITTEN)
        # The connections that a write needs are open.
        await asyncio.gather(*(create(service, f"c{number}", validate_only=True) for number in range(4)))
        with (
            without_descriptors(running),
            failing(grpc.StatusCode.UNAVAILABLE, "OUT_OF_DESCRIPTORS"),
        ):
            await create(service, "web", TEXTS, schema=pin("slow"))
        assert (await create(service, "web", TEXTS, schema=pin("slow"))).version == 1


async def test_calls_are_told_that_no_descriptor_is_left_for_the_keys_of_the_identity_provider(
    tmp_path: Path, database_url: str
) -> None:
    settings = {name: str(value) for name, value in oidc_settings(tmp_path).items()}
    async with served(tmp_path, database_url=database_url, **settings) as (running, service):
        # A key that the service does not have, so that it reads them again.
        other = ECKey.generate_key("P-256", {"kid": "other"})
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "iat": int(time.time()), "exp": int(time.time()) + 3600}
        signed = jwt.encode({"alg": "ES256", "kid": "other"}, claims, other, algorithms=["ES256"])
        request = GetCallerRequest()
        with without_descriptors(running):
            reason = ""
            async with asyncio.timeout(LIMIT_SECONDS):
                # For some seconds after the keys were read, they are not read again.
                while reason != "OUT_OF_DESCRIPTORS":
                    with pytest.raises(grpc.aio.AioRpcError) as caught:
                        await service.access.GetCaller(request, metadata=(("authorization", f"Bearer {signed}"),))
                    reason = reason_of(caught.value)
                    assert reason in {"UNAUTHENTICATED", "OUT_OF_DESCRIPTORS"}
        warning = await running.wait_for("cannot read the keys of the identity provider")
    assert warning["why"] == "this process has no file descriptor left"


async def test_the_embedded_database_is_not_taken_for_ended_without_a_descriptor(
    tmp_path: Path, data_dir: Path
) -> None:
    async with served(tmp_path, data_dir=str(data_dir)) as (running, service):
        with without_descriptors(running):
            # It is looked at twice a second.
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(running.process.wait(), 1.5)
            with failing(grpc.StatusCode.UNAVAILABLE, "OUT_OF_DESCRIPTORS"):
                await head(service)
        assert await head(service) == 0
        assert not running.events("embedded PostgreSQL ended")
