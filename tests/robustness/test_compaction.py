"""Compaction of the log under traffic, which overtakes clients."""

import pytest

from tests.proxy import proxied_address
from tests.robustness import validators
from tests.robustness.clients import Client, clients_of_every_kind, watch_of
from tests.robustness.faults import cut
from tests.robustness.followers import HttpClientFollower, followers_of
from tests.robustness.form import FORM
from tests.robustness.stage import (
    create_applications,
    following,
    judge,
    judge_followers,
    until_delivered,
    watching,
    writing,
)
from tests.robustness.traffic import read_marks
from tests.service import Service
from tests.storage.compacting import A_DAY, age, compact_once
from tests.storage.reading import Session, head
from tests.watch.history import History, joined, read_history, timeless


class Historian:
    """The log as it was before it was compacted."""

    def __init__(self, session: Session, database_url: str) -> None:
        self._session = session
        self._database_url = database_url
        self.history = History(changes=(), head=0)
        self.marks: dict[str, set[int]] = {}

    async def read(self) -> None:
        """Read the new part of the log."""
        # Aged, a commit has another time than it was delivered with.
        self.history = joined(self.history, timeless(await read_history(self._database_url)))
        for marker, revisions in (await read_marks(self._session)).items():
            self.marks.setdefault(marker, set()).update(revisions)

    async def compact(self) -> None:
        """Compact everything that was read."""
        await age(self._session, up_to=await head(self._session))
        await self.read()
        await compact_once(self._database_url, A_DAY)


async def test_watches_that_compaction_overtakes_under_traffic_get_an_error(
    service: Service, psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Clients are soon fed from the table.
    monkeypatch.setattr("configsvc.feed.ring.RING_LIMIT", 5)
    await create_applications(database_url)
    historian = Historian(psql, database_url)
    async with (
        proxied_address(service.address) as (proxy, address),
        proxied_address(service.http_address) as (http_proxy, http_address),
    ):
        overtaken = Client([address], watch_of())
        clients = [*clients_of_every_kind([service.address]), overtaken]
        followers = [*followers_of([address]), HttpClientFollower([http_address], "bank")]
        async with watching(clients), following(followers), writing(database_url, service) as traffic:
            for _ in range(2 * FORM.rounds):
                lives = len(overtaken.lives)
                async with cut(proxy), cut(http_proxy):
                    await overtaken.until(lambda client: bool(client.ends) and not client.synced)
                    await traffic.more(FORM.writes)
                    await historian.compact()
                await overtaken.until(lambda client, lives=lives: len(client.lives) > lives and client.synced)
            await traffic.end()
            await until_delivered(database_url, [*clients, *followers])
    await historian.read()
    assert "REVISION_COMPACTED" in [end.reason for end in overtaken.ends]
    judge(clients, historian.history)
    judge_followers(followers, historian.history)
    validators.answered(traffic.writes, {marker: sorted(found) for marker, found in historian.marks.items()})
