"""The commands `config export` and `config import`: many configurations as one JSON document."""

import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from configsvc.cli import options, pb
from configsvc.cli.commands import command
from configsvc.cli.configurations import app, selector_of
from configsvc.cli.documents import Json, compact_json, is_array, is_object, parse_document, parse_json, read_text
from configsvc.cli.failures import CliError, ExitCode, UsageError
from configsvc.cli.files import replaced
from configsvc.cli.keys import moment_of
from configsvc.cli.output import say
from configsvc.cli.progress import progress
from configsvc.cli.session import Session
from configsvc.cli.sync.naming import Ending
from configsvc.cli.waiting import submitted

# A message of an import has at most 4 MiB.
MAX_MESSAGE_BYTES = 2 * 1024 * 1024
MAX_MESSAGE_ITEMS = 500
UPLOAD_SECONDS = 600.0
_MEMBERS = frozenset({"application", "name", "comments", "schema", "config", "expected_version"})


@command(app, "export", connects=True)
def export(
    session: Session,
    selection: options.Selection = None,
    file: Annotated[
        str, typer.Option("--file", "-f", metavar="FILE", help="File to write; - is standard output.")
    ] = "-",
    at: options.At = None,
    tree: Annotated[
        str | None,
        typer.Option(metavar="DIRECTORY", help="Folder to write as a tree of files for Git, in place of a document."),
    ] = None,
    ending: Annotated[
        Ending, typer.Option("--format", help="Form of new files of a tree; those that are there keep theirs.")
    ] = Ending.YAML,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete the files of a tree that are no longer on the service.")
    ] = False,
) -> None:
    """Write configurations as a document for `import`, or as a tree of files.

    The document is JSON with a configuration on each line, all as of one revision.

    Files of a tree keep their comments, and those that are no longer on the service are named, and stay.
    """
    if tree is not None:
        if file != "-":
            raise UsageError("--file and --tree exclude each other")
        # Imported late: nothing else needs it.
        from configsvc.cli.sync.fetching import export_tree  # noqa: PLC0415

        export_tree(session, selection, at, Path(tree), ending=ending, prune=prune)
        return
    request = pb.ExportConfigurationsRequest(
        selector=selector_of(selection), format=pb.CONTENT_FORMAT_JSON, **moment_of(at)
    )
    with _written(file) as output, progress("exporting") as advance:
        count = 0
        for answer in session.connection.stream(session.connection.configurations.ExportConfigurations, request):
            if count == 0 and not output.started:
                output.start(answer.revision, answer.epoch)
            for item in answer.items:
                output.add(_plain_item(item))
                count += 1
            advance(count, None)
        output.end()
    say(f"exported {count} configurations at revision {output.revision}")


