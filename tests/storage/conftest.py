import asyncio

import pytest


@pytest.fixture(autouse=True)
def _no_housekeeping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep services from compacting the log: here the tests decide when."""

    async def rest(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("configsvc.app.run.keep_house", rest)
