"""Messages of a watch, as an engine gets them from its transport."""

from configsvc.client.engine import Event, Message
from configsvc.client.view import Configuration, View

EPOCH = "one"


def configuration(name: str, version: int = 1, *, id: str = "", revision: int = 0) -> Configuration:  # noqa: A002
    text = f'{{"version": {version}}}'
    return Configuration(id=id or f"id-{name}", name=name, version=version, revision=revision, text=text)


def puts(name: str, version: int = 1, *, id: str = "") -> Event:  # noqa: A002
    return Event(removes=False, configuration=configuration(name, version, id=id), actor="user:ann", reason="because")


def removes(name: str, *, id: str = "") -> Event:  # noqa: A002
    return Event(removes=True, configuration=configuration(name, 0, id=id), actor="user:ann", reason="because")


def complete(revision: int, *events: Event, synced: bool = False, epoch: str = EPOCH) -> Message:
    """Return a message that completes what came before it."""
    return Message(token=f"{epoch}:{revision}", revision=revision, epoch=epoch, events=events, synced=synced)


def part(*events: Event) -> Message:
    """Return a message that continues in the next one."""
    return Message(events=events)


def versions(view: View | None) -> dict[str, int] | None:
    return None if view is None else {name: one.version for name, one in view.by_name.items()}
