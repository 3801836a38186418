"""Several processes on one port: each serves, one that dies is replaced, and they end together."""

import asyncio
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import psutil
import pytest
from grpc import StatusCode
from pydantic import SecretStr

from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest
from configapi.v1.server_service_pb2 import GetServerStatusRequest
from configsvc.limits.slots import connection_turn
from configsvc.process.settings import Settings
from configsvc.process.supervisor import pause_seconds
from configsvc.storage.database import open_database
from tests.api.calls import create, create_application, get, patch
from tests.postgres import plain_connection
from tests.process.running import CONFIGSVC, LIMIT_SECONDS, Program, processes_of, program
from tests.service import Service, connected, reason_of
from tests.storage.reading import wait_until_blocked
from tests.watch.changing import commit_one_by_one, watching
from tests.watch.history import read_history
from tests.watch.recording import Recorder, recorded
from tests.watch.validators import resumable, validate

BOTH = {0, 1}


def changed(code: str) -> tuple[str, ...]:
    """Run the program with a change to its supervisor."""
    lines = ("import configsvc.process.supervisor as it", code, "from configsvc.cli.main import main", "main()")
    return (sys.executable, "-c", "\n".join(lines))


def started(
    folder: Path,
    url: str,
    *arguments: str,
    command: tuple[str, ...] = CONFIGSVC,
    listen: str = "127.0.0.1:0",
    workers: int = 2,
) -> AbstractAsyncContextManager[Program]:
    """Run `configsvc serve` with that many workers, two by default, on a port of their own.

    A test tells by the log lines of reads, written at level debug, which worker answered.
    """
    return program(
        folder,
        "serve",
        *arguments,
        command=command,
        listen=listen,
        database_url=url,
        workers=str(workers),
        log_level="debug",
    )


@asynccontextmanager
async def working(
    folder: Path, url: str, *arguments: str, command: tuple[str, ...] = CONFIGSVC
) -> AsyncGenerator[tuple[Program, str]]:
    """Run two workers on a port of their own; yield them and the address once both are ready."""
    async with started(folder, url, *arguments, command=command) as running:
        yield running, (await running.wait_for("ready"))["listen"]


@asynccontextmanager
async def one_of_each(running: Program, address: str) -> AsyncGenerator[dict[int, Service]]:
    """Yield a channel to each of the workers, by its number."""
    services: dict[int, Service] = {}
    async with AsyncExitStack() as channels:
        while services.keys() != BOTH:
            service = await channels.enter_async_context(connected(address, asyncio.Event()))
            services[await worker_behind(running, service)] = service
        yield services


async def worker_behind(running: Program, service: Service) -> int:
    """Return the number of the worker that answers a channel, from its log line."""
    before = len(running.events("call"))
    assert (await service.server.GetServerStatus(GetServerStatusRequest())).worker_count == len(BOTH)
    await running.wait_for("call", times=before + 1)
    return running.events("call")[before]["worker"]


def pid_of(running: Program, worker: int) -> int:
    """Return the process that is the worker now."""
    return next(event["pid"] for event in reversed(running.events("worker started")) if event["worker"] == worker)


def workers_of(running: Program) -> list[psutil.Process]:
    return [psutil.Process(pid_of(running, number)) for number in sorted(BOTH)]


def uses_grpc(process: psutil.Process) -> bool:
    return any("cygrpc" in entry.path for entry in process.memory_maps())


