"""Completion in shells: names come from the service, which has a second to answer."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from configsvc.cli.contexts import load_contexts
from configsvc.cli.failures import CliError

if TYPE_CHECKING:
    from configsvc.cli.session import Session

SECONDS = 1.5
MOST = 200


def complete_contexts(incomplete: str) -> list[str]:
    """Return the names of contexts."""
    with suppress(CliError):
        return [name for name in load_contexts().names if name.startswith(incomplete)]
    return []


def _completing(find: Callable[["Session", str], Iterator[str]]) -> Callable[[Any, str], list[str]]:
    """Return a completion that asks the service of the command line, and is silent when it does not answer."""

    def complete(ctx: Any, incomplete: str) -> list[str]:
        from configsvc.cli import session as sessions  # noqa: PLC0415

        options = {name: ctx.params.get(name) for name in ("context", "server")}
        session = sessions.Session(**options, timeout_seconds=SECONDS)
        # Whatever is wrong: the shell shows no completion then, and the command itself will tell.
        with suppress(Exception):
            return list(islice(find(session, incomplete), MOST))
        return []

    return complete


@_completing
def complete_applications(session: "Session", incomplete: str) -> Iterator[str]:
    """Yield names of applications."""
    from configsvc.cli import pb  # noqa: PLC0415

    calls = session.connection
    request = pb.ListApplicationsRequest(name_prefix=incomplete, page_size=MOST)
    yield from (found.name for found in calls.applications.ListApplications(request, **_once(session)).applications)


@_completing
def complete_keys(session: "Session", incomplete: str) -> Iterator[str]:
    """Yield keys of configurations; before the slash, names of applications."""
    from configsvc.cli import pb  # noqa: PLC0415

    application, slash, name = incomplete.partition("/")
    calls = session.connection
    if not slash:
        names = pb.ListApplicationsRequest(name_prefix=application, page_size=MOST)
        for found in calls.applications.ListApplications(names, **_once(session)).applications:
            yield f"{found.name}/"
        return
    request = pb.ListConfigurationsRequest(
        selector=pb.ConfigurationSelector(application=pb.ApplicationRef(name=application), name_prefix=name),
        view=pb.CONFIGURATION_VIEW_BASIC,
        page_size=MOST,
    )
    listed = calls.configurations.ListConfigurations(request, **_once(session))
    yield from (f"{found.application}/{found.name}" for found in listed.configurations)


@_completing
def complete_schemas(session: "Session", incomplete: str) -> Iterator[str]:
    """Yield names of schemas."""
    from configsvc.cli import pb  # noqa: PLC0415

    request = pb.ListSchemasRequest(name_prefix=incomplete, page_size=MOST)
    yield from (found.name for found in session.connection.schemas.ListSchemas(request, **_once(session)).schemas)


def complete_targets(ctx: Any, incomplete: str) -> list[str]:
    """Return names of what a command's kind says: applications or configurations."""
    of_kind = {"app": complete_applications, "config": complete_keys}
    complete = of_kind.get(str(ctx.params.get("kind")))
    return complete(ctx, incomplete) if complete else []


def _once(session: "Session") -> dict[str, Any]:
    return {"timeout": SECONDS, "metadata": session.connection.metadata()}
