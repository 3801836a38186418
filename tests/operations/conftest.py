import asyncio

import pytest

from configsvc.operations import imports


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Pause imports before each slice until the event is set."""
    check_slice, go_on = imports.check_slice, asyncio.Event()

    async def when_told(*arguments: object):
        await go_on.wait()
        return await check_slice(*arguments)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(imports, "check_slice", when_told)
    return go_on
