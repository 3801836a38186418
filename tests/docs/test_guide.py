import asyncio
import inspect
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from configsvc.cli.main import serve_command
from configsvc.process.settings import Settings
from tests.service import Service
from tests.watch.changing import watching, with_epoch

if TYPE_CHECKING:
    import asyncpg

    Psql = asyncpg.Connection[asyncpg.Record]

PROJECT = Path(__file__).parents[2]
README = "README.md"
FIRST_STEPS = "docs/guide/first-steps.md"
LIMIT_SECONDS = 30.0


def document(path: str) -> str:
    return (PROJECT / path).read_text(encoding="utf-8")


def blocks(path: str, language: str) -> list[str]:
    """Return the blocks of code in the language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", document(path), re.MULTILINE | re.DOTALL)


def block(path: str, language: str) -> str:
    """Return the only block of code in the language."""
    (found,) = blocks(path, language)
    return found


@asynccontextmanager
async def process(*command: str, limit_seconds: float = LIMIT_SECONDS) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run a process; end it with everything it started."""
    started = await asyncio.create_subprocess_exec(
        *command, cwd=PROJECT, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    try:
        async with asyncio.timeout(limit_seconds):
            yield started
    finally:
        if started.returncode is None:
            os.killpg(started.pid, signal.SIGKILL)
            await started.wait()


async def line_with(wanted: str, running: asyncio.subprocess.Process) -> str:
    """Return the next line of the output that holds the text."""
    assert running.stdout is not None
    while line := (await running.stdout.readline()).decode():
        if wanted in line:
            return line
    raise AssertionError(f"the output ended without {wanted}")


def grpcurl_commands(service: Service, path: str = README) -> list[str]:
    text = "\n\n".join(found.strip() for found in blocks(path, "sh")).replace("localhost:50051", service.address)
    text = text.replace(".venv/bin/grpcurl", str(Path(sys.executable).with_name("grpcurl")))
    return text.strip().split("\n\n")


async def take_first_steps(service: Service) -> None:
    """Run the commands of the README that change something."""
    create_application, create_configuration, _, patch = grpcurl_commands(service)
    for command in (create_application, create_configuration, patch):
        await output_of(command)


async def output_of(command: str) -> str:
    async with process("bash", "-c", command) as running:
        output, _ = await running.communicate()
    assert running.returncode == 0
    return output.decode()


async def test_the_four_lines_of_the_readme_work_as_they_stand(service: Service) -> None:
    create_application, create_configuration, watch, patch = grpcurl_commands(service)
    assert '"name": "shop"' in await output_of(create_application)
    assert '"replicas": 3' in await output_of(create_configuration)
    async with process("bash", "-c", watch) as watching:
        await line_with('"synced": true', watching)
        patched = await output_of(patch)
        assert '"replicas": 5' in patched
        assert "tls" not in patched
        await line_with("CHANGE_TYPE_UPDATED", watching)
        await line_with('"reason": "more load"', watching)


async def test_the_lines_about_history_work_as_they_stand(service: Service) -> None:
    await take_first_steps(service)
    commands = grpcurl_commands(service, "docs/guide/history.md")
    versions, differences, past, back, restoration, deleted, changes, applications, export = commands
    listed = await output_of(versions)
    assert listed.index('"reason": "more load"') < listed.index("CHANGE_TYPE_CREATED")
    assert "~ /replicas: 3 → 5" in await output_of(differences)
    assert '"replicas": 3' in await output_of(past)
    assert '"version": "3"' in await output_of(back)
    restored = await output_of(restoration)
    assert '"version": "5"' in restored
    assert '"replicas": 3' in restored
    assert '"name": "web"' in await output_of(deleted)
    assert '"reason": "needed after all"' in await output_of(changes)
    assert '"name": "shop"' in await output_of(applications)
    assert '"name": "web"' in await output_of(export)


async def test_the_first_steps_work_as_they_stand(service: Service) -> None:
    await take_first_steps(service)
    batch, find, latest, create_schema, pin, check = grpcurl_commands(service, FIRST_STEPS)
    assert '"name": "api"' in await output_of(batch)
    assert '"name": "web"' in await output_of(find)
    assert '"replicas": 6' in await output_of(latest)
    assert '"additionalProperties"' in await output_of(create_schema)
    assert '"schema": "service"' in await output_of(pin)
    checked = await output_of(check)
    assert '"offender_count": "1"' in checked
    assert '"pointer": "/replicas"' in checked


async def test_the_lines_about_imports_and_exports_work_as_they_stand(service: Service) -> None:
    run, back = grpcurl_commands(service, "docs/guide/import-export.md")
    asked, awaited = (await output_of(run)).split('"name": "operations/')[1:]
    assert "OperationMetadata" in asked
    assert '"done": true' in awaited
    assert '"created_count":"2"' in awaited
    assert '"name": "operations/' in await output_of(back)


async def test_the_lines_about_access_work_as_they_stand(service: Service) -> None:
    create_application, *_ = grpcurl_commands(service)
    await output_of(create_application)
    give, show, who = grpcurl_commands(service, "docs/guide/access.md")
    assert '"role": "ROLE_EDITOR"' in await output_of(give)
    assert '"principal": "group:shop-team"' in await output_of(show)
    assert '"principal": "anonymous"' in await output_of(who)
    changes = grpcurl_commands(service, "docs/guide/history.md")[-3]
    assert '"change_request": "OPS-42"' in await output_of(changes)


async def test_the_sql_reaches_watchers(service: Service, psql: "Psql") -> None:
    for command in grpcurl_commands(service)[:2]:
        await output_of(command)
    watch = service.configurations.WatchConfigurations(await with_epoch(service, watching(after_revision=2)))
    messages = aiter(watch)
    assert (await anext(messages)).HasField("opened")
    assert (await anext(messages)).synced
    await psql.execute(block("docs/reference/sql.md", "sql"))
    (event,) = (await anext(messages)).events
    watch.cancel()
    assert event.configuration.config["replicas"] == 7
    assert event.origin.actor.startswith("database:")


def test_the_table_of_settings_is_complete_and_true() -> None:
    rows = re.findall(
        r"^\| `(CONFIGSVC_\w+)` \| (?:`--([a-z-]+)` )?\| (?:`(.*)` )?\| \S.*\|$",
        document("docs/reference/settings.md"),
        re.MULTILINE,
    )
    fields = Settings.model_fields
    assert [row[0] for row in rows] == [f"CONFIGSVC_{name.upper()}" for name in fields]
    assert {row[1].replace("-", "_") for row in rows if row[1]} == set(inspect.signature(serve_command).parameters)
    assert [row[2] for row in rows] == [shown(field.default) for field in fields.values()]


def shown(default: object) -> str:
    """Return a default as the table writes it."""
    match default:
        case None:
            return ""
        case bool():
            return str(default).lower()
        case float():
            return f"{default:g}"
        case _:
            return str(default)


def test_the_readme_is_short() -> None:
    assert len(document(README).splitlines()) <= 120
