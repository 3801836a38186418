from collections.abc import Iterator

import pytest

from tests.reads.holding import DatabaseReads, HeldFeed


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[DatabaseReads]:
    """The reads of one configuration that reach the database."""
    reads = DatabaseReads(monkeypatch)
    yield reads
    reads.let_go()


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldFeed]:
    """The feed of the service, which a test can hold up."""
    feed = HeldFeed(monkeypatch)
    yield feed
    feed.let_go()
