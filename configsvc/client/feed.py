"""The task that keeps a store up to date: it opens streams one after the other, and follows the engine's rules."""

import asyncio
import inspect
import logging
import random
from collections.abc import Callable
from dataclasses import replace

from configsvc.client.engine import End, Engine, Step
from configsvc.client.errors import StoppedError
from configsvc.client.repetition import Repetition
from configsvc.client.settings import Token
from configsvc.client.store import Store
from configsvc.client.streams import Transport

# For the function of the program that returns a token.
TOKEN_SECONDS = 10.0
# Of an error, whose text can be of anybody between the program and the service.
MOST_CHARACTERS = 500

log = logging.getLogger("configsvc.client")


class Feed:
    """Follows the service until it is cancelled or refused for good."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        transport: Transport,
        *,
        token: Token | None,
        settled: asyncio.Event,
        changed: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._store = store
        self._transport = transport
        self._token = token
        self._changed = changed
        self._settled = settled
        self._failures = Repetition()

    async def run(self) -> None:
        """Follow."""
        while True:
            end = await self._follow()
            end = replace(end, text=_shown(end.text))
            self._store.is_connected, self._store.last_error = False, end.text
            pause = self._engine.end(end)
            if pause is None:
                self._stop(end)
                return
            self._failures.log(logging.INFO, f"the watch ended and will be opened again: {end.text}")
            await asyncio.sleep(random.uniform(pause.least_seconds, pause.most_seconds))  # noqa: S311  # no secret

    def _stop(self, end: End) -> None:
        log.error("the service refuses the watch, so the configurations no longer change: %s", end.text)
        self._store.end(StoppedError(f"the service refuses the watch: {end.text}", code=end.code, reason=end.reason))
        self._settled.set()

    async def _follow(self) -> End:
        """Follow one stream, and return its end."""
        resume_token = self._engine.begin()
        try:
            bearer = await self._bearer()
        except Exception as error:  # noqa: BLE001  # whatever the program's function raises
            return End(text=f"there is no token: {type(error).__name__}: {error}")
        try:
            async with self._transport.stream(resume_token, bearer) as stream:
                while True:
                    async with asyncio.timeout(self._engine.silence_seconds):
                        message = await stream.read()
                    if isinstance(message, End):
                        return message
                    self._take(self._engine.receive(message))
        except TimeoutError:
            return End(text=f"nothing has arrived for {self._engine.silence_seconds:.0f} s")
        except OSError as error:  # also files of certificates
            return End(code="UNAVAILABLE", text=f"UNAVAILABLE: the connection cannot be made: {error}")
        except Exception as error:  # noqa: BLE001  # such as that there are no more threads: it can pass, and the program lives on
            self._failures.log(logging.ERROR, f"the watch failed: {_shown(repr(error))}", error)
            return End(text=f"the watch failed: {error!r}")

    async def _bearer(self) -> str:
        token = self._token() if callable(self._token) else self._token or ""
        if inspect.isawaitable(token):
            async with asyncio.timeout(TOKEN_SECONDS):
                token = await token
        # A file ends with a line break.
        token = token.strip()
        if not (token.isascii() and token.isprintable()):
            raise ValueError("it has characters that no token has")
        return token

    def _take(self, step: Step) -> None:
        store = self._store
        if self._engine.has_refused_empty and not store.has_refused_empty:
            log.error("refused an empty snapshot, as there are configurations: set accept_empty=True to accept it")
        store.has_refused_empty = self._engine.has_refused_empty
        if step.view:
            store.swap(step.view, step.changes, source="service")
        if step.is_live:
            store.confirm()
            store.is_connected, store.last_error = True, ""
        if step.changes:
            self._changed()
        if step.is_live or store.has_refused_empty:
            self._settled.set()


def _shown(text: str) -> str:
    """Return the text of an error as one line that is not too long."""
    return " ".join(text.split())[:MOST_CHARACTERS]
