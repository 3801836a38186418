"""Clients of a service in tests, and waiting for what they see."""

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from configsvc.client import Change, ConfigClient
from tests.storage.reading import Session

LIMIT_SECONDS = 30.0


def client_of(address: str, **options: Any) -> ConfigClient:
    """Return a client of the application shop."""
    return ConfigClient(address, application="shop", **options)


async def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while not condition():  # noqa: ASYNC110  # simpler than a condition in the client
            await asyncio.sleep(0.005)


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds, without a loop."""
    end = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


async def put(psql: Session, name: str, config: str) -> None:
    """Create or replace a configuration of the application shop."""
    await psql.execute("INSERT INTO applications (name) VALUES ('shop') ON CONFLICT DO NOTHING")
    await psql.execute(
        """INSERT INTO configurations (application, name, config) VALUES ('shop', $1, $2)
        ON CONFLICT (application, name) DO UPDATE SET config = excluded.config""",
        name,
        config,
    )


async def remove(psql: Session, name: str) -> None:
    await psql.execute("DELETE FROM configurations WHERE name = $1", name)


def shown(change: Change) -> tuple[str, Any, Any]:
    """Return the name and contents of a change."""
    before = change.before.content if change.before else None
    return change.name, before, change.after.content if change.after else None


async def run_program(
    text: str, *arguments: str, variables: dict[str, str] | None = None, python: Path | str = sys.executable
) -> str:
    """Run a program of its own, which must succeed; return its output."""
    process = await asyncio.create_subprocess_exec(
        *(python, "-c", text, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=variables,
    )
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()
