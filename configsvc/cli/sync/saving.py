"""Saved plans: bound to the files, to the history of the service and to its revision, and refused when one moved on."""

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from configsvc.cli.documents import compact_json, is_object, parse_json, read_text
from configsvc.cli.failures import CliError, ExitCode
from configsvc.cli.files import replace_file
from configsvc.cli.sync.commit import Commit
from configsvc.cli.sync.plans import OnDrift, Plan, PlanOptions
from configsvc.cli.sync.showing import FORMAT_VERSION, document_of
from configsvc.cli.sync.tree import Pin, Tree, Unpinned

_AGAIN = "`configsvc sync plan --out FILE` makes a new plan."


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPlan:
    """A plan in a file. `digest` is that of its actions, `tree` that of the files that it is for."""

    directory: Path
    tree: str
    server: str
    epoch: str
    revision: int
    commit: Commit
    options: PlanOptions
    digest: str


def save_plan(
    file: str, made: Plan, *, tree: Tree, directory: Path, server: str, commit: Commit, options: PlanOptions
) -> None:
    """Write a plan to a file for the user alone: it has contents. Raises CliError."""
    document = {
        "configsvc_plan": FORMAT_VERSION,
        "directory": str(directory.resolve()),
        "tree": digest_of_tree(tree),
        "server": server,
        "commit": asdict(commit),
        "options": asdict(options),
        "digest": digest_of_plan(made),
        "plan": document_of(made),
    }
    replace_file(Path(file), f"{compact_json(document)}\n".encode(), is_private=True)


def load_plan(file: str) -> SavedPlan:
    """Read a saved plan. Raises CliError."""
    try:
        document = parse_json(read_text(file))
    except ValueError:
        document = None
    if not is_object(document) or "configsvc_plan" not in document:
        raise CliError(f"{file} is no saved plan", ExitCode.INVALID, hint=_AGAIN)
    if document["configsvc_plan"] != FORMAT_VERSION:
        raise CliError(f"{file} was saved by another version of this program", ExitCode.INVALID, hint=_AGAIN)
    try:
        return _loaded(document)
    except (KeyError, TypeError, ValueError):
        raise CliError(f"{file} is damaged", ExitCode.INVALID, hint=_AGAIN) from None


def _loaded(document: dict[str, Any]) -> SavedPlan:
    options = document["options"]
    return SavedPlan(
        directory=Path(document["directory"]),
        tree=document["tree"],
        server=document["server"],
        epoch=document["plan"]["epoch"],
        revision=document["plan"]["revision"],
        commit=Commit(**document["commit"]),
        options=PlanOptions(**options | {"on_drift": OnDrift(options["on_drift"])}),
        digest=document["digest"],
    )


def check_tree_is_saved(saved: SavedPlan, tree: Tree) -> None:
    """Raise CliError if the files are not those of the plan."""
    if digest_of_tree(tree) != saved.tree:
        raise CliError(
            f"the files in {saved.directory} changed since the plan was saved", ExitCode.CONFLICT, hint=_AGAIN
        )


def bound(saved: SavedPlan, made: Plan, server: str) -> Plan:
    """Return a plan of the present state, bound to the revision of the saved one. Raises CliError if it is another."""
    if made.epoch != saved.epoch:
        raise CliError(
            f"the plan is for another service, {saved.server}: {server} has another history",
            ExitCode.CONFLICT,
            hint=_AGAIN,
        )
    if digest_of_plan(made) != saved.digest:
        raise CliError("the service changed since the plan was saved", ExitCode.CONFLICT, hint=_AGAIN)
    return replace(made, revision=saved.revision)


def digest_of_plan(made: Plan) -> str:
    """Return a digest of everything that a plan would do, and of what it starts from."""
    state = [
        [
            application.name,
            application.live.id if application.live else None,
            application.live.etag if application.live else None,
            [one.id for one in application.refreshed],
            application.dropped,
        ]
        for application in made.applications
    ]
    return _digest([document_of(made) | {"revision": 0}, state])


def digest_of_tree(tree: Tree) -> str:
    """Return a digest of what the files of a tree say."""
    schemas = {name: file.document for name, file in sorted(tree.schemas.items())}
    applications = {
        name: [
            folder.comments,
            None if folder.bindings is None else [[one.principal, one.role] for one in folder.bindings],
            {
                file.name: [file.config, _plain_pin(file.schema), file.comments, file.id]
                for _, file in sorted(folder.configurations.items())
            },
        ]
        for name, folder in sorted(tree.applications.items())
    }
    return _digest([schemas, applications])


def _plain_pin(pin: Pin | Unpinned | None) -> Any:
    match pin:
        case Pin():
            return [pin.schema, pin.version]
        case Unpinned():
            return []
        case None:
            return None


def _digest(value: Any) -> str:
    return hashlib.sha256(compact_json(value).encode()).hexdigest()