def ended(processes: Sequence[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


async def endings(recorders: Sequence[Recorder]) -> list[tuple[StatusCode, str]]:
    errors = [await recorder.until_error() for recorder in recorders]
    return [(error.code(), reason_of(error)) for error in errors]


async def test_the_workers_answer_on_one_port(tmp_path: Path, database_url: str) -> None:
    async with working(tmp_path, database_url) as (running, address), one_of_each(running, address) as services:
        await create_application(services[0])
        created = await create(services[0], "web", {"a": 1})
        assert await get(services[1], "web") == created
    (ready,) = running.events("ready")
    assert ready["workers"] == 2
    assert ready["try_this"].endswith(f"grpcurl -plaintext localhost:{address.rpartition(':')[2]} list")
    assert Counter(event["worker"] for event in running.events("worker ready")) == {0: 1, 1: 1}
    assert len({event["pid"] for event in running.events("worker ready")}) == 2


async def test_one_worker_is_one_process(tmp_path: Path, database_url: str) -> None:
    async with started(tmp_path, database_url, workers=1) as running:
        await running.wait_for("ready")
        assert psutil.Process(running.process.pid).children() == []
    assert not running.events("worker started")


async def test_a_worker_that_is_killed_is_replaced_while_the_port_answers(tmp_path: Path, database_url: str) -> None:
    async with working(tmp_path, database_url) as (running, address):
        killed = pid_of(running, 0)
        os.kill(killed, signal.SIGKILL)
        end = await running.wait_for("worker ended")
        async with asyncio.timeout(LIMIT_SECONDS):
            while len(running.events("worker ready")) < 3:
                async with connected(address, asyncio.Event()) as service:
                    await service.server.GetServerStatus(GetServerStatusRequest())
        async with one_of_each(running, address) as services:
            assert services.keys() == BOTH
    assert (end["worker"], end["pid"], end["how"], end["replaced_in_seconds"]) == (0, killed, "SIGKILL", 0)
    assert running.events("worker ready")[2]["worker"] == 0
    assert len(running.events("ready")) == 1


async def test_a_watch_on_a_killed_worker_goes_on_at_another_with_nothing_lost(
    tmp_path: Path, database_url: str
) -> None:
    async with (
        working(tmp_path, database_url) as (running, address),
        plain_connection(database_url) as session,
        one_of_each(running, address) as services,
    ):
        await create_application(services[0])
        async with recorded(services[0], watching(after_revision=0)) as first, recorded(services[1]) as untouched:
            await commit_one_by_one(session, 20)
            await first.until_revision(11)
            await untouched.until_synced()
            os.kill(pid_of(running, 0), signal.SIGKILL)
            assert (await first.until_error()).code() == StatusCode.UNAVAILABLE
            # Until then, the kernel may give a new connection to the port of the process that ends, and reset it.
            await running.wait_for("worker ended")
            await commit_one_by_one(session, 5, prefix="later")
            resumed = WatchConfigurationsRequest(resume_token=first.recording.resume_token)
            async with connected(address, asyncio.Event()) as service, recorded(service, resumed) as second:
                await second.until_revision(26)
            await untouched.until_revision(26)
        history = await read_history(database_url)
    resumable(first.recording, second.recording, history)
    validate(untouched.recording, history)


async def test_a_worker_that_gets_a_signal_to_end_drains_and_is_replaced(tmp_path: Path, database_url: str) -> None:
    async with (
        working(tmp_path, database_url) as (running, address),
        one_of_each(running, address) as services,
        recorded(services[0]) as ending,
        recorded(services[1]) as going_on,
    ):
        await going_on.until_synced()
        await ending.until_synced()
        os.kill(pid_of(running, 0), signal.SIGTERM)
        assert await endings([ending]) == [(StatusCode.UNAVAILABLE, "SHUTTING_DOWN")]
        await running.wait_for("worker ready", times=3)
        await create_application(services[1])
        await create(services[1], "web")
        await going_on.until_revision(2)
    assert running.events("worker ended")[0]["how"] == "exit code 0"


async def test_a_worker_that_does_not_answer_is_killed_and_replaced(tmp_path: Path, database_url: str) -> None:
    impatient = changed("it.SILENCE_SECONDS = 3.0")
    async with working(tmp_path, database_url, command=impatient) as (running, address):
        frozen = pid_of(running, 1)
        os.kill(frozen, signal.SIGSTOP)
        killed = await running.wait_for("worker killed: it does not respond")
        await running.wait_for("worker ready", times=3)
        async with one_of_each(running, address) as services:
            assert services.keys() == BOTH
    assert (killed["worker"], killed["pid"]) == (1, frozen)


async def test_a_worker_that_keeps_dying_is_replaced_after_a_pause(tmp_path: Path, database_url: str) -> None:
    never_sound = changed("it.SOUND_SECONDS = 3600.0")
    async with working(tmp_path, database_url, command=never_sound) as (running, _):
        for deaths in range(1, 4):
            os.kill(pid_of(running, 0), signal.SIGKILL)
            await running.wait_for("worker ready", times=2 + deaths)
    pauses = [event["replaced_in_seconds"] for event in running.events("worker ended")]
    assert pauses[0] == 0
    assert 0 < pauses[1] <= 0.5 <= pauses[2] <= 1


SHORT_OF_PROCESSES = """
spawn, spawned = it.asyncio.create_subprocess_exec, []

def fail_once(*command, **options):
    spawned.append(command)
    if len(spawned) == 2:
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return spawn(*command, **options)

it.asyncio.create_subprocess_exec = fail_once
"""


async def test_a_worker_that_the_machine_has_no_room_for_is_started_later(tmp_path: Path, database_url: str) -> None:
    async with working(tmp_path, database_url, command=changed(SHORT_OF_PROCESSES)) as (running, _):
        (refused,) = running.events("worker ended")
    assert (refused["pid"], refused["how"]) == (None, "start failed: [Errno 11] Resource temporarily unavailable")


def test_the_pauses_grow_and_have_a_limit() -> None:
    assert [pause_seconds(short_lives) for short_lives in (0, 1)] == [0, 0]
    for short_lives, ceiling in ((2, 0.5), (3, 1), (6, 8), (8, 30), (5000, 30)):
        assert ceiling / 2 <= pause_seconds(short_lives) <= ceiling


def by_kill(running: Program) -> None:
    running.signal(signal.SIGTERM)


def by_terminal(running: Program) -> None:
    # Ctrl-C: to all processes of the foreground group.
    os.killpg(running.process.pid, signal.SIGINT)


def by_service_manager(running: Program) -> None:
    # systemd: to all processes of the unit.
    for pid in (running.process.pid, pid_of(running, 0), pid_of(running, 1)):
        os.kill(pid, signal.SIGTERM)


@pytest.mark.parametrize("tell", [by_kill, by_terminal, by_service_manager])
async def test_a_signal_drains_all_workers(tmp_path: Path, database_url: str, tell: Callable[[Program], None]) -> None:
    # A process group of its own, like that of a shell's foreground command.
    command = ("setsid", *CONFIGSVC)
    async with (
        working(tmp_path, database_url, command=command) as (running, address),
        plain_connection(database_url) as session,
        one_of_each(running, address) as services,
    ):
        await create_application(services[0])
        await create(services[0], "web", {"a": 1})
        processes = workers_of(running)
        async with recorded(services[0]) as one, recorded(services[1]) as other:
            await one.until_synced()
            await other.until_synced()
            locking = session.transaction()
            await locking.start()
            await session.execute("SELECT FROM commit_order FOR UPDATE")
            in_flight = asyncio.create_task(patch(services[0], "web", {"a": 2}))
            await wait_until_blocked(session)
            tell(running)
            assert await endings([one, other]) == [(StatusCode.UNAVAILABLE, "SHUTTING_DOWN")] * 2
            await locking.rollback()
            assert (await in_flight).version == 2
        assert await running.exit_code() == 0
    assert ended(processes)
    assert [event.get("worker") for event in running.events("stopped")][-1] is None
    assert {event.get("worker") for event in running.events("stopped")} == {0, 1, None}
    assert not running.events("worker ended")
    assert "Traceback" not in running.text


async def test_a_second_signal_ends_them_without_grace(tmp_path: Path, database_url: str) -> None:
    async with (
        working(tmp_path, database_url, "--shutdown-grace-seconds", "3600") as (running, address),
        one_of_each(running, address) as services,
    ):
        await create_application(services[0])
        async with plain_connection(database_url) as session, session.transaction():
            await session.execute("LOCK TABLE configurations IN ACCESS EXCLUSIVE MODE")
            in_flight = [asyncio.create_task(create(service, f"web-{number}")) for number, service in services.items()]
            await wait_until_blocked(session, others=2)
            processes = workers_of(running)
            running.signal(signal.SIGTERM)
            await running.wait_for("stopping", times=3)
            assert not ended(processes)
            running.signal(signal.SIGTERM)
            assert await running.exit_code() == 0
        await asyncio.gather(*in_flight, return_exceptions=True)
    assert ended(processes)


async def test_a_signal_while_the_workers_start_ends_everything(tmp_path: Path, database_url: str) -> None:
    async with started(tmp_path, database_url, workers=3) as running:
        await running.wait_for("worker started", times=1)
        running.signal(signal.SIGTERM)
        assert await running.exit_code() == 0
    assert ended(
        [psutil.Process(event["pid"]) for event in running.events("worker started") if psutil.pid_exists(event["pid"])]
    )
    assert not running.events("ready")
    assert "Traceback" not in running.text


async def test_workers_whose_supervisor_was_killed_drain_and_end(tmp_path: Path, database_url: str) -> None:
    async with working(tmp_path, database_url) as (running, address), one_of_each(running, address) as services:
        processes = workers_of(running)
        async with recorded(services[0]) as one, recorded(services[1]) as other:
            await one.until_synced()
            await other.until_synced()
            running.signal(signal.SIGKILL)
            assert await endings([one, other]) == [(StatusCode.UNAVAILABLE, "SHUTTING_DOWN")] * 2
        # The workers inherit its standard error.
        assert await running.exit_code() == -signal.SIGKILL
    assert Counter(event["worker"] for event in running.events("stopping: the supervisor is gone")) == {0: 1, 1: 1}
    await asyncio.to_thread(psutil.wait_procs, processes, timeout=LIMIT_SECONDS)
    assert ended(processes)


async def test_a_worker_that_cannot_start_ends_the_service_and_says_why(tmp_path: Path, database_url: str) -> None:
    careless = changed("from contextlib import nullcontext; it.shared_port = nullcontext")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with started(tmp_path, database_url, command=careless, listen=address) as running:
            assert await running.exit_code() == 1
    assert f"configsvc: cannot listen on {address}: it is in use, or not an address of this machine" in running.lines
    assert "ended with exit code 1 before it was ready" in running.lines[-1]
    assert len(running.events("worker started")) == 2


@pytest.mark.parametrize(("first", "others"), [(2, (2, 1)), (1, (2,))])
async def test_a_second_service_on_the_port_is_refused(
    tmp_path: Path, database_url: str, first: int, others: Sequence[int]
) -> None:
    async with started(tmp_path, database_url, workers=first) as running:
        address = (await running.wait_for("ready"))["listen"]
        for other in others:
            async with started(tmp_path, database_url, listen=address, workers=other) as refused:
                assert await refused.exit_code() == 1
            assert f"configsvc: cannot listen on {address}: it is in use" in refused.lines[-1]
        async with connected(address, asyncio.Event()) as service:
            await service.server.GetServerStatus(GetServerStatusRequest())


async def test_a_port_can_be_served_again_at_once_with_any_number_of_workers(tmp_path: Path, database_url: str) -> None:
    address = "127.0.0.1:0"
    for workers in (2, 1, 3):
        async with started(tmp_path, database_url, listen=address, workers=workers) as running:
            address = (await running.wait_for("ready"))["listen"]
            async with connected(address, asyncio.Event()) as service, recorded(service) as watch:
                await watch.until_synced()
                running.signal(signal.SIGTERM)
                assert await running.exit_code() == 0


async def test_workers_cannot_share_a_socket_file(tmp_path: Path, database_url: str) -> None:
    listen = f"unix:{tmp_path}/socket"
    async with started(tmp_path, database_url, listen=listen) as running:
        assert await running.exit_code() == 1
    assert f"configsvc: {listen} cannot be shared by workers" in running.lines[-1]


async def test_the_supervisor_does_without_grpc_and_no_command_line_holds_the_password(
    tmp_path: Path, database_url: str
) -> None:
    url = database_url.replace("@/", ":hunter2@/")
    async with working(tmp_path, url) as (running, address):
        family = [psutil.Process(running.process.pid), *workers_of(running)]
        assert [process.pid for process in family[0].children()] == sorted(process.pid for process in family[1:])
        assert [uses_grpc(process) for process in family] == [False, True, True]
        assert not [process for process in family if "hunter2" in " ".join(process.cmdline())]
        assert all("hunter2" in process.environ()["CONFIGSVC_DATABASE_URL"] for process in family[1:])
        async with connected(address, asyncio.Event()) as service:
            await create_application(service)
    assert "hunter2" not in running.text


async def test_the_embedded_database_starts_once_and_ends_with_the_workers(tmp_path: Path, data_dir: Path) -> None:
    arguments = ("serve", "--listen", "127.0.0.1:0", "--data-dir", str(data_dir), "--workers", "2")
    async with program(tmp_path, *arguments, log_level="debug") as running:
        address = (await running.wait_for("ready"))["listen"]
        async with one_of_each(running, address) as services:
            await create_application(services[0])
            created = await create(services[0], "web", {"a": 1})
            assert await get(services[1], "web") == created
        running.signal(signal.SIGTERM)
        assert await running.exit_code() == 0
    assert len(running.events("embedded PostgreSQL ready")) == 1
    assert len(running.events("embedded PostgreSQL stopped")) == 1
    assert processes_of(data_dir) == []


async def test_workers_go_on_after_the_database_was_away(tmp_path: Path, database_url: str) -> None:
    async with (
        working(tmp_path, database_url) as (running, address),
        one_of_each(running, address) as services,
        recorded(services[0]) as one,
        recorded(services[1]) as other,
    ):
        await one.until_synced()
        await other.until_synced()
        async with plain_connection(database_url) as session:
            await session.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        await running.wait_for("serving again", times=2)
        await create_application(services[0])
        await create(services[0], "web")
        await one.until_revision(2)
        await other.until_revision(2)
    assert {event["worker"] for event in running.events("serving again")} == BOTH


@pytest.mark.parametrize(("workers", "connections"), [(1, 17), (2, 10), (3, 9), (64, 9)])
async def test_the_workers_share_the_connections_of_one_process(
    database_url: str, workers: int, connections: int
) -> None:
    async with open_database(database_url, workers=workers, turn=connection_turn) as database:
        pools = (database.reads, database.merges, database.writes, database.watches)
        assert sum(pool.get_max_size() for pool in pools) + 1 == connections


def test_settings_come_whole_through_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(
        listen="[::1]:0",
        database_url=SecretStr("postgresql://configsvc:hunter%2F2@localhost/configsvc"),
        data_dir=Path("a folder/é"),
        workers=7,
        transport="ngh2",
        redis_url=SecretStr("rediss://configsvc:hunter%2F4@cache.example.com"),
        insecure=True,
        migrate=False,
        drain_delay_seconds=0.2,
        shutdown_grace_seconds=0.1,
        metrics_listen="127.0.0.1:9464",
        cache_megabytes=3,
        history_days=1.5,
        history_versions=3,
        log_level="warning",
        log_format="console",
        mtls_listen="[::1]:1",
        http_listen="[::1]:2",
        cors_origins="https://console.example.com",
        tls_certificate_file=Path("server.pem"),
        tls_key_file=Path("server-key.pem"),
        tls_client_ca_file=Path("authorities.pem"),
        trusted_proxies="10.0.0.0/8,unix:",
        migrate_database_url=SecretStr("postgresql://owner:hunter%2F3@localhost/configsvc"),
        service_role="configsvc_service",
        auth="oidc,mtls",
        admins="user:root,group:platform team",
        oidc_issuer="https://login.example.com",
        oidc_audience="configurations",
        oidc_jwks_file=Path("keys.json"),
        oidc_ca_file=Path("ca.pem"),
        oidc_user_claim="email",
        oidc_groups_claim="roles",
        oidc_leeway_seconds=1.5,
        calls_per_second=0.5,
        calls_burst=2.5,
        calls_at_once=3,
        watches_per_caller=4,
        watches_per_process=5,
        connection_age_seconds=6.5,
        console_client_id="console",
        console_scope="openid offline_access",
        console_origins="https://tokens.example.com",
    )
    default = Settings.model_construct()
    assert not [name for name in Settings.model_fields if getattr(settings, name) == getattr(default, name)]
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings
