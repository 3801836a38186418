"""The statements that the calls of callers send to the database: each is a round trip."""

from typing import Any

import asyncpg
import pytest

from configsvc.limits.slots import caller_slots

Connection: Any = asyncpg.connection.Connection


class Statements:
    """Records what is sent within the calls of authenticated callers, not what the service does by itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._sent: list[str] = []
        for name in ("_do_execute", "execute"):
            monkeypatch.setattr(Connection, name, self._recorded(getattr(Connection, name)))

    def _recorded(self, send: Any) -> Any:
        async def recorded(connection: Any, query: str, *arguments: Any, **more: Any) -> Any:
            if caller_slots.get() is not None:
                self._sent.append(query)
            return await send(connection, query, *arguments, **more)

        return recorded

    def take(self) -> tuple[str, ...]:
        """Return the statements since the last time."""
        sent, self._sent = tuple(self._sent), []
        return sent
