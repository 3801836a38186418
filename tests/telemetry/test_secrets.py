"""Secrets, which appear nowhere: not in logs, errors, metrics, the list of processes, or printed settings."""

import asyncio
import re
import signal
import urllib.request
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import grpc
import psutil
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from configapi.v1.application_service_pb2 import CreateApplicationRequest, ListApplicationsRequest
from configapi.v1.configuration_service_pb2 import ListConfigurationsRequest, WatchConfigurationsRequest
from configsvc.app.run import run_service
from configsvc.process.settings import Settings
from configsvc.process.startup import StartError, prepare_database
from tests.api.calls import (
    Connection,
    create,
    create_application,
    creation,
    list_request,
)
from tests.identity.authorities import Authority, Files, files_in
from tests.identity.tokens import bearing, oidc_settings
from tests.operations.operating import item, messages
from tests.process.running import Program, program
from tests.rpc.served import text_of
from tests.service import Service, connected, settings_of, struct

PASSWORD = "xyzzyPASSWORD"
CONTENT = "xyzzyCONTENT"
REASON = "xyzzyREASON"
TOKEN = "xyzzyTOKEN"
MARKERS = (PASSWORD, CONTENT, REASON, TOKEN)
ROOT = bearing("root", email=TOKEN)
# Each part of a secret counts, not only the whole.
TOKEN_PARTS = tuple(str(ROOT[0][1]).removeprefix("Bearer ").split(".")[1:])


def with_password(database_url: str) -> str:
    return database_url.replace("@", f":{PASSWORD}@", 1)


def lines_of(file: Path) -> list[str]:
    """Return the secret lines of a PEM file."""
    return [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("---")]


def command_lines() -> str:
    """Return what everybody on this machine may read of all processes."""
    found: list[str] = []
    for process in psutil.process_iter():
        try:
            found += process.cmdline()
        except psutil.Error:
            continue
    return "\n".join(found)


async def metrics_of(running: Program) -> str:
    def read(address: str) -> str:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            return answer.read().decode()

    addresses = [line["listen"] for line in running.events("serving metrics")]
    assert addresses
    return "".join([await asyncio.to_thread(read, address) for address in addresses])


@asynccontextmanager
async def secured(
    folder: Path, url: str, files: Files, authority: Authority
) -> AsyncGenerator[tuple[Program, Service]]:
    """Run two workers that take tokens over TLS; yield them with stubs."""
    chosen = files.settings("oidc") | oidc_settings(folder, workers=2, log_level="debug", metrics_listen="127.0.0.1:0")
    settings: dict[str, Any] = {name: str(value) for name, value in chosen.items()}
    async with program(folder, "serve", listen="127.0.0.1:0", database_url=url, **settings) as running:
        ready = await running.wait_for("ready")
        async with connected(ready["listen"], asyncio.Event(), authority.trusting()) as service:
            yield running, service


def refused_headers() -> list[tuple[tuple[str, str], ...]]:
    """Return headers that callers may send by mistake, or to probe the service."""
    values = (f"Bearer {TOKEN}.{'.'.join(TOKEN_PARTS)}", f"Bearer {TOKEN}", f"Basic {TOKEN}", f"bearer {TOKEN} {TOKEN}")
    return [(("authorization", value),) for value in values]


def calls_of(service: Service) -> list[tuple[Any, Any, Any]]:
    """Return methods, requests and metadata: good ones, and some that fail in every easy way."""
    contents, applications = service.configurations, service.applications
    good = creation("web", {CONTENT: CONTENT}, comments=REASON, reason=REASON)
    bad = creation("web", {CONTENT: {"a": CONTENT}, "b": "\0"}, comments="\0", reason=REASON)
    stranger = bearing("stranger", email=TOKEN)
    return [
        (applications.CreateApplication, CreateApplicationRequest(name="shop", comments=REASON, reason=REASON), ROOT),
        (contents.CreateConfiguration, good, ROOT),
        (contents.CreateConfiguration, good, ROOT),
        (contents.CreateConfiguration, bad, ROOT),
        (contents.CreateConfiguration, good, stranger),
        (contents.ListConfigurations, list_request(json_path=f'$.a == "{CONTENT}"'), ROOT),
        (contents.ListConfigurations, list_request(contains=struct({CONTENT: 1})), ROOT),
        (contents.ListConfigurations, ListConfigurationsRequest(page_token=TOKEN), ROOT),
        (contents.ImportConfigurations, messages([item("i", {CONTENT: CONTENT})], reason=REASON), ROOT),
        *((applications.ListApplications, ListApplicationsRequest(), header) for header in refused_headers()),
    ]


