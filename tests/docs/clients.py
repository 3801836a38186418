"""The programs of examples/clients, built with the tools of their languages where these are installed."""

import asyncio
import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.docs.test_guide import PROJECT, process

EXAMPLES = PROJECT / "examples" / "clients"
LIMIT_SECONDS = 100.0
# The programs and files that each language needs.
NEEDED = {
    "node": ("node", "npm"),
    "go": ("go", "protoc", "protoc-gen-go", "protoc-gen-go-grpc", "/usr/share/gocode/src/google.golang.org/grpc"),
    "java": ("javac", "protoc", "grpc_java_plugin", *(f"/usr/share/java/{one}.jar" for one in ("grpc-netty", "gson"))),
}
# The programs connect to this machine, whatever the variables of proxies say; the library of Debian's Go asks for its.
PROXY_VARIABLES = ("grpc_proxy", "http_proxy", "https_proxy", "HTTPS_PROXY")
ENVIRONMENT = ("env", *(f"--unset={name}" for name in PROXY_VARIABLES), "GRPC_GO_RETRY=on")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The commands of a language's programs."""

    get: tuple[str, ...]
    follow: tuple[str, ...] = ()
    has_tls: bool = True


class Programs:
    """Running programs by their languages, each of which prints JSON objects, a line for each event."""

    def __init__(self, running: dict[str, asyncio.subprocess.Process]) -> None:
        self._running = running

    async def agreed(self, event: str, field: str, **wanted: Any) -> Any:
        """Return the field of each program's next event of this name, with these values; it is the same everywhere."""
        found = await asyncio.gather(*(_next(process, event, wanted) for process in self._running.values()))
        values = {language: one[field] for language, one in zip(self._running, found, strict=True)}
        first, *_ = values.values()
        assert all(value == first for value in values.values()), values
        return first

    async def exit_codes(self) -> set[int]:
        return set(await asyncio.gather(*(process.wait() for process in self._running.values())))


async def _next(process: asyncio.subprocess.Process, name: str, wanted: dict[str, Any]) -> dict[str, Any]:
    assert process.stdout
    while True:
        event: dict[str, Any] = json.loads(await process.stdout.readline())
        # No test leaves a program without configurations.
        assert event.get("contents") != {}, event
        if event["event"] == name and wanted.items() <= event.items():
            return event


@asynccontextmanager
async def following(clients: dict[str, Client], *arguments: str, **variables: str) -> AsyncGenerator[Programs]:
    """Run the programs that keep a copy. In arguments, LANGUAGE stands for the language."""
    running: dict[str, asyncio.subprocess.Process] = {}
    async with AsyncExitStack() as stack:
        for language, client in clients.items():
            own = (argument.replace("LANGUAGE", language) for argument in arguments)
            command = (*_environment(variables), *client.follow, *own)
            running[language] = await stack.enter_async_context(process(*command, limit_seconds=LIMIT_SECONDS))
        yield Programs(running)


async def answer_of(client: Client, *arguments: str, **variables: str) -> dict[str, Any]:
    """Run a program that reads a configuration; return what it prints."""
    command = (*_environment(variables), *client.get, *arguments)
    async with process(*command, limit_seconds=LIMIT_SECONDS) as running:
        output, _ = await running.communicate()
    return json.loads(output)


def _environment(variables: dict[str, str]) -> tuple[str, ...]:
    """Return the beginning of a command that sets the variables."""
    return (*ENVIRONMENT, *(f"{name}={value}" for name, value in variables.items()))


def client_in(language: str) -> Client:
    """Return the programs of a language, built once for their content, or skip."""
    found = _client_or_fault(language)
    return found if isinstance(found, Client) else pytest.skip(found)


@cache
def _client_or_fault(language: str) -> Client | str:
    missing = [one for one in NEEDED[language] if not (shutil.which(one) or Path("/", one).exists())]
    if missing:
        return f"not installed: {', '.join(missing)}"
    folder = PROJECT / "build" / "clients" / language
    sources = (EXAMPLES / language, PROJECT / "protos", PROJECT / "third_party", PROJECT / "deploy")
    try:
        output = built_once(folder, sources, lambda: _build(language, folder))
    except subprocess.CalledProcessError as error:
        if language == "node":
            return f"npm could not install the packages: {error.stderr.strip()[:200]}"
        raise AssertionError(error.stderr) from error
    return COMMANDS[language](folder, output)


def built_once(folder: Path, sources: Iterable[Path], build: Callable[[], "subprocess.CompletedProcess[str]"]) -> str:
    """Fill the folder, unless it was filled from the same sources, files or folders; return what the build printed.

    Raises CalledProcessError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        # Other processes of pytest need the same.
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp, digest = folder / "built.json", _digest(sources)
        built = json.loads(stamp.read_text(encoding="utf-8")) if stamp.exists() else {}
        if built.get("digest") != digest:
            shutil.rmtree(folder)
            folder.mkdir()
            done = build()
            done.check_returncode()
            built = {"digest": digest, "output": done.stdout.strip()}
            stamp.write_text(json.dumps(built), encoding="utf-8")
    return built["output"]


def _build(language: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    if language == "node":
        for file in (EXAMPLES / "node").glob("package*.json"):
            shutil.copy(file, folder)
        return ran(
            folder, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1"
        )
    return ran(folder, str(EXAMPLES / language / "build.sh"), str(folder))


def ran(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Return how a command in the folder ended."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)


def _digest(sources: Iterable[Path]) -> str:
    """Return a digest of all files that a build reads, with some others."""
    found = (file for source in sources for file in ([source] if source.is_file() else source.rglob("*")))
    files = (file for file in found if file.is_file() and "node_modules" not in file.parts)
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _node(folder: Path, _: str) -> Client:
    node = ("env", f"NODE_PATH={folder}/node_modules", "node")
    return Client(get=(*node, f"{EXAMPLES}/node/get.js"), follow=(*node, f"{EXAMPLES}/node/follow.js"))


def _go(folder: Path, _: str) -> Client:
    return Client(get=(f"{folder}/client", "get"), follow=(f"{folder}/client", "follow"))


def _java(_: Path, class_path: str) -> Client:
    # Both options make a short program start sooner.
    java = ("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", class_path)
    return Client(get=(*java, "Get"), follow=(*java, "Follow"), has_tls=False)


LANGUAGES = ("node", "go", "java")
COMMANDS = {"node": _node, "go": _go, "java": _java}
PYTHON = Client(get=(sys.executable, f"{EXAMPLES}/python/get.py"))
