"""The commands of `configsvc sync` in this process, against a running service, with a folder of files."""

import asyncio
import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from typer.testing import CliRunner

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.configuration_pb2 import Configuration, ConfigurationKey
from configapi.v1.configuration_service_pb2 import (
    CreateConfigurationRequest,
    DeleteConfigurationRequest,
    GetConfigurationRequest,
    UpdateConfigurationRequest,
)
from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON
from configsvc.cli.main import app
from tests.cli.running import Done
from tests.service import Service

# The largest tree takes minutes on a machine that does much else.
LIMIT_SECONDS = 300.0


@contextmanager
def quiet_service() -> Generator[None]:
    """Keep the log of the service, which is in this process, out of the output of commands."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.__stderr__))
    try:
        yield
    finally:
        structlog.reset_defaults()


async def configuration_of(service: Service, application: str, name: str) -> Configuration:
    """Return a configuration of a service."""
    key = ConfigurationKey(application=application, name=name)
    request = GetConfigurationRequest(key=key, latest=True, format=CONTENT_FORMAT_JSON)
    return (await service.configurations.GetConfiguration(request)).configuration


@dataclass(frozen=True, slots=True)
class Sync:
    """Runs commands for the files of a folder, which are a source of its own."""

    service: Service
    folder: Path
    # Empty: that of Git.
    repository: str

    async def __call__(self, command: str, *arguments: str, stdin: str = "") -> Done:
        named = ("--repository", self.repository) if self.repository else ()
        return await self.run("sync", command, str(self.folder), *arguments, *named, stdin=stdin)

    async def run(self, *words: str, stdin: str = "") -> Done:
        """Run any command in a thread: the service needs the loop."""
        runner = CliRunner(env={"CONFIGSVC_SERVER": self.service.address, "NO_COLOR": "1"})
        async with asyncio.timeout(LIMIT_SECONDS):
            result = await asyncio.to_thread(runner.invoke, app, words, input=stdin)
        assert "a fault of this program" not in result.stderr, result.stderr
        return Done(result.exit_code, result.stdout, result.stderr)

    async def ok(self, command: str, *arguments: str) -> Done:
        """Run a command that must succeed."""
        done = await self(command, *arguments)
        assert done.code == 0, done.out + done.err
        return done

    async def apply(self, *arguments: str) -> Done:
        """Apply the files, without a question."""
        return await self.ok("apply", "--yes", *arguments)

    async def plan(self, *arguments: str) -> Any:
        """Return the plan as a document."""
        done = await self("plan", "-o", "json", *arguments)
        return json.loads(done.out)

    async def actions(self, *arguments: str) -> list[tuple[str, str]]:
        """Return the changes of the plan."""
        return [(change["action"], change["name"]) for change in (await self.plan(*arguments))["changes"]]

    # Files

    def write(self, **files: Any) -> None:
        """Write files as JSON; a double underscore in a name stands for a slash, and None removes the file."""
        for name, content in files.items():
            path = self.folder / (name.replace("__", "/") + ".json")
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def write_text(self, path: str, text: str) -> Path:
        """Write a file."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    # By hand

    async def get(self, application: str, name: str) -> Configuration:
        """Return a configuration."""
        return await configuration_of(self.service, application, name)

    async def content(self, application: str, name: str) -> Any:
        """Return the content of a configuration."""
        return json.loads((await self.get(application, name)).config_json)

    async def set(self, application: str, name: str, content: Any = None, /, **values: str) -> None:
        """Change a configuration by hand."""
        if content is not None:
            values["config_json"] = json.dumps(content)
        key = ConfigurationKey(application=application, name=name)
        request = UpdateConfigurationRequest(key=key, configuration=Configuration(**values))  # type: ignore[arg-type]
        await self.service.configurations.UpdateConfiguration(request)

    async def create(self, application: str, name: str, content: Any) -> None:
        """Create a configuration by hand."""
        request = CreateConfigurationRequest(
            application=ApplicationRef(name=application), name=name, config_json=json.dumps(content)
        )
        await self.service.configurations.CreateConfiguration(request)

    async def delete(self, application: str, name: str) -> None:
        """Delete a configuration by hand."""
        key = ConfigurationKey(application=application, name=name)
        await self.service.configurations.DeleteConfiguration(DeleteConfigurationRequest(key=key))
