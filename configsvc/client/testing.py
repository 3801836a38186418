"""A client for tests of programs: configurations that a test sets, without a service."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Unpack

from configsvc.client.aio import Changes
from configsvc.client.callbacks import WaitingChanges
from configsvc.client.engine import Engine, Event, Message
from configsvc.client.errors import ConfigError, StoppedError
from configsvc.client.models import pointer_of
from configsvc.client.reading import Configs
from configsvc.client.settings import Options, Settings
from configsvc.client.store import Store
from configsvc.client.view import Configuration

_EPOCH = "test"


class FakeConfigs(Configs):
    """The configurations of a test, in place of either client. It takes their options, such as `stale_after`.

    Without contents it is not ready until some are set. A content with a schema, by the name of the configuration, is
    checked against it, which takes the package jsonschema.
    """

    def __init__(
        self,
        contents: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        schemas: Mapping[str, Mapping[str, Any]] | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(Store(Settings(address="test", application="test", **options)))
        self._schemas = schemas or {}
        self._engine = Engine()
        self._revision = 0
        if contents is not None:
            self.update(contents)

    @classmethod
    def from_export(
        cls,
        file: Path,
        *,
        application: str | None = None,
        schemas: Mapping[str, Mapping[str, Any]] | None = None,
        **options: Unpack[Options],
    ) -> "FakeConfigs":
        """Return the configurations of one application in an export, of `configsvc config export` or of grpcurl."""
        items = [item for part in _json_values(Path(file).read_text(encoding="utf-8")) for item in _items_of(part)]
        applications = {_application_of(item) for item in items}
        if application is None and len(applications) > 1:
            raise ValueError(f"the export has several applications, name one: {', '.join(sorted(applications))}")
        wanted = [item for item in items if application in {None, _application_of(item)}]
        return cls({item["name"]: _content_of(item) for item in wanted}, schemas=schemas, **options)

    def set(self, name: str, content: Mapping[str, Any]) -> None:
        """Create or replace a configuration."""
        self.update({name: content})

    def update(self, contents: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Create or replace configurations in one commit; None removes one."""
        self._revision += 1
        self._engine.begin()
        events = tuple(self._event(name, content) for name, content in contents.items())
        token = f"{_EPOCH}:{self._revision}"
        step = self._engine.receive(
            Message(token=token, revision=self._revision, epoch=_EPOCH, events=events, synced=True)
        )
        assert step.view
        self._store.swap(step.view, step.changes, source="test")
        self._store.confirm()

    def _event(self, name: str, content: Mapping[str, Any] | None) -> Event:
        known = self._engine.view.by_name.get(name) if self._engine.view else None
        if content is not None and name in self._schemas:
            _check(name, content, self._schemas[name])
        configuration = Configuration(
            id=name,
            name=name,
            version=known.version + 1 if known else 1,
            revision=self._revision,
            text=json.dumps(content, allow_nan=False),
            updated_by="test",
        )
        return Event(removes=content is None, configuration=configuration, actor="test")

    def stale(self, seconds: float) -> None:
        """Let the view be this old."""
        self._store.confirm(age=seconds)

    def fail(self, error: ConfigError | None = None) -> None:
        """Stop, as if the service refused the program for good: what was set stays readable."""
        self._store.end(error or StoppedError("the service refuses the watch", reason="PERMISSION_DENIED"))

    def changes(self, name: str | None = None) -> Any:
        """Return the changes from now on: for `async for` in a running loop, elsewhere for `for`."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return WaitingChanges(self._store, name)
        return Changes(self._store, name)

    def close(self) -> None:
        """End the changes, and the threads of callbacks."""
        self._store.end()
        self._callbacks.end()

    def __enter__(self) -> "FakeConfigs":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> "FakeConfigs":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _json_values(text: str) -> Iterator[Any]:
    """Yield the JSON values of a text, one after the other."""
    decoder = json.JSONDecoder()
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        yield value
        text = text[end:]


def _items_of(part: Mapping[str, Any]) -> list[Any]:
    return part["configurations"] if "configurations" in part else part["items"]


def _application_of(item: Mapping[str, Any]) -> str:
    application = item["application"]
    return application if isinstance(application, str) else application["name"]


def _content_of(item: Mapping[str, Any]) -> Mapping[str, Any]:
    text = item.get("configJson", item.get("config_json"))
    return json.loads(text) if text else item["config"]


def _check(name: str, content: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    try:
        from jsonschema.validators import validator_for  # noqa: PLC0415  # only for those who have schemas
    except ImportError as error:
        raise ConfigError("to check contents against schemas: pip install jsonschema") from error
    faults = [
        f"{pointer_of(*fault.absolute_path) or 'the content'}: {fault.message}"
        for fault in validator_for(schema)(schema).iter_errors(content)
    ]
    if faults:
        raise ValueError(f"{name} violates its schema: {'; '.join(faults)}")
