"""A database set back to an earlier state: its revisions come again, with other contents."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.robustness import validators
from tests.robustness.clients import Client, clients_of_every_kind
from tests.robustness.followers import Follower, HttpClientFollower, followers_of
from tests.robustness.server import OwnServer
from tests.robustness.stage import create_applications, following, judge_writes, until_delivered, watching, writing
from tests.service import running_service
from tests.watch.history import History, read_history


async def until_begun_anew(clients: Sequence[Client]) -> list[int]:
    """Wait until every client has begun anew since it had this number of lives."""
    lives = [len(client.lives) for client in clients]
    for client, before in zip(clients, lives, strict=True):
        await client.until(lambda client, before=before: len(client.lives) > before and client.synced)
    return lives


async def set_back(server: OwnServer, copied: Path, *, new_timeline: bool) -> None:
    """Put the server back to an earlier state of its data folder."""
    await server.stop()
    await server.put_back(copied)
    if new_timeline:
        server.promote_at_start()
    await server.start()


def judge_clients(clients: Sequence[Client], lives: Sequence[int], was: History, now: History) -> set[int]:
    """Check what clients saw of both histories; return the numbers of epochs that they met."""
    for client, before in zip(clients, lives, strict=True):
        for life in client.lives[:before]:
            validators.judge(life, was)
        for life in client.lives[before:]:
            validators.judge(life, now)
    pairs = [client.lives[before - 1 : before + 1] for client, before in zip(clients, lives, strict=True)]
    return {len({life.joined.epoch for life in pair}) for pair in pairs}


def judge_followers_of_both(followers: Sequence[Follower], was: History, now: History) -> set[int]:
    """Check the views that the program of the guide had in both histories; return the numbers of epochs."""
    for follower in followers:
        before = follower.set_back
        validators.right(follower.sights[:before], follower.selectors, was)
        validators.right(follower.sights[before:], follower.selectors, now)
    return {len({sight.token.rpartition(":")[0] for sight in follower.sights}) for follower in followers}


@pytest.mark.parametrize("new_timeline", [False, True], ids=["the same timeline", "a new timeline"])
async def test_a_database_that_is_set_back_is_noticed_and_clients_begin_anew(
    server: OwnServer, new_timeline: bool
) -> None:
    await create_applications(server.url)
    async with running_service(server.url) as service:
        clients = clients_of_every_kind([service.address])
        followers = [*followers_of([service.address]), HttpClientFollower([service.http_address], "bank")]
        async with watching(clients), following(followers):
            async with writing(server.url, service) as traffic:
                await server.stop()
                copied = await server.copy()
                await server.start()
                await traffic.more(20)
                await traffic.end()
            await until_delivered(server.url, [*clients, *followers])
            await judge_writes(server.url, traffic)
            was = await read_history(server.url)
            await set_back(server, copied, new_timeline=new_timeline)
            lives = await until_begun_anew(clients)
            for follower in followers:
                await follower.until_set_back()
            async with writing(server.url, service, name="again-") as traffic:
                await traffic.end()
            await until_delivered(server.url, [*clients, *followers])
            await judge_writes(server.url, traffic)
        now = await read_history(server.url)
    epochs = {2 if new_timeline else 1}
    assert judge_clients(clients, lives, was, now) == epochs
    assert judge_followers_of_both(followers, was, now) == epochs
