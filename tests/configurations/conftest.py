from collections.abc import Iterator

import pytest

from tests.configurations.pausing import DatabaseReads
from tests.feed.pausing import PausedFeed
from tests.storage import conftest

# Housekeeping would compact the log in the midst of a test.
no_housekeeping = conftest._no_housekeeping


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
