"""Writing the state of a service into a tree, which keeps the comments and the form of files that are there."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from configsvc.cli.documents import Json
from configsvc.cli.failures import CliError, ExitCode
from configsvc.cli.sync.files import Faults, list_files, read_document
from configsvc.cli.sync.naming import APPLICATIONS, SCHEMAS, SETTINGS, Ending, paths_of, twins
from configsvc.cli.sync.pins import MEMBER, is_relative, leads_to_a_schema, path_to, with_comment
from configsvc.cli.sync.reading import read_tree
from configsvc.cli.sync.tree import ApplicationFolder, ConfigurationFile, Pin, Tree
from configsvc.cli.sync.writing import changed_text, new_text, replace_text, updated_text

# Of a file name, on all systems that are in use.
MAX_FILE_NAME_BYTES = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A configuration of the service. schema: with its version; None if it has none."""

    application: str
    name: str
    comments: str
    config: Json
    schema: Pin | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """The state of a service, or a part of it. applications: their comments. schemas: the newest version of each, and
    its document. covers: returns true for configurations that would be in this export if they existed.
    """

    applications: Mapping[str, str]
    configurations: Sequence[Exported]
    schemas: Mapping[str, tuple[int, Json]]
    covers: Callable[[str, str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The files that an export changed, and those of the tree that are no longer on the service, by their paths."""

    changed: tuple[PurePosixPath, ...]
    missing: tuple[PurePosixPath, ...]


def write_tree(directory: Path, export: Export, *, ending: Ending, prune: bool) -> Written:
    """Write an export as a tree. With prune, delete the files of what is no longer on the service.

    Raises CliError: before anything is written, unless a file cannot be written.
    """
    before = _tree_there(directory)
    writing = _Writing(directory, export, before, ending, prune=prune)
    texts = writing.texts()
    changed = [path for path, text in texts.items() if replace_text(directory / path, text)]
    for path in writing.missing if prune else ():
        _delete(directory, path)
    return Written(changed=tuple(changed), missing=tuple(writing.missing))


def _tree_there(directory: Path) -> Tree:
    nothing = Tree(schemas={}, applications={})
    faults = Faults()
    return read_tree(directory) if list_files(directory, faults).files or faults.found else nothing


def _delete(directory: Path, path: PurePosixPath) -> None:
    """Delete a file, and the folders that are empty then."""
    try:
        (directory / path).unlink(missing_ok=True)
        for folder in path.parents[:-2]:
            if any((directory / folder).iterdir()):
                break
            (directory / folder).rmdir()
    except OSError as error:
        raise CliError(f"cannot delete {path}: {error.strerror}") from None


@dataclass(slots=True)
class _Settings:
    """The new content of an _application.yaml. `text` is that of the file that is there."""

    content: dict[str, Json] = field(default_factory=dict[str, Json])
    entries: dict[str, dict[str, Json]] = field(default_factory=dict[str, dict[str, Json]])
    text: str | None = None

    def state(self, name: str, member: str, value: Json) -> None:
        """Say something of a configuration."""
        self.entries.setdefault(name, {})[member] = value

    def unsay(self, name: str, member: str) -> None:
        """Say nothing of it any more."""
        self.entries.get(name, {}).pop(member, None)

    def whole(self) -> dict[str, Json]:
        """Return the content with its entries, of those that say something."""
        entries = {name: entry for name, entry in self.entries.items() if entry}
        others = {name: member for name, member in self.content.items() if name != "configurations"}
        return others | ({"configurations": entries} if entries else {})


class _Writing:
    def __init__(self, directory: Path, export: Export, before: Tree, ending: Ending, *, prune: bool) -> None:
        self.missing: list[PurePosixPath] = []
        self._directory = directory
        self._export = export
        self._before = before
        self._ending = ending
        self._prune = prune
        self._texts: dict[PurePosixPath, str] = {}

    def texts(self) -> dict[PurePosixPath, str]:
        """Return the text of each file of the export. Raises CliError."""
        for name, (_, document) in self._export.schemas.items():
            self._add_schema(name, document)
        folders = {name: folder.path for name, folder in self._before.applications.items()}
        taken = [PurePosixPath(path.name) for path in folders.values()]
        new = paths_of({*folders, *self._export.applications}, taken)
        for name, comments in self._export.applications.items():
            self._add_application(name, comments, folders.get(name, PurePosixPath(APPLICATIONS, new[name])))
        for name, folder in self._before.applications.items():
            if name not in self._export.applications:
                self._miss_application(folder)
        self._check_paths()
        return self._texts

    def _check_paths(self) -> None:
        there = [one.path for folder in self._before.applications.values() for one in folder.configurations.values()]
        for path, other in twins([*there, *self._texts]).items():
            raise CliError(f"{path} and {other} would be one file on some systems: rename the file", ExitCode.INVALID)
        for path in self._texts:
            if any(len(part.encode()) > MAX_FILE_NAME_BYTES for part in path.parts):
                raise CliError(f"{path} has a part that is too long for the name of a file", ExitCode.INVALID)

    def _add_schema(self, name: str, document: Json) -> None:
        there = self._before.schemas.get(name)
        path = there.path if there else PurePosixPath(SCHEMAS, f"{paths_of({*self._export.schemas})[name]}.json")
        if there:
            text = read_document(self._directory, path).text
            self._texts[path] = changed_text(text, document, str(path))
        else:
            self._texts[path] = new_text(document, str(path)) or ""

    # --- applications ---

    def _add_application(self, name: str, comments: str, folder: PurePosixPath) -> None:
        before = self._before.applications.get(name)
        files: Mapping[str, ConfigurationFile] = before.configurations if before else {}
        exported = [one for one in self._export.configurations if one.application == name]
        settings = self._settings(folder / SETTINGS)
        _set_text(settings.content, "comments", comments)
        paths = self._paths(folder, files, [one.name for one in exported])
        for one in exported:
            self._add_configuration(one, files.get(one.name), paths[one.name], settings)
        self._miss_configurations(name, files, {one.name for one in exported}, settings)
        content = settings.whole()
        if settings.text is not None:
            self._texts[folder / SETTINGS] = changed_text(settings.text, content, SETTINGS)
        elif content or not (exported or self._stay(files)):
            self._texts[folder / SETTINGS] = new_text(content, SETTINGS) or ""

    def _stay(self, files: Mapping[str, ConfigurationFile]) -> bool:
        """Return true if some of the files stay."""
        return any(not self._prune or file.path not in self.missing for file in files.values())

    def _settings(self, path: PurePosixPath) -> _Settings:
        if not (self._directory / path).is_file():
            return _Settings()
        document = read_document(self._directory, path)
        entries: dict[str, dict[str, Json]] = document.content.get("configurations", {})
        copied = {name: dict(entry) for name, entry in entries.items()}
        return _Settings(content=dict(document.content), entries=copied, text=document.text)

    def _paths(
        self, folder: PurePosixPath, files: Mapping[str, ConfigurationFile], names: Iterable[str]
    ) -> dict[str, PurePosixPath]:
        """Return the path of each configuration: that of its file, or a new one without an ending."""
        taken = [file.path.relative_to(folder) for file in files.values()]
        new = paths_of({*files, *names}, taken)
        return {name: files[name].path if name in files else folder / new[name] for name in names}

    def _miss_configurations(
        self, application: str, files: Mapping[str, ConfigurationFile], exported: set[str], settings: _Settings
    ) -> None:
        for name, file in files.items():
            if name not in exported and self._export.covers(application, name):
                self.missing.append(file.path)
                if self._prune:
                    settings.entries.pop(name, None)

    def _miss_application(self, folder: ApplicationFolder) -> None:
        files = folder.configurations.values()
        covered = [file.path for file in files if self._export.covers(folder.name, file.name)]
        self.missing += covered
        settings = folder.path / SETTINGS
        if self._export.covers(folder.name, "") and (self._directory / settings).is_file():
            self.missing.append(settings)

    # --- configurations ---

    def _add_configuration(
        self, one: Exported, file: ConfigurationFile | None, path: PurePosixPath, settings: _Settings
    ) -> None:
        _set_text(settings.entries.setdefault(one.name, {}), "comments", one.comments)
        if file:
            path_of, text = file.path, self._changed(one, file, settings)
        else:
            path_of, text = self._new(one, path, settings)
        own = one.config.get(MEMBER)
        if is_relative(own) and leads_to_a_schema(str(own), path_of):
            problem = "has a $schema of its own that a tree takes for its schema"
            raise CliError(f"{one.application}/{one.name} {problem}: {own}", ExitCode.INVALID)
        self._texts[path_of] = text

    def _changed(self, one: Exported, file: ConfigurationFile, settings: _Settings) -> str:
        text = read_document(self._directory, file.path).text
        if self._says_pin(file, one.schema) and not self._needs_entry(one, file.path):
            return updated_text(text, one.config, str(file.path))
        line = self._line(one, file.path)
        self._state_pin(one, line, settings)
        if file.path.suffix == ".yaml":
            text = with_comment(text, line)
            return changed_text(text, one.config, str(file.path))
        return changed_text(text, _with_member(one.config, line), str(file.path))

    def _says_pin(self, file: ConfigurationFile, pin: Pin | None) -> bool:
        """Return true if the file already says which schema the configuration has."""
        if pin is None or not isinstance(file.schema, Pin):
            return pin is None and not isinstance(file.schema, Pin)
        version = file.schema.version or self._export.schemas[pin.schema][0]
        return (file.schema.schema, version) == (pin.schema, pin.version)

    def _new(self, one: Exported, path: PurePosixPath, settings: _Settings) -> tuple[PurePosixPath, str]:
        endings = (self._ending, *(ending for ending in Ending if ending is not self._ending))
        for ending in endings:
            target = path.with_name(f"{path.name}.{ending}")
            line = self._line(one, target)
            content = one.config if ending is Ending.YAML else _with_member(one.config, line)
            text = new_text(content, str(target))
            if text is not None:
                self._state_pin(one, line, settings)
                return target, with_comment(text, line) if ending is Ending.YAML else text
        raise AssertionError("JSON can hold every content")

    def _line(self, one: Exported, path: PurePosixPath) -> str | None:
        """Return the `$schema` line of a file, None if it has none."""
        if one.schema is None or self._needs_entry(one, path):
            return None
        return path_to(one.schema.schema, path)

    def _needs_entry(self, one: Exported, path: PurePosixPath) -> bool:
        """Return true if a `$schema` line cannot say the pin: of an older version, or beside a `$schema` of its own."""
        own = one.config.get(MEMBER)
        is_older = one.schema is not None and self._export.schemas[one.schema.schema][0] != one.schema.version
        return is_older or is_relative(own) or (own is not None and path.suffix == ".json")

    def _state_pin(self, one: Exported, line: str | None, settings: _Settings) -> None:
        was_stated = "schema" in settings.entries.get(one.name, {})
        if line is not None:
            settings.unsay(one.name, "schema")
        elif one.schema is not None:
            newest, _ = self._export.schemas[one.schema.schema]
            version = "" if one.schema.version == newest else f"@{one.schema.version}"
            settings.state(one.name, "schema", f"{one.schema.schema}{version}")
        elif was_stated or is_relative(one.config.get(MEMBER)):
            settings.state(one.name, "schema", None)


def _with_member(config: Json, line: str | None) -> Json:
    return config if line is None else {MEMBER: line, **config}


def _set_text(target: dict[str, Json], member: str, text: str) -> None:
    """Set a text, or leave it out if there is none."""
    if text:
        target[member] = text
    else:
        target.pop(member, None)
