"""The command `config watch`: changes as they are committed, across reconnections."""

import random
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from configsvc.cli import options, pb
from configsvc.cli.commands import command
from configsvc.cli.configurations import app, selector_of
from configsvc.cli.documents import compact_json
from configsvc.cli.failures import CliError, ExitCode
from configsvc.cli.instances import instance_of
from configsvc.cli.keys import key_text
from configsvc.cli.output import Format, paint, print_document, safe, say, write
from configsvc.cli.plain import plain, time_text, word

if TYPE_CHECKING:
    from configsvc.cli.session import Session

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 30.0
# Three bookmarks.
LOST_SECONDS = 30.0
_REFUSED = (ExitCode.INVALID, ExitCode.NOT_PERMITTED)
_START_OVER = frozenset({"REVISION_COMPACTED", "EPOCH_CHANGED", "REVISION_UNKNOWN"})


@dataclass(slots=True)
class View:
    """The rules of a client of a watch: events count when a message with a resume token closes them."""

    token: str = ""
    _pending: list[Any] = field(default_factory=list[Any])
    # By id: what was shown last.
    _known: dict[str, Any] = field(default_factory=dict[str, Any])

    def take(self, message: "pb.WatchConfigurationsResponse") -> list[Any]:
        """Return the events that are complete with this message."""
        self._pending += [event for event in message.events if event.effect in {pb.EFFECT_SET, pb.EFFECT_REMOVE}]
        if not message.resume_token:
            return []
        events, self._pending = self._pending, []
        if not self.token:
            events = self._since_the_last_snapshot(events)
        self.token = message.resume_token
        for event in events:
            if event.effect == pb.EFFECT_SET:
                self._known[event.configuration.id] = event.configuration
            else:
                self._known.pop(event.configuration.id, None)
        return events

    def _since_the_last_snapshot(self, events: list[Any]) -> list[Any]:
        """Return what a new snapshot changes in what was shown: nothing is shown twice, and no removal is missed."""
        present = {event.configuration.id for event in events}
        gone = [known for identifier, known in self._known.items() if identifier not in present]
        removals = [pb.ConfigurationEvent(effect=pb.EFFECT_REMOVE, configuration=known) for known in gone]
        return removals + [
            event
            for event in events
            if event.configuration.id not in self._known
            or self._known[event.configuration.id].etag != event.configuration.etag
        ]

    def start_over(self) -> None:
        """Begin with a snapshot at the next attempt; what is known stays until it is complete."""
        self.token = ""
        self._pending = []

    def lose_half(self) -> None:
        """Drop events of a message that did not come to its end: they come again."""
        self._pending = []


@command(app, "watch", prints=True)
def watch(
    session: "Session",
    selection: options.Selection = None,
    since: Annotated[
        int | None, typer.Option(min=0, metavar="REVISION", help="Begin with the changes after this revision.")
    ] = None,
) -> None:
    """Show what exists, then each change, until Ctrl-C.

    With -o json, each event is one line. A connection that is lost is made again, and nothing is missed. --timeout
    limits the time until the first answer.
    """
    own = instance_of("config watch")
    request = pb.WatchConfigurationsRequest(
        format=pb.CONTENT_FORMAT_JSON,
        view=pb.CONFIGURATION_VIEW_FULL if session.structured else pb.CONFIGURATION_VIEW_BASIC,
        instance=pb.WatchInstance(id=own.id, program=own.program, version=own.version),
    )
    if selection:
        request.selectors.append(selector_of(selection))
    if since is not None:
        request.history.epoch = _epoch(session)
        request.history.after_revision = since
    if session.output in {None, Format.TABLE}:
        write(paint("   ".join(("TIME".ljust(20), "CHANGE  ", "KEY", "VERSION", "BY", "REASON")), "head"))
        sys.stdout.flush()
    for event in _events(session, request):
        _print_event(session, event)


def _epoch(session: "Session") -> str:
    calls = session.connection
    return calls.call(calls.server.GetServerStatus, pb.GetServerStatusRequest()).epoch


def _events(session: "Session", request: "pb.WatchConfigurationsRequest") -> Iterator[Any]:
    view, delay, heard = View(), FIRST_DELAY_SECONDS, False
    end = time.monotonic() + (session.timeout_seconds or LOST_SECONDS)
    while True:
        try:
            for message in _messages(session, request):
                delay, heard = FIRST_DELAY_SECONDS, True
                yield from view.take(message)
        except CliError as error:
            _check_worth_another_attempt(error, heard=heard, late=time.monotonic() > end)
            say(f"{error.text}; trying again")
            if error.reason in _START_OVER:
                view.start_over()
                request.ClearField("start")
            heard = heard and error.code is not ExitCode.NOT_PERMITTED
        view.lose_half()
        if view.token:
            request.resume_token = view.token
        time.sleep(random.uniform(0, delay))  # noqa: S311
        delay = min(2 * delay, LONGEST_DELAY_SECONDS)
        session.reconnect()


def _check_worth_another_attempt(error: CliError, *, heard: bool, late: bool) -> None:
    """Raise the error if another attempt cannot help. A token that expired can: the next one is new."""
    refused = bool(error.reason) and (error.code in _REFUSED or (error.reason in _START_OVER and not heard))
    expired = error.reason == "UNAUTHENTICATED" and heard
    if (refused and not expired) or (not heard and late):
        raise error


def _messages(session: "Session", request: "pb.WatchConfigurationsRequest") -> Iterator[Any]:
    """Yield the messages of one stream; an end of any kind is a CliError. A stream that is silent for three bookmarks
    is cancelled.
    """
    calls = session.connection
    call = calls.configurations.WatchConfigurations(request, metadata=calls.metadata())
    watchdog = threading.Timer(LOST_SECONDS, call.cancel)
    watchdog.daemon = True
    watchdog.start()
    try:
        for message in calls.translated(call):
            watchdog.cancel()
            yield message
            watchdog = threading.Timer(LOST_SECONDS, call.cancel)
            watchdog.daemon = True
            watchdog.start()
    finally:
        watchdog.cancel()
        call.cancel()
    raise CliError("the service ended the watch")


def _print_event(session: "Session", event: Any) -> None:
    match session.output:
        case Format.NAME:
            write(safe(key_text(event.configuration)))
        case Format.JSON:
            write(compact_json(plain(event)))
        case Format.YAML:
            write("---")
            print_document(plain(event), Format.YAML)
        case _:
            write(safe(_line(event)))
    sys.stdout.flush()


def _line(event: Any) -> str:
    found, origin = event.configuration, event.origin
    when = time_text(origin.commit_time) or time_text(found.update_time)
    who = origin.actor or found.updated_by or "-"
    fields = (when or "-", f"{_change(event):<8}", key_text(found), str(found.version), who, origin.reason)
    return "   ".join(fields).rstrip()


def _change(event: Any) -> str:
    name = word(pb.ChangeType.Name(event.change))
    if event.effect == pb.EFFECT_REMOVE:
        return "deleted" if name == "deleted" else "removed"
    return "existing" if name == "unspecified" else name
