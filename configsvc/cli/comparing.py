"""The commands that show what changed: history, diff, blame."""

from typing import Annotated, Any

import typer

from configsvc.cli import options, pb, tables
from configsvc.cli.commands import command
from configsvc.cli.configurations import app, fetch
from configsvc.cli.differences import Blame, Blamer, differences
from configsvc.cli.documents import compact_json, parse_document, parse_json, read_text
from configsvc.cli.failures import CliError, ExitCode, UsageError
from configsvc.cli.keys import key_of
from configsvc.cli.output import Column, Format, Table, print_difference, say
from configsvc.cli.plain import plain, time_text
from configsvc.cli.session import Session, pages


@command(app, "history", prints=True)
def history(session: Session, key: options.Key, limit: options.Limit = None) -> None:
    """List versions, newest first, even of a deleted one."""
    found, compacted = versions_of(session, key, full=session.structured, limit=limit)
    session.print_many(found, tables.VERSIONS)
    if compacted and (limit is None or len(found) < limit):
        say("older versions are no longer kept")


def versions_of(
    session: Session, key: str, *, full: bool, limit: int | None
) -> "tuple[list[pb.ConfigurationVersion], bool]":
    """Return versions, newest first, and true if older ones are gone."""
    request = pb.ListConfigurationVersionsRequest(
        key=key_of(key),
        view=pb.CONFIGURATION_VIEW_FULL if full else pb.CONFIGURATION_VIEW_BASIC,
        format=pb.CONTENT_FORMAT_JSON,
    )
    calls = session.connection
    compacted = False

    def page(request: Any) -> Any:
        nonlocal compacted
        answer = calls.call(calls.configurations.ListConfigurationVersions, request)
        compacted = answer.compacted
        return answer

    return pages(page, request, "versions", limit), compacted


@command(app, "diff", prints=True)
def diff(
    session: Session,
    key: options.Key,
    from_version: Annotated[int | None, typer.Argument(metavar="FROM", min=1, help="Version to start from.")] = None,
    to_version: Annotated[int | None, typer.Argument(metavar="TO", min=1, help="Version to end with.")] = None,
    file: Annotated[
        str | None,
        typer.Option(
            "--file", "-f", metavar="FILE", help="What `apply` with this file would change; - is standard input."
        ),
    ] = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 2 if there is a difference, with 0 if there is none.")
    ] = False,
) -> None:
    """Show what changed between versions, or would by a file.

    Without versions and file, what the newest version changed.
    """
    if file is not None:
        if from_version is not None:
            raise UsageError("--file compares with the newest version: leave the versions out")
        found = _difference_from_file(session, key, file)
    else:
        found = _difference_of_versions(session, key, from_version or 0, to_version or 0)
    if found and detailed_exitcode:
        raise typer.Exit(2)


def _difference_from_file(session: Session, key: str, file: str) -> bool:
    new = parse_document(read_text(file), file)
    try:
        old = parse_json(fetch(session, key).config_json)
    except CliError as error:
        if error.code is not ExitCode.NOT_FOUND:
            raise
        say(f"{key} does not exist")
        old = None
    found = list(differences({} if old is None else old, new))
    if session.output in {None, Format.TABLE}:
        print_difference(difference.line for difference in found)
    elif session.output is Format.NAME:
        print_difference(difference.pointer for difference in found)
    else:
        session.print_value([difference.plain for difference in found])
    return bool(found) or old is None


def _difference_of_versions(session: Session, key: str, from_version: int, to_version: int) -> bool:
    request = pb.DiffConfigurationVersionsRequest(
        key=key_of(key), from_version=from_version, to_version=to_version, format=pb.CONTENT_FORMAT_JSON
    )
    calls = session.connection
    answer = calls.call(calls.configurations.DiffConfigurationVersions, request)
    patch: list[dict[str, Any]] = parse_json(answer.patch_json)
    if session.output in {None, Format.TABLE}:
        versions = answer.from_configuration.version, answer.to_configuration.version
        say(f"{key}: version {versions[0]} → {versions[1]}")
        print_difference(answer.text.splitlines())
    elif session.output is Format.NAME:
        print_difference(operation["path"] for operation in patch)
    else:
        session.print_value(patch)
    return bool(answer.text)


BLAME = Table(
    (
        Column("PATH", lambda found: found.pointer or "/"),
        Column("VERSION", lambda found: f"{'≤' if found.oldest_kept else ''}{found.version.configuration.version}"),
        Column("TIME", lambda found: time_text(found.version.origin.commit_time)),
        Column("BY", lambda found: found.version.origin.actor),
        Column("REASON", lambda found: found.version.origin.reason),
        Column("VALUE", lambda found: _short(found.value)),
    ),
    lambda found: found.pointer,
)


def _short(value: Any) -> str:
    # Of objects and arrays, only empty ones are leaves.
    text = compact_json(value)
    return text if len(text) <= 40 else text[:39] + "…"


@command(app, "blame", prints=True)
def blame(session: Session, key: options.Key) -> None:
    """Show who last set each value, when, and why."""
    blamer = _blamer(session, key)
    if session.structured:
        session.print_value([_plain_blame(found) for found in blamer.found])
    else:
        session.print_many(list(blamer.found), BLAME)
    if any(found.oldest_kept for found in blamer.found):
        say("older versions are no longer kept: ≤ is the oldest one that has the value")


def _blamer(session: Session, key: str) -> Blamer:
    request = pb.ListConfigurationVersionsRequest(
        key=key_of(key), view=pb.CONFIGURATION_VIEW_FULL, format=pb.CONTENT_FORMAT_JSON
    )
    calls = session.connection
    blamer: Blamer | None = None
    while True:
        answer = calls.call(calls.configurations.ListConfigurationVersions, request)
        for version in answer.versions:
            content = parse_json(version.configuration.config_json or "{}")
            if blamer is None:
                _check_exists(key, version)
                blamer = Blamer(version, content)
            else:
                blamer.look_at(version, content)
        if blamer is None:
            raise CliError(f"{key} has no history", ExitCode.NOT_FOUND)
        if not answer.next_page_token or blamer.done:
            if answer.compacted and not answer.next_page_token:
                blamer.end_at_compaction()
            return blamer
        request.page_token = answer.next_page_token


def _check_exists(key: str, newest: "pb.ConfigurationVersion") -> None:
    if not newest.configuration.HasField("config_json"):
        raise CliError(
            f"{key} is deleted",
            ExitCode.NOT_FOUND,
            hint="`configsvc config history KEY` shows its versions, `config undelete KEY` restores it.",
        )


def _plain_blame(found: Blame) -> dict[str, Any]:
    return {
        "path": found.pointer,
        "value": found.value,
        "version": found.version.configuration.version,
        "revision": found.version.configuration.revision,
        "oldest_kept": found.oldest_kept,
        "origin": plain(found.version.origin),
    }
