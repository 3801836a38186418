"""The commands of Git as the source."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from configsvc.cli import options, pb
from configsvc.cli.commands import command, group
from configsvc.cli.failures import UsageError
from configsvc.cli.output import Column, Table, counted, print_difference, say, write
from configsvc.cli.plain import time_text
from configsvc.cli.session import Session
from configsvc.cli.sync import adopting, applying, saving, showing
from configsvc.cli.sync.commit import Commit
from configsvc.cli.sync.live import read_live, read_sources, source_of
from configsvc.cli.sync.planning import plan as plan_of
from configsvc.cli.sync.plans import ApplicationPlan, Kind, OnDrift, Plan, PlanOptions
from configsvc.cli.sync.reading import read_tree
from configsvc.cli.sync.saving import digest_of_tree
from configsvc.cli.sync.state import SourceId
from configsvc.cli.sync.tree import Tree

app = group()

Directory = Annotated[Path, typer.Argument(metavar="DIRECTORY", help="Folder with the files.")]
Repository = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Name of the source, for files that are in no Git repository."),
]
Prune = Annotated[bool, typer.Option("--prune", help="Delete what this source applied and the files no longer have.")]
PruneLimit = Annotated[
    int | None,
    typer.Option(
        min=0, metavar="NUMBER", help="Most configurations to delete; default the larger of 10 and 20 % of the source."
    ),
]
Drift = Annotated[
    OnDrift,
    typer.Option(help="What to do with changes by hand: refuse the plan, revert them, or report and leave them."),
]


@app.callback()
def sync() -> None:
    """Keep configurations as files in Git."""


@command(app, "plan", prints=True)
def plan(
    session: Session,
    directory: Directory = Path(),
    repository: Repository = None,
    prune: Prune = False,
    prune_limit: PruneLimit = None,
    on_drift: Drift = OnDrift.REFUSE,
    offline: Annotated[
        bool, typer.Option("--offline", help="Only check the files, without a service: pip install 'configsvc[tools]'.")
    ] = False,
    out: Annotated[str | None, typer.Option(metavar="FILE", help="Save the plan, for `apply FILE`.")] = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 2 if there are changes, with 0 if there are none.")
    ] = False,
) -> None:
    """Show what `apply` would change, and check it as `apply` does.

    With --offline, only check that the service would take the files.
    """
    if offline:
        check_offline(directory)
        return
    tree = read_tree(directory)
    commit = _commit_of(directory, tree, repository, committed=out is not None)
    chosen = _options(prune=prune, prune_limit=prune_limit, on_drift=on_drift)
    made = plan_of(tree, read_live(session, tree, commit.source), commit.source, chosen)
    showing.print_plan(session, made)
    applying.check_plan(session, made, applying.Files(directory=directory, tree=tree), commit)
    if out is not None:
        server = session.connection.context.target
        saving.save_plan(out, made, tree=tree, directory=directory, server=server, commit=commit, options=chosen)
        say(f"saved; apply it with: configsvc sync apply {out}")
    if detailed_exitcode and made.changed:
        raise typer.Exit(2)


def _options(*, prune: bool, prune_limit: int | None, on_drift: OnDrift) -> PlanOptions:
    """Return the options of a plan. Raises UsageError."""
    if prune_limit is not None and not prune:
        raise UsageError("--prune-limit goes with --prune")
    return PlanOptions(prune=prune, prune_limit=prune_limit, on_drift=on_drift)


def check_offline(directory: Path) -> None:
    """Read and check a tree, and say that it is valid. Raises CliError with every fault."""
    from configsvc.cli.sync.checking import check_tree  # noqa: PLC0415

    checked = check_tree(read_tree(directory), directory)
    if checked.unchecked:
        say(f"not checked, as the schema that they need is on the service alone: {', '.join(checked.unchecked)}")
    configurations, schemas = counted(checked.configurations, "configuration"), counted(checked.schemas, "schema")
    write(f"{configurations} and {schemas} are valid")


@command(app, "apply", prints=True, changes=True)
def apply(
    session: Session,
    target: Annotated[Path, typer.Argument(metavar="DIRECTORY|FILE", help="Folder with the files, or a saved plan.")],
    repository: Repository = None,
    prune: Prune = False,
    prune_limit: PruneLimit = None,
    on_drift: Drift = OnDrift.REFUSE,
    directory: Annotated[
        Path | None, typer.Option(metavar="DIRECTORY", help="Folder with the files of a saved plan, if it moved.")
    ] = None,
    yes: options.Yes = False,
) -> None:
    """Make the service what the files say.

    Everything is checked before anything changes. Schemas come first, then each application in one commit. A saved plan
    is applied without a question, or refused if the files or the service have changed.
    """
    if target.is_file():
        if repository is not None or prune or prune_limit is not None or on_drift is not OnDrift.REFUSE:
            raise UsageError("a saved plan has its options: make another plan to change them")
        made, files, commit = _saved(session, target, directory)
    else:
        if directory is not None:
            raise UsageError("--directory goes with a saved plan")
        tree = read_tree(target)
        files = applying.Files(directory=target, tree=tree)
        commit = _commit_of(target, tree, repository, committed=True)
        chosen = _options(prune=prune, prune_limit=prune_limit, on_drift=on_drift)
        made = plan_of(tree, read_live(session, tree, commit.source), commit.source, chosen)
    showing.print_plan(session, made)
    asks = made.changed and not (yes or session.dry_run or target.is_file())
    result = applying.apply_plan(session, made, files, commit, confirm=_ask if asks else None)
    session.report(
        f"applied {_counts(made)} (revision {result.revision})", f"would apply {_counts(made)}", changed=made.changed
    )


def _ask(session: Session, made: Plan) -> None:
    session.confirm(f"apply {_counts(made)}")


def _counts(made: Plan) -> str:
    verbs = ((Kind.CREATE, "created"), (Kind.UPDATE, "changed"), (Kind.RENAME, "renamed"), (Kind.DELETE, "deleted"))
    return ", ".join(f"{made.count(kind)} {verb}" for kind, verb in verbs)


def _saved(session: Session, file: Path, directory: Path | None) -> tuple[Plan, applying.Files, Commit]:
    saved = saving.load_plan(str(file))
    folder = directory or saved.directory
    tree = read_tree(folder)
    saving.check_tree_is_saved(saved, tree)
    source = saved.commit.source
    made = plan_of(tree, read_live(session, tree, source), source, saved.options)
    bound = saving.bound(saved, made, session.connection.context.target)
    return bound, applying.Files(directory=folder, tree=tree), saved.commit


def _commit_of(directory: Path, tree: Tree, repository: str | None, *, committed: bool) -> Commit:
    """Return the commit that the files are of. Raises CliError, with `committed` also if some differ from it."""
    if repository is not None:
        return Commit(repository=repository, commit=f"files-{digest_of_tree(tree)[:16]}")
    from configsvc.cli.sync.git import checkout_of  # noqa: PLC0415

    checkout = checkout_of(directory)
    if checkout.differing:
        listed = ", ".join(checkout.differing[:5]) + (", …" if len(checkout.differing) > 5 else "")
        if committed:
            raise UsageError(f"these files are not as in the commit: {listed}", "Commit them first.")
        say(f"not as in the commit, and `apply` will ask to commit them: {listed}")
    return checkout.commit


@command(app, "adopt", changes=True)
def adopt(
    session: Session, directory: Directory = Path(), repository: Repository = None, yes: options.Yes = False
) -> None:
    """Make existing configurations this source's.

    No content changes: those that differ from the files are shown, and the next plan updates them.
    """
    tree = read_tree(directory)
    commit = _commit_of(directory, tree, repository, committed=True)
    live = read_live(session, tree, commit.source)
    found = adopting.adoptions(tree, live, commit.source)
    if not found:
        say("nothing to adopt")
        return
    after = adopting.plan_after(tree, live, commit.source, found)
    print_difference(showing.adoption_lines(found, adopting.differing(after, found)))
    count = sum(len(adoption.taken) for adoption in found)
    what = f"{counted(count, 'configuration')} in {counted(len(found), 'application')}"
    if not (yes or session.dry_run):
        session.confirm(f"adopt {what}")
    adopting.adopt(session, found, commit)
    session.report(f"adopted {what}", f"would adopt {what}")


@command(app, "pull")
def pull(
    session: Session,
    directory: Directory = Path(),
    keys: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[APPLICATION/NAME]...",
            help="Configurations; all that were changed by hand, if none is named.",
            autocompletion=options.complete_keys,
        ),
    ] = None,
    repository: Repository = None,
) -> None:
    """Take changes by hand over into the files.

    Comments in the files stay. Commit what it changes: the next plan has then nothing to do for these configurations.
    """
    from configsvc.cli.sync import pulling  # noqa: PLC0415

    tree = read_tree(directory)
    source = _commit_of(directory, tree, repository, committed=False).source
    live = read_live(session, tree, source)
    drifts = pulling.chosen(plan_of(tree, live, source, pulling.REPORTED).drifts, keys or [])
    if not drifts:
        say("nothing was changed by hand")
        return
    for drift in drifts:
        say(f"{drift.application}/{drift.name}: {drift.text}")
    for path in pulling.pull(session, directory, tree, live, drifts):
        write(str(path))


@command(app, "release", changes=True)
def release(
    session: Session,
    directory: Directory = Path(),
    repository: Repository = None,
    application: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Only this application, whatever its source is. Repeat it for several.",
            autocompletion=options.complete_applications,
        ),
    ] = None,
    yes: options.Yes = False,
) -> None:
    """Give up applications.

    Their configurations stay, and another source can adopt them. Without --application, all of this source.
    """
    if application:
        found = [source for name in application for source in read_sources(session, name)]
    else:
        source = _source_without_files(directory, repository)
        found = [one for one in read_sources(session) if source_of(one) == source]
    if not found:
        say("nothing to release")
        return
    for one in found:
        say(f"{one.application}: {source_of(one)}, {counted(one.applied_count, 'configuration')}")
    what = counted(len(found), "application")
    if not (yes or session.dry_run):
        session.confirm(f"release {what}")
    adopting.release(session, found)
    session.report(f"released {what}", f"would release {what}")


def _source_without_files(directory: Path, repository: str | None) -> SourceId:
    if repository is not None:
        return SourceId(repository=repository)
    from configsvc.cli.sync.git import checkout_of  # noqa: PLC0415

    return checkout_of(directory).commit.source


STATUS = Table(
    (
        Column("APPLICATION", lambda row: row["application"]),
        Column("COMMIT", lambda row: row["commit"][:12]),
        Column("APPLIED", lambda row: row["apply_time"]),
        Column("BY", lambda row: row["applied_by"]),
        Column("OWNED", lambda row: row["owned"]),
        Column("DRIFT", lambda row: row["drift"]),
        Column("PENDING", lambda row: row["pending"]),
        Column("LEFT", lambda row: row["left"]),
    ),
    lambda row: row["application"],
)


@command(app, "status", prints=True)
def status(session: Session, directory: Directory = Path(), repository: Repository = None) -> None:
    """Show the applications of this source, with their drift and what `apply` would change.

    LEFT counts configurations that the files no longer have.
    """
    tree = read_tree(directory)
    commit = _commit_of(directory, tree, repository, committed=False)
    live = read_live(session, tree, commit.source)
    made = plan_of(tree, live, commit.source, PlanOptions(on_drift=OnDrift.REPORT))
    sources = {one.application: one for one in read_sources(session) if source_of(one) == commit.source}
    owned = Counter(mark.application for mark in live.marks.values())
    rows = [_status_row(one, sources.get(one.name), owned[one.name]) for one in made.applications]
    session.print_many(rows, STATUS)
    for problem in made.problems:
        say(problem.text)


def _status_row(plan: ApplicationPlan, source: "pb.Source | None", owned: int) -> dict[str, Any]:
    return {
        "application": plan.name,
        "commit": source.commit if source else "",
        "apply_time": time_text(source.apply_time) if source else "",
        "applied_by": source.applied_by if source else "",
        "owned": owned,
        "drift": len(plan.drifts),
        "pending": len(plan.changes),
        "left": len(plan.left),
    }
