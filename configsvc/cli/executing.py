"""The command `configsvc exec`: a program that runs with configurations, and is told when they change."""

import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import typer

from configsvc.cli.documents import parse_json, pretty_json, yaml_text
from configsvc.cli.failures import UsageError
from configsvc.cli.files import replace_file
from configsvc.cli.following import Events, Followed, Waiting, talk
from configsvc.cli.keys import key_of, key_text
from configsvc.cli.programs import Program, StartError, inherited_descriptors
from configsvc.cli.signals import Arrived, has_terminal, receive_signals, signal_named
from configsvc.cli.supervising import Prepared, Rules, Supervisor
from configsvc.cli.tools import FileFormat, OnChange
from configsvc.cli.variables import Variables, environment_of

if TYPE_CHECKING:
    from configsvc.cli.session import Session

FILE_VARIABLE = b"CONFIGSVC_FILE"
# Programs that have no use for them do not end by these.
_HARMLESS = frozenset({signal.SIGCHLD, signal.SIGWINCH})


def run(
    session: "Session",
    program: Sequence[str],
    *,
    configurations: Sequence[str],
    prefix: str,
    override: bool,
    file: str | None,
    file_format: FileFormat | None,
    on_change: OnChange,
    signal_name: str | None,
    stop_seconds: float,
    quiet_seconds: float,
    disk_copy: str | None,
) -> None:
    """Run the program until it ends. Raises CliError or typer.Exit."""
    # First of all, before anything of this program is among them.
    inherited, descriptors = dict(os.environb), inherited_descriptors()
    prefixes = _prefixes(configurations, prefix)
    if file:
        if override or any(prefixes.values()):
            raise UsageError("--prefix and --override are about variables, which --file replaces")
        delivery: Delivery = InFile(Path(file).absolute(), _format(file, file_format), inherited)
    else:
        if file_format:
            raise UsageError("--format needs --file PATH")
        delivery = InVariables(prefixes, inherited, override=override)
    rules = Rules(
        on_change=on_change,
        signal=_signal(signal_name, on_change),
        stop_seconds=stop_seconds,
        quiet_seconds=quiet_seconds,
    )
    events: Events = SimpleQueue()
    mask = receive_signals(events)
    followed = Followed(session, prefixes, events, command="exec", disk_copy=disk_copy)
    try:
        followed.start()
        _wait(followed, events)
        supervised = Program(program, mask=mask, descriptors=descriptors, has_own_group=not has_terminal())
        supervisor = Supervisor(
            supervised, rules, events, prepare=lambda: _prepared(delivery, followed), waited_for=followed.children
        )
        code = supervisor.run()
    except StartError as error:
        talk(str(error))
        code = error.code
    finally:
        followed.close()
    raise typer.Exit(code)


def _prefixes(configurations: Sequence[str], prefix: str) -> dict[str, str]:
    """Return the keys with the prefix of their variables. Raises UsageError."""
    found: dict[str, str] = {}
    for text in configurations:
        own, equals, key = text.rpartition("=")
        key = key_text(key_of(key))
        if key in found:
            raise UsageError(f"--config {key} is there twice")
        found[key] = own if equals else prefix
    return found


def _format(file: str, given: FileFormat | None) -> FileFormat:
    return given or (FileFormat.YAML if file.endswith((".yaml", ".yml")) else FileFormat.JSON)


def _signal(name: str | None, on_change: OnChange) -> int:
    if name and on_change is not OnChange.SIGNAL:
        raise UsageError("--signal needs --on-change signal")
    try:
        return signal_named(name or "SIGHUP")
    except ValueError:
        raise UsageError(f"{name!r} is no signal: write a name, such as SIGHUP") from None


def _wait(followed: Followed, events: Events) -> None:
    """Wait until all configurations are there. Raises CliError, and typer.Exit for a signal that ends a program."""
    waiting = Waiting(followed, for_missing=True)
    while not waiting.is_over():
        try:
            event = events.get(timeout=waiting.seconds())
        except Empty:
            continue
        if isinstance(event, Arrived) and _ends(event.number):
            raise typer.Exit(128 + event.number)


def _ends(number: int) -> bool:
    return number not in _HARMLESS and signal.getsignal(number) is not signal.SIG_IGN


def _prepared(delivery: "Delivery", followed: Followed) -> Prepared:
    found = followed.configurations()
    contents = {key: parse_json(configuration.text) for key, configuration in found.items()}
    return delivery.prepared(contents, {key: configuration.version for key, configuration in found.items()})


@dataclass(frozen=True, slots=True)
class InVariables:
    """Configurations as environment variables."""

    prefixes: Mapping[str, str]
    inherited: Mapping[bytes, bytes]
    override: bool

    def prepared(self, contents: Mapping[str, object], versions: Mapping[str, int]) -> Prepared:
        """Return what the program runs with. Raises CliError."""
        wanted = [Variables(key, self.prefixes[key], content) for key, content in contents.items()]
        variables = environment_of(wanted, self.inherited, replaces=self.override)
        return Prepared(variables=variables, file_text="", versions=versions, write=lambda: None)


@dataclass(frozen=True, slots=True)
class InFile:
    """One configuration, or an object with several by their keys, in a file that a variable names."""

    path: Path
    format: FileFormat
    inherited: Mapping[bytes, bytes]

    def prepared(self, contents: Mapping[str, object], versions: Mapping[str, int]) -> Prepared:
        """Return what the program runs with."""
        document = next(iter(contents.values())) if len(contents) == 1 else dict(contents)
        text = yaml_text(document) if self.format is FileFormat.YAML else pretty_json(document) + "\n"
        variables = {**self.inherited, FILE_VARIABLE: os.fsencode(self.path)}
        return Prepared(
            variables=variables,
            file_text=text,
            versions=versions,
            write=lambda: replace_file(self.path, text.encode(), is_private=True),
        )


Delivery = InVariables | InFile
