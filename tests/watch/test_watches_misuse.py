"""The ways in which clients lost data, each of which a client that stores its last token alone cannot go."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import (
    EFFECT_REMOVE,
    EFFECT_SET,
    HistoryPosition,
    WatchConfigurationsRequest,
    WatchConfigurationsResponse,
)
from tests.robustness import validators
from tests.robustness.followers import Follower
from tests.robustness.stage import following
from tests.service import Service, reason_of, violations_of
from tests.storage.reading import Session, application, configuration, head
from tests.watch.changing import commit_one_by_one, create, create_application, fill, patch, rename
from tests.watch.history import read_history
from tests.watch.recording import Recorder, Step, recorded, replayed
from tests.watch.validators import validate

# Field 100, a varint of 1: of a newer server.
UNKNOWN = b"\xa0\x06\x01"
WATCH = "/configapi.v1.ConfigurationService/WatchConfigurations"


async def refused(service: Service, request: WatchConfigurationsRequest) -> dict[str, str]:
    """Return the violations of a request for a watch that is refused."""
    recorder = Recorder(service, request)
    error = await recorder.until_error()
    assert (error.code(), recorder.recording.messages) == (grpc.StatusCode.INVALID_ARGUMENT, [])
    return violations_of(error)


async def test_a_message_with_more_has_no_token_to_resume_with(
    service: Service, psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.watch.watches.SNAPSHOT_LIMIT", 7)
    await application(psql)
    await fill(psql, 20)
    async with recorded(service) as watch:
        await watch.until_synced()
        await fill(psql, 30, prefix="large", size=100_000)
        recording = await watch.until_revision(await head(psql))
    parts = [message for message in recording.messages if message.more]
    assert len(parts) > 4
    assert {message.resume_token for message in parts} == {""}
    validate(recording, await read_history(database_url))


async def test_a_position_without_its_epoch_is_refused(service: Service) -> None:
    for revision in (0, 1, 10**18):
        position = HistoryPosition(after_revision=revision)
        assert "is required" in (await refused(service, WatchConfigurationsRequest(history=position)))["history.epoch"]
    assert "resume_token" in await refused(service, WatchConfigurationsRequest(resume_token="1"))


async def test_a_client_without_a_token_begins_with_what_exists_and_never_at_revision_0(
    service: Service, psql: Session, database_url: str
) -> None:
    await application(psql)
    await fill(psql, 3)
    await psql.execute("DELETE FROM configurations WHERE name = 'c00001'")
    # The first request of a client: the fields that it would set are at their defaults.
    async with recorded(service, WatchConfigurationsRequest()) as watch:
        recording = await watch.until_synced()
    assert len(recording.events) == 2
    validate(recording, await read_history(database_url))
    empty = WatchConfigurationsRequest(resume_token="")
    assert "set no start to get a snapshot" in (await refused(service, empty))["resume_token"]


@pytest.mark.parametrize(
    "token",
    [
        *("1", ":1", "1-1:", "1-1:-1", "1-1:01", "1-1: 1", "1-1:1 ", "1-1:1\n", "1-1:1:", "1-1:٣", "1-1:1.0", "a b:1"),
        *("1-1:9223372036854775808", "1-1:99999999999999999999", f"{'1' * 101}:1", "é:1", ":", "null", "1-1:1:1"),
    ],
)
async def test_a_token_that_no_watch_has_sent_is_refused_with_what_to_do(service: Service, token: str) -> None:
    found = await refused(service, WatchConfigurationsRequest(resume_token=token))
    assert found == {
        "resume_token": "is not one that a watch has sent: send the last one that you received, or set no start "
        "to get a snapshot"
    }


async def test_a_token_beyond_what_the_database_has_reached_is_an_error(service: Service) -> None:
    async with recorded(service) as watch:
        token = (await watch.until_synced()).resume_token
    for beyond in ("1", str(2**63 - 1)):
        request = WatchConfigurationsRequest(resume_token=f"{token.rpartition(':')[0]}:{beyond}")
        async with recorded(service, request) as watch:
            assert reason_of(await watch.until_error()) == "REVISION_UNKNOWN"


@asynccontextmanager
async def relay(service: Service, *extra: bytes) -> AsyncGenerator[str]:
    """Yield the address of a newer server, which sends other messages before each, and other fields with each."""

    async def watch(request: bytes, _: grpc.aio.ServicerContext[bytes, bytes]) -> AsyncGenerator[bytes]:
        call: Any = service.channel.unary_stream(WATCH)(request)
        async for message in call:
            for other in extra:
                yield other
            yield message + UNKNOWN

    name, _, method = WATCH.removeprefix("/").rpartition("/")
    server = grpc.aio.server()
    handler: Any = grpc.method_handlers_generic_handler(name, {method: grpc.unary_stream_rpc_method_handler(watch)})
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def test_a_message_in_which_a_client_knows_nothing_moves_no_position(
    service: Service, psql: Session, database_url: str
) -> None:
    await application(psql)
    await fill(psql, 3)
    empty_but_for_a_revision = WatchConfigurationsResponse(revision=10**9, epoch="1-1").SerializeToString()
    async with relay(service, UNKNOWN, b"", empty_but_for_a_revision) as address:
        follower = Follower([address], WatchConfigurationsRequest())
        async with following([follower]):
            # Also between the messages of one commit.
            await fill(psql, 30, prefix="large", size=100_000)
            await commit_one_by_one(psql, 3)
            await follower.until_revision(await head(psql))
    assert len(follower.sights) == 1 + 1 + 3
    validators.right(follower.sights, (), await read_history(database_url))


def by_name(steps: Sequence[Step]) -> dict[tuple[str, str], Configuration]:
    """Return the view of a client that needs names, as the guide says."""
    view: dict[tuple[str, str], Configuration] = {}
    for step in steps:
        for event in step.events:
            known = event.configuration
            now = (known.application, known.name)
            old = (event.previous_key.application, event.previous_key.name)
            for gone in (old, now) if event.effect == EFFECT_REMOVE else (old,):
                if gone in view and view[gone].id == known.id:
                    del view[gone]
            if event.effect == EFFECT_SET:
                view[now] = known
    return view


async def test_a_rename_leaves_no_old_name_in_a_view_by_name(
    service: Service, psql: Session, database_url: str
) -> None:
    shop = await create_application(service)
    await create_application(service, "bank")
    async with recorded(service) as watch:
        await watch.until_synced()
        for name in ("a", "b", "c"):
            await create(service, name)
        await rename(service, "a", "moved")
        # The later version of b lies behind c, so that PostgreSQL updates c first. The log has them by id.
        await patch(service, "b", {"a": 1})
        await psql.execute("UPDATE configurations SET name = translate(name, 'bc', 'cd') WHERE name IN ('b', 'c')")
        await change_names_in_one_commit(psql)
        await psql.execute(
            "UPDATE configurations SET application_id = (SELECT id FROM applications WHERE name = 'bank'), "
            "application = 'bank' WHERE name = 'moved'"
        )
        await psql.execute("UPDATE applications SET name = 'store' WHERE id = $1", shop.id)
        await psql.execute("DELETE FROM configurations WHERE name = 'e'")
        recording = await watch.until_revision(await head(psql))
    for count in range(1, len(recording.steps) + 1):
        steps = recording.steps[:count]
        by_id = replayed({}, steps).values()
        assert by_name(steps) == {(known.application, known.name): known for known in by_id}
    assert sorted(by_name(recording.steps)) == [("bank", "moved"), ("store", "c"), ("store", "d")]
    validate(recording, await read_history(database_url))


async def change_names_in_one_commit(psql: Session) -> None:
    """Let two configurations change names, and a third one take the name of one that is deleted."""
    await configuration(psql, "e")
    async with psql.transaction():
        await psql.execute("UPDATE configurations SET name = 'aside' WHERE name = 'c'")
        await psql.execute("UPDATE configurations SET name = 'c' WHERE name = 'd'")
        await psql.execute("UPDATE configurations SET name = 'd' WHERE name = 'aside'")
        await psql.execute("DELETE FROM configurations WHERE name = 'e'")
        await configuration(psql, "e")
