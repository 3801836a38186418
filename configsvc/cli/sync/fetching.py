"""Reading the state of a service for a tree."""

from pathlib import Path

from configsvc.cli import pb
from configsvc.cli.configurations import selector_of
from configsvc.cli.documents import Json, parse_json
from configsvc.cli.failures import CliError, ExitCode
from configsvc.cli.keys import moment_of
from configsvc.cli.output import counted, say
from configsvc.cli.progress import progress
from configsvc.cli.session import Session, pages
from configsvc.cli.sync.exporting import Export, Exported, write_tree
from configsvc.cli.sync.live import pin_of, read_schema
from configsvc.cli.sync.naming import Ending
from configsvc.cli.sync.requests import references_of


def export_tree(
    session: Session, selection: str | None, at: str | None, directory: Path, *, ending: Ending, prune: bool
) -> None:
    """Write what is selected as a tree, and say what became of its files. Raises CliError."""
    selector = selector_of(selection)
    revision, items = _items(session, selector, at)
    applications = _applications(session, selector, revision)
    if not applications:
        raise CliError("there is nothing to export", ExitCode.NOT_FOUND, hint="`configsvc app list` shows what exists.")
    export = Export(
        applications=applications,
        configurations=items,
        schemas=_schemas(session, {item.schema.schema for item in items if item.schema}),
        covers=lambda application, name: _covers(selector, application, name),
    )
    written = write_tree(directory, export, ending=ending, prune=prune)
    for path in written.missing:
        say(f"{'deleted' if prune else 'no longer on the service'}: {path}")
    exported, changed = counted(len(items), "configuration"), counted(len(written.changed), "file")
    say(f"exported {exported} at revision {revision}: {changed} changed")


def _items(session: Session, selector: "pb.ConfigurationSelector", at: str | None) -> tuple[int, list[Exported]]:
    request = pb.ExportConfigurationsRequest(selector=selector, format=pb.CONTENT_FORMAT_JSON, **moment_of(at))
    revision = 0
    items: list[Exported] = []
    with progress("exporting") as advance:
        for answer in session.connection.stream(session.connection.configurations.ExportConfigurations, request):
            revision = answer.revision
            items += map(_exported, answer.items)
            advance(len(items), None)
    return revision, items


def _exported(item: "pb.ConfigurationItem") -> Exported:
    return Exported(
        application=item.application.name,
        name=item.name,
        comments=item.comments,
        config=parse_json(item.config_json),
        schema=pin_of(item),
    )


def _applications(session: Session, selector: "pb.ConfigurationSelector", revision: int) -> dict[str, str]:
    """Return the comments of the applications that are selected, as of the revision."""
    calls = session.connection
    only = selector.application.name
    request = pb.ListApplicationsRequest(name_prefix=only, as_of_revision=revision)
    found = pages(lambda page: calls.call(calls.applications.ListApplications, page), request, "applications")
    return {one.name: one.comments for one in found if only in {"", one.name}}


def _schemas(session: Session, names: set[str]) -> dict[str, tuple[int, Json]]:
    """Return the newest versions of schemas, and of those that they refer to."""
    found: dict[str, tuple[int, Json]] = {}
    waiting = sorted(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        newest = read_schema(session, name)
        found[name] = (newest.version, newest.document)
        waiting += references_of(newest.document)
    return dict(sorted(found.items()))


def _covers(selector: "pb.ConfigurationSelector", application: str, name: str) -> bool:
    """Return true if a configuration would be exported. An empty name stands for the application itself."""
    if selector.application.name not in {"", application}:
        return False
    if selector.names:
        return name in selector.names
    return name.startswith(selector.name_prefix)
