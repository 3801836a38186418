"""Reading a tree of files: completely, or not at all."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath

from configsvc.cli.documents import Json, is_object
from configsvc.cli.failures import CliError, ExitCode
from configsvc.cli.sync.files import Document, Faults, Listing, changed_files, list_files, read_document
from configsvc.cli.sync.limits import configuration_name_fault, content_faults, name_fault, schema_faults
from configsvc.cli.sync.naming import APPLICATIONS, SCHEMAS, SETTINGS, EscapeError, twins, unescaped
from configsvc.cli.sync.pins import MEMBER, Line, lines_of
from configsvc.cli.sync.settings import Entry, Settings, settings_of
from configsvc.cli.sync.tree import ApplicationFolder, ConfigurationFile, Pin, SchemaFile, Tree, Unpinned

NameFault = Callable[[str], str | None]

_LAYOUT = "A tree has schemas/NAME.json and applications/APPLICATION/NAME.yaml: see the guide, Git as the source."


def read_tree(directory: Path) -> Tree:
    """Read a tree. Raises CliError with every fault; a tree that changes meanwhile is one."""
    _check_directory(directory)
    faults = Faults()
    listing = list_files(directory, faults)
    if not faults.found and not listing.files:
        raise CliError(f"{directory} is an empty tree", ExitCode.INVALID, hint=_LAYOUT)
    tree = _Reading(directory, listing, faults).tree()
    for path in changed_files(listing, list_files(directory, Faults())):
        faults.add(path, "changed while the tree was read: run the command again")
    faults.check(directory)
    return tree


def _check_directory(directory: Path) -> None:
    try:
        names = {path.name for path in directory.iterdir()}
    except OSError as error:
        raise CliError(f"cannot read the tree {directory}: {error.strerror}", ExitCode.INVALID, hint=_LAYOUT) from None
    if not names & {SCHEMAS, APPLICATIONS}:
        raise CliError(
            f"{directory} is no tree: it has neither a folder schemas nor a folder applications",
            ExitCode.INVALID,
            hint=_LAYOUT,
        )
    for name in sorted(names & {SCHEMAS, APPLICATIONS}):
        if not (directory / name).is_dir():
            raise CliError(f"{directory / name} is no folder", ExitCode.INVALID, hint=_LAYOUT)


class _Reading:
    def __init__(self, directory: Path, listing: Listing, faults: Faults) -> None:
        self._directory = directory
        self._listing = listing
        self._faults = faults
        # By the paths of their files.
        self._schema_names: dict[PurePosixPath, str] = {}
        self._files_in: dict[PurePosixPath, list[PurePosixPath]] = {}
        for path in listing.files:
            self._files_in.setdefault(PurePosixPath(*path.parts[:2]), []).append(path)

    def tree(self) -> Tree:
        for path, other in twins([*self._listing.files, *sorted(self._listing.folders)]).items():
            message = f"differs from {other} in capital letters alone, and some systems keep just one of them: write"
            self._faults.add(path, f"{message} its capital letters as % and their codes, such as %41 for A")
        schemas = self._schemas()
        return Tree(schemas=schemas, applications=self._applications())

    # --- schemas ---

    def _schemas(self) -> dict[str, SchemaFile]:
        files = {path: name for path in self._under(SCHEMAS) if (name := self._schema_name(path)) is not None}
        named: dict[str, PurePosixPath] = {}
        for path, name in files.items():
            if self._is_first(named, name, path):
                self._schema_names[path] = name
        found = [self._schema(name, path) for path, name in self._schema_names.items()]
        return {one.name: one for one in found if one}

    def _schema_name(self, path: PurePosixPath) -> str | None:
        if len(path.parts) > 2:
            self._faults.add(path, "is in a folder, and names of schemas have none: move it to schemas/NAME.json")
            return None
        if path.suffix != ".json":
            self._faults.add(path, "must end in .json, as editors expect of a schema; README* and .* are left out")
            return None
        return self._name(path, (path.stem,), name_fault)

    def _schema(self, name: str, path: PurePosixPath) -> SchemaFile | None:
        document = self._document(path)
        if document is None:
            return None
        self._faults.found += [document.fault(*fault) for fault in schema_faults(document.content)]
        return SchemaFile(name=name, path=path, document=document.content)

    def _under(self, folder: str) -> list[PurePosixPath]:
        return [path for path in self._listing.files if path.parts[0] == folder]

    # --- applications ---

    def _applications(self) -> dict[str, ApplicationFolder]:
        for path in self._under(APPLICATIONS):
            if len(path.parts) == 2:
                self._faults.add(path, "must be in the folder of an application: applications/APPLICATION/NAME.yaml")
        named: dict[str, PurePosixPath] = {}
        folders = sorted(path for path in self._listing.folders if len(path.parts) == 2 and path.parts[0] != SCHEMAS)
        found: dict[str, ApplicationFolder] = {}
        for path in folders:
            name = self._name(path, (path.name,), name_fault)
            if name is not None and self._is_first(named, name, path):
                found[name] = self._application(name, path)
        return found

    def _application(self, name: str, folder: PurePosixPath) -> ApplicationFolder:
        files = self._files_in.get(folder, [])
        if not files:
            self._faults.add(folder, f"is empty: remove it, or write {SETTINGS} for an application that has nothing")
        settings = self._settings(folder / SETTINGS) if folder / SETTINGS in files else Settings()
        named: dict[str, PurePosixPath] = {}
        for path in files:
            configuration = self._configuration_name(path, folder) if path != folder / SETTINGS else None
            if configuration is not None:
                self._is_first(named, configuration, path)
        self._check_entries(settings, named)
        read = [self._configuration(name, one, path, settings) for one, path in named.items()]
        return ApplicationFolder(
            name=name,
            path=folder,
            configurations={one.name: one for one in read if one},
            comments=settings.comments,
            bindings=settings.bindings,
        )

    def _check_entries(self, settings: Settings, named: dict[str, PurePosixPath]) -> None:
        for entry in settings.entries:
            if settings.document and entry not in named:
                fault = settings.document.fault(("configurations", entry), "there is no file for this configuration")
                self._faults.found.append(fault)

    def _settings(self, path: PurePosixPath) -> Settings:
        document = self._document(path)
        return settings_of(document, self._faults) if document else Settings()

    def _configuration_name(self, path: PurePosixPath, folder: PurePosixPath) -> str | None:
        inside = path.relative_to(folder)
        if len(inside.parts) == 1 and inside.stem == PurePosixPath(SETTINGS).stem:
            self._faults.add(path, f"must be {SETTINGS}")
        elif path.suffix == ".yml":
            self._faults.add(path, "must end in .yaml: rename it")
        elif path.suffix not in {".yaml", ".json"}:
            self._faults.add(path, "must end in .yaml or .json: rename or move it; README* and .* are left out")
        else:
            return self._name(path, (*inside.parts[:-1], inside.stem), configuration_name_fault)
        return None

    def _configuration(
        self, application: str, name: str, path: PurePosixPath, settings: Settings
    ) -> ConfigurationFile | None:
        document = self._document(path)
        if document is None:
            return None
        entry = settings.entries.get(name, Entry())
        lines = list(lines_of(document, self._schema_names))
        schema = self._pin(document, lines, entry)
        config = _without_pin(document.content, lines)
        self._faults.found += [document.fault(*fault) for fault in content_faults(config)]
        return ConfigurationFile(
            application=application,
            name=name,
            path=path,
            config=config,
            schema=schema,
            comments=entry.comments,
            id=entry.id,
        )

    def _pin(self, document: Document, lines: list[Line], entry: Entry) -> Pin | Unpinned | None:
        """Return the pin of the `$schema` lines and of the entry in _application.yaml, which must agree."""
        stated = entry.schema
        for line in lines:
            if line.schema is None and (line.is_in_schemas or entry.schema is None):
                message = f"$schema leads to {line.path}, which is no schemas/NAME.json of this tree"
                self._add(document, line, message)
            elif line.schema is not None and not _agree(stated, line.pin):
                message = f"$schema leads to the schema {line.schema}, but elsewhere the tree says {_words(stated)}"
                self._add(document, line, message)
            elif line.schema is not None:
                stated = stated or line.pin
        return stated

    def _add(self, document: Document, line: Line, message: str) -> None:
        self._faults.found.append(f"{document.path}:{line.place or document.place((MEMBER,))}: {message}")

    # --- files ---

    def _document(self, path: PurePosixPath) -> Document | None:
        try:
            return read_document(self._directory, path)
        except CliError as error:
            self._faults.extend(error)
            return None

    def _name(self, path: PurePosixPath, parts: tuple[str, ...], fault_of: NameFault) -> str | None:
        try:
            name = "/".join(map(unescaped, parts))
        except EscapeError:
            self._faults.add(path, "has a % without two hexadecimal digits")
            return None
        fault = fault_of(name)
        if fault:
            self._faults.add(path, f"the name {name} {fault}")
            return None
        return name

    def _is_first(self, named: dict[str, PurePosixPath], name: str, path: PurePosixPath) -> bool:
        if name in named:
            self._faults.add(path, f"has the same name as {named[name]}: keep one of them")
            return False
        named[name] = path
        return True


def _without_pin(content: Json, lines: list[Line]) -> Json:
    is_pin = any(line.is_member and line.schema is not None for line in lines)
    if not (is_pin and is_object(content)):
        return content
    return {name: member for name, member in content.items() if name != MEMBER}


def _agree(stated: Pin | Unpinned | None, pin: Pin | None) -> bool:
    match stated:
        case Pin():
            return pin is not None and stated.schema == pin.schema
        case Unpinned():
            return False
        case None:
            return True


def _words(stated: Pin | Unpinned | None) -> str:
    match stated:
        case Pin(schema=schema, version=None):
            return schema
        case Pin(schema=schema, version=version):
            return f"{schema}@{version}"
        case _:
            return "that there is none"
