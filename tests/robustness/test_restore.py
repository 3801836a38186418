"""A database set back to an earlier state: its revisions come again, with other contents."""

from collections.abc import Sequence

import pytest

from tests.robustness import validators
from tests.robustness.clients import Client, clients_of_every_kind
from tests.robustness.server import OwnServer
from tests.robustness.stage import create_applications, judge_writes, until_delivered, watching, writing
from tests.service import running_service
from tests.watch.history import read_history


async def until_begun_anew(clients: Sequence[Client]) -> list[int]:
    """Wait until every client has begun anew since it had this number of lives."""
    lives = [len(client.lives) for client in clients]
    for client, before in zip(clients, lives, strict=True):
        await client.until(lambda client, before=before: len(client.lives) > before and client.synced)
    return lives


@pytest.mark.parametrize("new_timeline", [False, True], ids=["the same timeline", "a new timeline"])
async def test_a_database_that_is_set_back_is_noticed_and_clients_begin_anew(
    server: OwnServer, new_timeline: bool
) -> None:
    await create_applications(server.url)
    async with running_service(server.url) as service:
        clients = clients_of_every_kind([service.address])
        async with watching(clients):
            async with writing(server.url, service) as traffic:
                await server.stop()
                copied = await server.copy()
                await server.start()
                await traffic.more(20)
                await traffic.end()
            await until_delivered(server.url, clients)
            await judge_writes(server.url, traffic)
            was = await read_history(server.url)
            await server.stop()
            await server.put_back(copied)
            if new_timeline:
                server.promote_at_start()
            await server.start()
            lives = await until_begun_anew(clients)
            async with writing(server.url, service, name="again-") as traffic:
                await traffic.end()
            await until_delivered(server.url, clients)
            await judge_writes(server.url, traffic)
        now = await read_history(server.url)
    for client, before in zip(clients, lives, strict=True):
        for life in client.lives[:before]:
            validators.judge(life, was)
        for life in client.lives[before:]:
            validators.judge(life, now)
        epochs = {client.lives[before - 1].joined.epoch, client.lives[before].joined.epoch}
        assert len(epochs) == (2 if new_timeline else 1)