async def told_by(service: Service) -> str:
    """Return everything that failed calls tell their callers."""
    told: list[str] = []
    for method, request, metadata in calls_of(service):
        try:
            await method(request, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            told.append(text_of(error))
    assert len(told) >= 7
    watch = service.configurations.WatchConfigurations(WatchConfigurationsRequest(), metadata=ROOT)
    await watch.read()
    watch.cancel()
    return "\n".join(told)


async def test_no_secret_gets_out_of_a_service_that_runs(tmp_path: Path, database_url: str) -> None:
    authority = Authority()
    files = files_in(tmp_path, authority)
    async with secured(tmp_path, with_password(database_url), files, authority) as (running, service):
        told = await told_by(service)
        measured = await metrics_of(running)
        processes = command_lines()
        running.signal(signal.SIGTERM)
        assert await running.exit_code() == 0
    assert running.events("call")
    for where in (told, measured, processes, running.text):
        found = [secret for secret in (*MARKERS, *TOKEN_PARTS, *lines_of(files.key)) if secret in where]
        # Only the caller may see which part of its own request is wrong.
        assert set(found) <= ({CONTENT} if where is told else set())


async def test_no_secret_gets_out_of_a_service_that_dies(tmp_path: Path, database_url: str, psql: Connection) -> None:
    # A background task fails while it handles a secret, and a call gets a database error that quotes it.
    url = with_password(database_url)
    async with program(tmp_path, "serve", listen="127.0.0.1:0", database_url=url, log_level="debug") as running:
        ready = await running.wait_for("ready")
        async with connected(ready["listen"], asyncio.Event()) as service:
            await create_application(service, "shop", comments=REASON, reason=REASON)
            await psql.execute("ALTER TABLE configurations ADD CONSTRAINT never CHECK (name <> 'web')")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await create(service, "web", {CONTENT: CONTENT}, comments=REASON, reason=REASON)
            async with psql.transaction():
                await psql.execute("SET CONSTRAINTS ALL IMMEDIATE")
                await psql.execute("UPDATE applications SET comments = $1", CONTENT)
                await psql.execute(
                    "UPDATE commits SET revision = revision + 1 WHERE transaction = pg_current_xact_id()"
                )
            assert await running.exit_code() == 1
    assert "stopped: a background task failed" in running.text
    for where in (text_of(caught.value), running.text):
        assert [marker for marker in MARKERS if marker in where] == []


# Values that an operator may have written.
URLS = {
    "nobody listens": f"postgresql://configsvc:{PASSWORD}@127.0.0.1:1/db?sslpassword={PASSWORD}",
    "an option that does not exist": f"postgresql://a:{PASSWORD}@127.0.0.1:1/db?sslmode=bogus",
    "a port that is none": f"postgresql://a:{PASSWORD}@127.0.0.1:1,127.0.0.1:2,/db",
    "a name in other letters": f"postgresql://a@127.0.0.1:1/db?pass%77ord={PASSWORD}",
    "a password that is not escaped": f"postgresql://a:p@ss:{PASSWORD}@127.0.0.1:1/db",
}


async def what_a_start_says(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the log and the last line of a service that the URL's database keeps from starting."""
    monkeypatch.setattr("configsvc.process.startup.DATABASE_LIMIT_SECONDS", 0.0)
    with capture_logs() as lines, pytest.raises(StartError) as caught:
        await prepare_database(settings_of(), url)
    return f"{lines} {caught.value}"


@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
async def test_no_secret_gets_out_of_a_service_that_does_not_reach_its_database(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PASSWORD not in await what_a_start_says(url, monkeypatch)


async def test_a_wrong_password_is_not_shown(
    database_url: str, psql: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = f"guarded_{uuid.uuid4().hex}"
    file = Path(await psql.fetchval("SHOW hba_file"))
    before = file.read_text(encoding="utf-8")
    await psql.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{CONTENT}'")
    file.write_text(f"local all {role} scram-sha-256\n{before}", encoding="utf-8")
    try:
        await psql.execute("SELECT pg_reload_conf()")
        url = database_url.replace(f"//{urlsplit(database_url).username}@", f"//{role}:{PASSWORD}@")
        told = await what_a_start_says(url, monkeypatch)
    finally:
        file.write_text(before, encoding="utf-8")
        await psql.execute("SELECT pg_reload_conf()")
        await psql.execute(f"DROP ROLE {role}")
    assert "password authentication failed" in told
    assert PASSWORD not in told


async def test_no_secret_gets_out_of_a_key_that_cannot_be_read(tmp_path: Path, database_url: str) -> None:
    file = tmp_path / "key.pem"
    file.write_text(f"-----BEGIN PRIVATE KEY-----\n{PASSWORD}\n-----END PRIVATE KEY-----\n", encoding="utf-8")
    settings = settings_of(tls_certificate_file=file, tls_key_file=file)
    with capture_logs() as lines, pytest.raises(StartError) as caught:
        await run_service(settings, database_url, stop=asyncio.Event())
    assert PASSWORD not in f"{lines} {caught.value}"


def test_settings_show_no_secret_however_they_are_shown() -> None:
    secret = [name for name, field in Settings.model_fields.items() if SecretStr in kinds_of(field.annotation)]
    named_so = {name for name in Settings.model_fields if re.search(r"password|secret|token|database_url", name)}
    assert named_so <= set(secret)
    schemes = {name: "redis" if name == "redis_url" else "postgresql" for name in secret}
    settings = settings_of(**{name: f"{scheme}://configsvc:{PASSWORD}@localhost/0" for name, scheme in schemes.items()})
    shown = (repr(settings), str(settings), settings.model_dump(), settings.model_dump_json(), vars(settings))
    assert PASSWORD not in "".join(map(str, shown))


def kinds_of(annotation: Any) -> set[Any]:
    """Return the classes that a value of the annotation may have."""
    inner = get_args(annotation)
    return {annotation}.union(*map(kinds_of, inner)) if inner else {annotation}
