"""Load configurations into a running service, change some, and show the changes that the client library sees."""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
from rich.console import Console

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import ListConfigurationsRequest
from configapi.v1.configuration_service_pb2_grpc import ConfigurationServiceStub
from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON
from configapi.v1.selector_pb2 import ConfigurationSelector
from configapi.v1.server_service_pb2 import GetServerStatusRequest
from configapi.v1.server_service_pb2_grpc import ServerServiceStub
from configsvc.client import ConfigError, Snapshot
from demo.files import Item, default_folder, find
from demo.report import make_console, progress_bar, show_counts, show_events, show_latency, show_skipped
from demo.watcher import Watcher
from demo.writer import CALL_LIMIT_SECONDS, CONCURRENCY, Writer

if TYPE_CHECKING:
    from configapi.v1.configuration_service_pb2_grpc import ConfigurationServiceAsyncStub

FIRST_CALL_LIMIT_SECONDS = 5.0
ARRIVAL_LIMIT_SECONDS = 15.0
PATCHED = 5
PAGE_SIZE = 200

Fault = TypeVar("Fault", bound=Exception)


class DemoError(Exception):
    """A reason to stop the demo, as text for its user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command line."""

    address: str
    folder: Path
    limit: int | None
    rows: int


def parsed_options(arguments: Sequence[str]) -> Options:
    """Parse the command line; exit on a fault or --help."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument(
        "--address",
        default=os.environ.get("CONFIGSVC_LISTEN") or "localhost:50051",
        help="address of the service (default: CONFIGSVC_LISTEN, or localhost:50051)",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=default_folder(),
        help="folder of configurations, with a subfolder for each application (default: %(default)s)",
    )
    parser.add_argument("--limit", type=int, help="maximum number of files to read (default: all)")
    parser.add_argument("--rows", type=int, default=20, help="number of load events to show (default: %(default)s)")
    return Options(**vars(parser.parse_args(arguments)))


async def run(options: Options, console: Console) -> None:
    """Run the demo. Raises DemoError or AioRpcError, the latter perhaps in a group."""
    items = _read_files(options, console)
    async with grpc.aio.insecure_channel(options.address, options=_channel_options(options.address)) as channel:
        await _greet(channel, options.address, console)
        watcher = Watcher(options.address, dict.fromkeys(item.application for item in items))
        async with watcher.running():
            count = sum(len(client.snapshot()) for client in watcher.clients.values())
            console.print(f"The watch starts with {count} configurations at revision {watcher.revision}.")
            await _write_and_show(Writer(channel), watcher, items, options.rows, console)
            await _compare(watcher, ConfigurationServiceStub(channel), console)


def _channel_options(address: str) -> tuple[tuple[str, int], ...]:
    # gRPC would ask the proxy in http_proxy for this machine, too, unless no_proxy says otherwise.
    return (("grpc.enable_http_proxy", 0),) if _is_loopback(address.rpartition(":")[0].strip("[]")) else ()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _read_files(options: Options, console: Console) -> tuple[Item, ...]:
    if not options.folder.is_dir():
        raise DemoError(f"the folder {options.folder} does not exist")
    with console.status(f"reading {options.folder}"):
        found = find(options.folder, options.limit)
    console.print(f"Read {len(found.items)} configurations from {options.folder}.", soft_wrap=True)
    show_skipped(console, found.skipped)
    if not found.items:
        raise DemoError(f"{options.folder} contains no configuration to load")
    return found.items


async def _greet(channel: grpc.aio.Channel, address: str, console: Console) -> None:
    try:
        status = await ServerServiceStub(channel).GetServerStatus(
            GetServerStatusRequest(), timeout=FIRST_CALL_LIMIT_SECONDS
        )
    except grpc.aio.AioRpcError as error:
        if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            raise DemoError(f"no service responds at {address}: start it with make run") from error
        raise DemoError(f"the server at {address} is not configsvc: {error.details()}") from error
    console.print(f"configsvc {status.version} at {address}, epoch {status.epoch}, revision {status.revision}.")


async def _write_and_show(writer: Writer, watcher: Watcher, items: Sequence[Item], rows: int, console: Console) -> None:
    loaded = await _load(writer, items, console)
    await _arrival(watcher, writer.last_revision)
    load = watcher.take()
    show_events(console, "Events of the load", load, writer.sent, rows=rows)
    await _change(writer, watcher, loaded)
    changes = watcher.take()
    show_events(console, "Events of the changes", changes, writer.sent, rows=len(changes))
    console.print("\nSummary")
    show_counts(console, [*load, *changes])
    show_latency(console, load, writer.sent, writes=f"load, {CONCURRENCY} writes at a time")
    show_latency(console, changes, writer.sent, writes="changes, one at a time")


async def _load(writer: Writer, items: Sequence[Item], console: Console) -> list[Configuration]:
    for application in dict.fromkeys(item.application for item in items):
        await writer.ensure_application(application)
    began = time.monotonic()
    with progress_bar(console) as progress:
        bar = progress.add_task("loading", total=len(items))
        loaded = await writer.load(items, done=lambda: progress.advance(bar))
    console.print(f"Loaded {len(loaded)} in {time.monotonic() - began:.2f} s.")
    show_skipped(console, writer.refused)
    if not loaded:
        raise DemoError("the service accepted none of them")
    return loaded


async def _change(writer: Writer, watcher: Watcher, loaded: Sequence[Configuration]) -> None:
    for configuration in loaded[:PATCHED]:
        await writer.patch(configuration)
    renamed = loaded[len(loaded) // 2]
    await writer.free_new_name(renamed)
    # Several changes of a name that nobody has read yet are one.
    await _arrival(watcher, writer.last_revision)
    await writer.rename(renamed)
    await writer.delete(loaded[-1])
    await _arrival(watcher, writer.last_revision)


async def _arrival(watcher: Watcher, revision: int) -> None:
    try:
        async with asyncio.timeout(ARRIVAL_LIMIT_SECONDS):
            await watcher.reached(revision)
    except TimeoutError:
        raise DemoError(f"the watch did not reach revision {revision} in time: it is at {watcher.revision}") from None


async def _compare(watcher: Watcher, configurations: "ConfigurationServiceAsyncStub", console: Console) -> None:
    """Compare the view of each client with the list at its revision. Raises DemoError if they differ."""
    count = 0
    for application, client in watcher.clients.items():
        view = client.snapshot()
        listed = await _list_all(configurations, application, view)
        if listed != {name: (one.version, one.content) for name, one in view.configurations.items()}:
            raise DemoError(f"the view of {application} differs from ListConfigurations at revision {view.revision}")
        count += len(listed)
    console.print(f"  check     the views equal ListConfigurations: {count} configurations")


async def _list_all(
    configurations: "ConfigurationServiceAsyncStub", application: str, view: Snapshot
) -> dict[str, tuple[int, Any]]:
    """Return the versions and contents as of a view."""
    listed: dict[str, tuple[int, Any]] = {}
    request = ListConfigurationsRequest(
        selector=ConfigurationSelector(application=ApplicationRef(name=application)),
        format=CONTENT_FORMAT_JSON,
        as_of_revision=view.revision,
        epoch=view.epoch,
        page_size=PAGE_SIZE,
    )
    while True:
        page = await configurations.ListConfigurations(request, timeout=CALL_LIMIT_SECONDS)
        listed.update((one.name, (one.version, json.loads(one.config_json))) for one in page.configurations)
        if not page.next_page_token:
            return listed
        request.page_token = page.next_page_token


def main(arguments: Sequence[str]) -> int:
    """Run the demo and return its exit code."""
    options = parsed_options(arguments)
    faults: list[str] = []
    try:
        asyncio.run(run(options, make_console()))
    except* KeyboardInterrupt:
        faults.append("interrupted")
    except* DemoError as group:
        faults += map(str, _leaves(group))
    except* ConfigError as group:
        faults += (f"the client failed: {error}" for error in _leaves(group))
    except* grpc.aio.AioRpcError as group:
        faults += (f"the service returned {error.code().name}: {error.details()}" for error in _leaves(group))
    for fault in faults:
        Console(stderr=True, soft_wrap=True).print(f"demo: {fault}", markup=False, highlight=False)
    return 1 if faults else 0


def _leaves(group: BaseExceptionGroup[Fault]) -> list[Fault]:
    leaves: list[Fault] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
