"""Changes by hand as changes of the files: comments and the form of the files stay."""

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from configsvc.cli.failures import CliError, ExitCode
from configsvc.cli.session import Session
from configsvc.cli.sync.comparing import merged, schema_changed
from configsvc.cli.sync.exporting import Export, Exported, write_tree
from configsvc.cli.sync.files import read_document
from configsvc.cli.sync.live import read_schema
from configsvc.cli.sync.naming import SETTINGS, Ending, paths_of
from configsvc.cli.sync.plans import Drift, OnDrift, PlanOptions
from configsvc.cli.sync.reading import read_tree
from configsvc.cli.sync.state import Live
from configsvc.cli.sync.tree import ConfigurationFile, Pin, Tree
from configsvc.cli.sync.writing import update_file

REPORTED = PlanOptions(on_drift=OnDrift.REPORT)


def pull(session: Session, directory: Path, tree: Tree, live: Live, drifts: Sequence[Drift]) -> list[PurePosixPath]:
    """Write what was changed by hand into the files; return the paths of those that changed or are gone.

    The next plan has nothing to do for these configurations. Raises CliError.
    """
    moved = [path for drift in drifts for path in _move(directory, drift)]
    if moved:
        tree = read_tree(directory)
    written = write_tree(directory, _export(session, tree, live, drifts), ending=Ending.YAML, prune=True)
    return sorted({*moved, *written.changed, *written.missing})


def _export(session: Session, tree: Tree, live: Live, drifts: Sequence[Drift]) -> Export:
    deleted = {(drift.application, drift.name) for drift in drifts if drift.live is None}
    exported = [_exported(tree, live, drift) for drift in drifts if drift.live is not None]
    pinned = {one.schema.schema for one in exported if one.schema is not None}
    documents = {name: (tree.schemas.get(name) or read_schema(session, name)).document for name in sorted(pinned)}
    return Export(
        applications={drift.application: tree.applications[drift.application].comments or "" for drift in drifts},
        configurations=exported,
        schemas={name: (_newest(live, name), document) for name, document in documents.items()},
        covers=lambda application, name: (application, name) in deleted,
    )


def _exported(tree: Tree, live: Live, drift: Drift) -> Exported:
    """Return a configuration with what was changed by hand, and otherwise as its file states it."""
    one = drift.live
    assert one is not None
    name = _name_after(drift)
    file = tree.applications[drift.application].configurations.get(name)
    if file is None:
        return Exported(application=drift.application, name=name, comments="", config=one.config, schema=None)
    applied = drift.applied
    comments_stay = applied is not None and applied.comments == one.comments
    comments = file.comments if comments_stay else one.comments
    schema = _pin_of(file, live) if applied is not None and not schema_changed(applied, one) else one.schema
    return Exported(
        application=drift.application,
        name=name,
        comments=comments or "" if file.comments is not None else "",
        config=merged(applied.config, file.config, one.config) if applied is not None else one.config,
        schema=schema if file.schema is not None else None,
    )


def _name_after(drift: Drift) -> str:
    """Return the name that a configuration has after the pull: that of its file, unless it was renamed by hand."""
    file, live, applied = drift.file, drift.live, drift.applied
    assert live is not None
    is_renamed = applied is None or applied.name != live.name
    return live.name if file is None or is_renamed else file.name


def _pin_of(file: ConfigurationFile, live: Live) -> Pin | None:
    match file.schema:
        case Pin(schema=schema, version=version):
            return Pin(schema=schema, version=version or _newest(live, schema))
        case _:
            return None


def _newest(live: Live, schema: str) -> int:
    """Return the newest version of a schema; the first, if just the tree has it."""
    return live.schemas[schema].version if schema in live.schemas else 1


def _move(directory: Path, drift: Drift) -> list[PurePosixPath]:
    """Give a file the name that its configuration has now, with what _application.yaml says of it."""
    file, live = drift.file, drift.live
    if file is None or live is None or _name_after(drift) == file.name:
        return []
    folder = _folder_of(file)
    path = paths_of([live.name])[live.name]
    target = folder / path.with_name(f"{path.name}{file.path.suffix}")
    if target.parent != file.path.parent:
        raise CliError(
            f"{live.application}/{live.name} was renamed by hand into another folder",
            ExitCode.CONFLICT,
            hint=f"Move {file.path} to {target}, correct its $schema line if it has one, and pull again.",
        )
    if (directory / target).exists():
        raise CliError(f"{target} is there already, and is another configuration", ExitCode.CONFLICT)
    (directory / file.path).replace(directory / target)
    return [file.path, target, *_move_entry(directory, folder / SETTINGS, file.name, live.name)]


def _folder_of(file: ConfigurationFile) -> PurePosixPath:
    return PurePosixPath(*file.path.parts[:2])


def _move_entry(directory: Path, settings: PurePosixPath, old: str, new: str) -> list[PurePosixPath]:
    if not (directory / settings).is_file():
        return []
    content = read_document(directory, settings).content
    entries = content.get("configurations", {})
    if old not in entries:
        return []
    renamed = {new if name == old else name: entry for name, entry in entries.items()}
    update_file(directory / settings, {**content, "configurations": renamed})
    return [settings]


def chosen(drifts: Iterable[Drift], keys: Sequence[str]) -> list[Drift]:
    """Return the drift of these configurations; without keys, all of it. Raises CliError for one that has none."""
    named = {f"{drift.application}/{drift.name}": drift for drift in drifts}
    for key in keys:
        if key not in named:
            raise CliError(f"{key} was not changed by hand", ExitCode.NOT_FOUND)
    return [named[key] for key in keys] if keys else list(named.values())
