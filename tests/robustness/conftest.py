from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from tests.postgres import run, server_folder
from tests.robustness.followers import LOST_SECONDS, MOST_PAUSE_SECONDS
from tests.robustness.form import IS_LONG
from tests.robustness.server import OwnServer, own_server, prepare_server


@pytest.fixture(scope="session")
def prepared_server() -> Generator[Path]:
    """Yield the folder of a stopped server with a migrated database, to be copied."""
    with server_folder() as folder:
        run(prepare_server(folder))
        yield folder


@pytest.fixture
async def server(prepared_server: Path) -> AsyncGenerator[OwnServer]:
    """Yield a server of this test alone."""
    with server_folder() as folder:
        async with own_server(prepared_server, folder) as running:
            yield running


@pytest.fixture(autouse=True)
def shorter_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the waits for an unavailable database, except in the long form, which waits as in production."""
    # As those of the program of the guide: see followers.py.
    monkeypatch.setattr("configsvc.client.engine.LOST_SECONDS", LOST_SECONDS)
    monkeypatch.setattr("configsvc.client.engine.MOST_PAUSE_SECONDS", MOST_PAUSE_SECONDS)
    if not IS_LONG:
        monkeypatch.setattr("configsvc.storage.database.COMMAND_TIMEOUT_SECONDS", 2.0)
        monkeypatch.setattr("configsvc.feed.feed.RECONNECT_LAST_SECONDS", 0.5)
        monkeypatch.setattr("configsvc.storage.log.PAGE_SECONDS", 2.0)


@pytest.fixture(autouse=True)
def serving_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every service serve HTTP too."""
    monkeypatch.setenv("CONFIGSVC_HTTP_LISTEN", "127.0.0.1:0")
