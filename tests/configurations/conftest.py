from collections.abc import Iterator

import pytest

from tests.api.calls import create_application
from tests.configurations.pausing import DatabaseReads, PausedFeed
from tests.service import Service
from tests.storage import conftest

# Housekeeping would compact the log at a moment of its own.
no_housekeeping = conftest._no_housekeeping


@pytest.fixture
async def shop(service: Service) -> Service:
    """Return the service with an application named shop."""
    await create_application(service, "shop")
    return service


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[DatabaseReads]:
    """Yield the reads of one configuration that reach the database."""
    reads = DatabaseReads(monkeypatch)
    yield reads
    reads.resume()


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> Iterator[PausedFeed]:
    """Yield the feed of the service, which a test can pause."""
    feed = PausedFeed(monkeypatch)
    yield feed
    feed.resume()
