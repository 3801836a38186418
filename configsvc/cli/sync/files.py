"""The files of a tree: all of them, unchanged while they are read, or an error."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from configsvc.cli.documents import Json, parse_document
from configsvc.cli.failures import CliError, ExitCode
from configsvc.cli.keys import pointer_text
from configsvc.cli.output import counted
from configsvc.cli.spans import Place, Span, offset_of, place_at, spans_of
from configsvc.cli.sync.naming import APPLICATIONS, ENDINGS, SCHEMAS

# A content has 256 KiB and a schema 1 MiB as compact JSON; indentation and comments come on top.
MAX_FILE_BYTES = 8 * 1024 * 1024

# Device, inode, size and time of change: another version of a file has others.
State = tuple[int, int, int, int]


@dataclass(slots=True)
class Faults:
    """The faults of a tree, in the order in which they are found."""

    found: list[str] = field(default_factory=list[str])

    def add(self, path: PurePosixPath, message: str) -> None:
        """Add a fault of a whole file or folder."""
        self.found.append(f"{path}: {message}")

    def extend(self, error: CliError) -> None:
        """Add the faults that an error lists."""
        self.found += [error.text, *error.details]

    def check(self, directory: Path) -> None:
        """Raise CliError with every fault."""
        if self.found:
            raise CliError(f"{directory} has {counted(len(self.found), 'fault')}", ExitCode.INVALID, self.found)


@dataclass(slots=True)
class Listing:
    """The files and folders of a tree, with paths relative to it."""

    files: dict[PurePosixPath, State] = field(default_factory=dict[PurePosixPath, State])
    folders: set[PurePosixPath] = field(default_factory=set[PurePosixPath])


@dataclass(frozen=True)
class Document:
    """A file of a tree that was read."""

    path: PurePosixPath
    text: str
    content: Json

    @cached_property
    def _span(self) -> Span:
        return spans_of(self.text, is_json=self.path.suffix == ".json")

    def place(self, parts: tuple[str, ...]) -> Place:
        """Return the line and column of what a path of members leads to."""
        return place_at(self.text, offset_of(self._span, parts))

    def fault(self, parts: tuple[str, ...], message: str) -> str:
        """Return a fault as editors jump to it."""
        pointer = pointer_text(parts)
        return f"{self.path}:{self.place(parts)}: {pointer + ': ' if pointer else ''}{message}"


def list_files(directory: Path, faults: Faults) -> Listing:
    """List the files of a tree. Links are followed as long as they stay in it."""
    listing = Listing()
    root = Path(os.path.realpath(directory))
    for name in (SCHEMAS, APPLICATIONS):
        if os.path.lexists(directory / name):
            _list_one(root, directory, PurePosixPath(name), listing, faults)
    return listing


def _list_folder(root: Path, directory: Path, path: PurePosixPath, listing: Listing, faults: Faults) -> None:
    listing.folders.add(path)
    try:
        names = sorted(entry.name for entry in (directory / path).iterdir())
    except OSError as error:
        faults.add(path, f"cannot be read: {error.strerror}")
        return
    for name in names:
        if not name.startswith("."):
            _list_one(root, directory, path / name, listing, faults)


def _is_readme(name: str) -> bool:
    return name.upper().startswith("README") and not name.lower().endswith(ENDINGS)


def _list_one(root: Path, directory: Path, path: PurePosixPath, listing: Listing, faults: Faults) -> None:
    try:
        real = Path(os.path.realpath(directory / path, strict=True))
        state = os.stat(directory / path)  # noqa: PTH116  # follows links
    except OSError as error:
        faults.add(path, f"cannot be read: {error.strerror}")
        return
    if not real.is_relative_to(root):
        faults.add(path, "is a link that leaves the tree: copy what it leads to into the tree")
    elif stat.S_ISDIR(state.st_mode):
        if (directory / path).is_symlink():
            faults.add(path, "is a link to a folder: only links to files are followed")
        else:
            _list_folder(root, directory, path, listing, faults)
    elif _is_readme(path.name):
        pass
    elif stat.S_ISREG(state.st_mode):
        listing.files[path] = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)
    else:
        faults.add(path, "is no regular file")


def read_document(directory: Path, path: PurePosixPath) -> Document:
    """Read a JSON or YAML file of a tree. Raises CliError."""
    text = read_text(directory / path, str(path))
    if path.suffix == ".json" and text.lstrip()[:1] not in {"{", "["}:
        # parse_document would take it for YAML.
        raise CliError(f"{path}:1:1: {'is empty' if not text.strip() else 'must be a JSON object'}")
    try:
        return Document(path, text, parse_document(text, str(path)))
    except CliError as error:
        if error.text.startswith(f"{path}:"):
            raise
        raise CliError(f"{path}:1:1: {error.text.removeprefix(f'{path} ')}") from None


def read_text(file: Path, path: str) -> str:
    """Return the text of a file; path: its name in errors. Raises CliError."""
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise CliError(f"{path}: cannot be read: {error.strerror}", ExitCode.INVALID) from None
    if len(data) > MAX_FILE_BYTES:
        raise CliError(f"{path}: has more than {MAX_FILE_BYTES} bytes", ExitCode.INVALID)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = len(data[data.rfind(b"\n", 0, error.start) + 1 : error.start].decode(errors="replace")) + 1
        raise CliError(f"{path}:{line}:{column}: is not UTF-8", ExitCode.INVALID) from None


def changed_files(before: Listing, after: Listing) -> Iterator[PurePosixPath]:
    """Yield the paths whose files or folders are not the same in both listings."""
    yield from sorted(before.folders ^ after.folders)
    for path in sorted(before.files.keys() | after.files.keys()):
        if before.files.get(path) != after.files.get(path):
            yield path
