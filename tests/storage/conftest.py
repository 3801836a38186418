import asyncio

import pytest


@pytest.fixture(autouse=True)
def _no_housekeeping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Services leave the log alone: here the tests say when it is compacted."""

    async def rest(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("configsvc.app.run.keep_house", rest)
