"""The command `configsvc open`: a screen of the service's console, in a browser."""

import webbrowser
from typing import TYPE_CHECKING
from urllib.parse import quote

from configsvc.cli.contexts import checked_http, chosen_context
from configsvc.cli.failures import CliError, ExitCode, UsageError
from configsvc.cli.keys import key_of
from configsvc.cli.output import say, write
from configsvc.cli.tools import Target

if TYPE_CHECKING:
    from configsvc.cli.session import Session


_ON_TERMINALS = frozenset({"www-browser", "links", "elinks", "lynx", "w3m"})


def run(session: "Session", kind: Target | None, name: str | None, *, http: str | None, only_prints: bool) -> None:
    """Open an address, or print it where no browser is. Raises CliError."""
    url = _base(session, http) + _path(kind, name)
    if only_prints or not _has_opened(url):
        write(url)
    else:
        say(f"opened {url}")


def _base(session: "Session", http: str | None) -> str:
    if http:
        return checked_http(http)
    name, context = chosen_context(session.context, session.server)
    if not context.http:
        raise CliError(
            f"the address of {context.server} over HTTP is not known",
            ExitCode.USAGE,
            hint=f"`configsvc context set {name or 'NAME'} --http URL` keeps it; --http URL is for once.",
        )
    return context.http


def _path(kind: Target | None, name: str | None) -> str:
    match kind, name:
        case None, _:
            return "/"
        case _, None | "":
            raise UsageError(f"what to open has no name: write `configsvc open {kind} NAME`")
        case Target.APP, _:
            return f"/#/applications/{quote(name, safe='')}"
        case Target.CONFIG, _:
            key = key_of(name)
            return f"/#/configurations/{quote(key.application, safe='')}/{quote(key.name, safe='')}"


def _has_opened(url: str) -> bool:
    """Return true if a browser shows the address. Those on a terminal are left out: they would take this one over."""
    try:
        found = webbrowser.get()
    except webbrowser.Error:
        return False
    return found.name not in _ON_TERMINALS and found.open(url)