class _Document:
    """An export as it is written, with an item on each line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._separator = "\n"
        self.started = False
        self.revision = 0

    def start(self, revision: int, epoch: str) -> None:
        self.started, self.revision = True, revision
        head = compact_json({"revision": revision, "epoch": epoch})[:-1]
        self._stream.write(f'{head},"configurations":[')

    def add(self, item: Json) -> None:
        self._stream.write(self._separator + compact_json(item))
        self._separator = ",\n"

    def end(self) -> None:
        self._stream.write("\n]}\n")


@contextmanager
def _written(file: str) -> Generator[_Document]:
    """Yield a document. Raises CliError."""
    if file == "-":
        yield _Document(sys.stdout)
        return
    path = Path(file)
    try:
        # A pipe or a device takes what is written, and stays.
        direct = path.exists() and not path.is_file()
        with path.open("wb") if direct else replaced(path) as target:
            stream = TextIOWrapper(target, encoding="utf-8")
            try:
                yield _Document(stream)
            finally:
                # All of it is in the file then, which is closed elsewhere.
                stream.detach()
    except OSError as error:
        raise CliError(f"cannot write {file}: {error.strerror}") from None


def _plain_item(item: "pb.ConfigurationItem") -> Json:
    plain: dict[str, Json] = {"application": item.application.name, "name": item.name}
    if item.comments:
        plain["comments"] = item.comments
    if item.HasField("schema"):
        plain["schema"] = {"schema": item.schema.schema, "version": item.schema.version}
    return plain | {"config": parse_json(item.config_json)}


@command(app, "import", prints=True, changes=True)
def import_(
    session: Session,
    file: options.File,
    replace: Annotated[bool, typer.Option("--replace", help="Replace configurations that exist.")] = False,
    create_applications: Annotated[
        bool, typer.Option("--create-applications", help="Create applications that do not exist.")
    ] = False,
    per_item: Annotated[
        bool, typer.Option("--per-item", help="Write what can be written; otherwise all in one commit, or nothing.")
    ] = False,
    wait: options.Wait = False,
) -> None:
    """Create configurations from a document of `export`.

    They are created in the background. Prints the operation's id, unless --wait is given.
    """
    items = _items_of(parse_document(read_text(file), file), file)
    settings = pb.ImportConfigurationsRequest(
        mode=pb.IMPORT_MODE_PER_ITEM if per_item else pb.IMPORT_MODE_ATOMIC,
        upsert=replace,
        create_applications=create_applications,
        **session.change(),
    )
    calls = session.connection
    with progress("sending") as advance:

        def send(_request: Any, **options: Any) -> "pb.Operation":
            return calls.configurations.ImportConfigurations(_messages(settings, items, advance), **options)

        operation = calls.call(send, settings, UPLOAD_SECONDS)
    submitted(session, operation, wait=wait)


def _messages(
    settings: "pb.ImportConfigurationsRequest", items: "list[pb.ConfigurationItem]", advance: Any
) -> "Iterator[pb.ImportConfigurationsRequest]":
    message, size = settings, 0
    for position, item in enumerate(items):
        bytes_of_item = item.ByteSize()
        if message.items and (size + bytes_of_item > MAX_MESSAGE_BYTES or len(message.items) == MAX_MESSAGE_ITEMS):
            advance(position, len(items))
            yield message
            message, size = pb.ImportConfigurationsRequest(), 0
        if message is settings:
            # A retry begins with the settings again.
            message = pb.ImportConfigurationsRequest()
            message.CopyFrom(settings)
        message.items.append(item)
        size += bytes_of_item
    yield message


def _items_of(document: Json, file: str) -> "list[pb.ConfigurationItem]":
    listed = document.get("configurations") if is_object(document) else document
    if not is_array(listed):
        raise CliError(
            f"{file} is no list of configurations",
            ExitCode.INVALID,
            hint='Write [{"application": "shop", "name": "web", "config": {}}], or what `config export` writes.',
        )
    items = [_item_of(entry, f"{file}: item {position}") for position, entry in enumerate(listed)]
    if not items:
        raise CliError(f"{file} has no configurations", ExitCode.INVALID)
    keys: set[str] = set()
    for position, key in enumerate(f"{item.application.name}/{item.name}" for item in items):
        if key in keys:
            raise CliError(f"{file}: item {position}: {key} stands there twice", ExitCode.INVALID)
        keys.add(key)
    return items


def _item_of(entry: Json, where: str) -> "pb.ConfigurationItem":
    if not is_object(entry) or not {"application", "name", "config"} <= entry.keys():
        raise CliError(f"{where} needs application, name and config", ExitCode.INVALID)
    if unknown := sorted(entry.keys() - _MEMBERS):
        raise CliError(f"{where} has unknown members: {', '.join(unknown)}", ExitCode.INVALID)
    try:
        return pb.ConfigurationItem(
            application=pb.ApplicationRef(name=entry["application"]),
            name=entry["name"],
            comments=entry.get("comments", ""),
            config_json=compact_json(entry["config"]),
            schema=entry.get("schema"),
            expected_version=entry.get("expected_version"),
        )
    except (TypeError, ValueError) as error:
        raise CliError(f"{where}: {error}", ExitCode.INVALID) from None
