"""The asyncio client against a real service, by the complaints about other libraries that each test answers."""

import asyncio
import copy
import errno
import json
import os
import pickle
import socket
import threading
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field, field_validator

from configapi.v1.server_service_pb2 import ListWatchesRequest
from configsvc.client import (
    Change,
    ConfigError,
    Fault,
    NotReadyError,
    RefusedError,
    StaleError,
    StoppedError,
    Tls,
)
from configsvc.client.disk import Disk
from configsvc.client.grpc_transport import GrpcTransport
from configsvc.client.settings import Settings
from configsvc.client.store import Store
from tests.client.clients import (
    LIMIT_SECONDS,
    addresses_of,
    client_of,
    doors_of,
    proxied,
    put,
    remove,
    run_program,
    shown,
    until,
)
from tests.identity.authorities import Authority, files_in, uri
from tests.identity.tokens import oidc_settings, token
from tests.service import Service, running_service
from tests.storage.reading import Session

# An address at which nobody listens.
NOWHERE = "127.0.0.1:9"
HTTP: dict[str, Any] = {"http_listen": "127.0.0.1:0"}
OVER_BOTH = pytest.mark.parametrize("nowhere", [NOWHERE, f"http://{NOWHERE}"])


async def test_a_read_comes_from_memory_without_an_await(address: str, service: Service, psql: Session) -> None:
    await put(psql, "limits", '{"requests": 5, "nested": {"list": [1, 2.5, "three", null]}}')
    async with client_of(address) as configs:
        service.stop.set()
        assert configs["limits"] == {"requests": 5, "nested": {"list": [1, 2.5, "three", None]}}
        assert "limits" in configs
        assert (configs.get("other"), configs.get("other", 1)) == (None, 1)
        with pytest.raises(TypeError, match="iterable"):
            iter(configs)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
        with pytest.raises(KeyError, match="other"):
            _ = configs["other"]


async def test_a_content_cannot_be_changed_by_accident_but_copied(service: Service, psql: Session) -> None:
    await put(psql, "limits", '{"a": {"b": [1, {"c": 2}]}}')
    async with client_of(service.address) as configs:
        limits: Any = configs["limits"]
        for change in (
            lambda: limits.update(a=1),
            lambda: limits["a"].pop("b"),
            lambda: limits["a"]["b"].append(3),
            limits["a"]["b"][1].clear,
        ):
            with pytest.raises(TypeError, match="read-only"):
                change()
        copied = copy.deepcopy(limits)
        copied["a"]["b"][1]["c"] = 3
        assert json.loads(json.dumps(limits)) == pickle.loads(pickle.dumps(limits)) == {"a": {"b": [1, {"c": 2}]}}


async def test_a_change_arrives_in_the_iteration_and_in_reads(address: str, psql: Session) -> None:
    await put(psql, "limits", '{"n": 1}')
    async with client_of(address) as configs:
        changes = configs.changes("limits")
        await put(psql, "other", "{}")
        await put(psql, "limits", '{"n": 2}')
        change = await anext(changes)
        assert shown(change) == ("limits", {"n": 1}, {"n": 2})
        assert change.actor.startswith("database:")
        assert configs["limits"] == {"n": 2}
        await remove(psql, "limits")
        assert shown(await anext(changes)) == ("limits", {"n": 2}, None)
    assert [change async for change in changes] == []


async def test_a_commit_over_several_configurations_is_seen_as_one(address: str, psql: Session) -> None:
    await put(psql, "a", '{"n": 0}')
    await put(psql, "b", '{"n": 0}')
    seen: list[tuple[Any, Any]] = []
    async with client_of(address) as configs:
        changes = configs.changes()
        for number in range(1, 30):
            await psql.execute("UPDATE configurations SET config = jsonb_build_object('n', $1::int)", number)
            while configs.snapshot()["a"]["n"] < number:
                await anext(changes)
                snapshot = configs.snapshot()
                seen.append((snapshot["a"], snapshot["b"]))
        assert configs.snapshot().revision == configs.status.revision
    assert all(a == b for a, b in seen)


async def test_a_slow_reader_gets_several_changes_as_one(service: Service, psql: Session) -> None:
    await put(psql, "limits", '{"n": 0}')
    async with client_of(service.address) as configs:
        changes = configs.changes()
        for number in range(1, 6):
            await put(psql, "limits", f'{{"n": {number}}}')
        await until(lambda: configs["limits"]["n"] == 5)
        assert shown(await anext(changes)) == ("limits", {"n": 0}, {"n": 5})


async def test_what_came_and_went_is_no_change_for_a_slow_reader(service: Service, psql: Session) -> None:
    async with client_of(service.address) as configs:
        changes = configs.changes()
        await put(psql, "passing", "{}")
        await until(lambda: "passing" in configs)
        await remove(psql, "passing")
        await put(psql, "staying", "{}")
        await until(lambda: "staying" in configs)
        assert shown(await anext(changes)) == ("staying", None, {})


async def test_a_failure_that_nobody_has_foreseen_is_logged_and_outlived(
    service: Service, psql: Session, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await put(psql, "limits", "{}")
    stream, failures = GrpcTransport.stream, [RuntimeError("can't start new thread")]

    def fail_once(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return stream(*arguments)

    monkeypatch.setattr(GrpcTransport, "stream", fail_once)
    async with client_of(service.address) as configs:
        assert configs["limits"] == {}
    assert "Traceback" in caplog.text
    assert "can't start new thread" in caplog.text


async def test_a_failure_that_returns_is_logged_once_and_then_counted(
    service: Service, psql: Session, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Each time after a message, so that the pauses do not grow; and of the disk, too."""
    await put(psql, "limits", "{}")
    monkeypatch.setattr("configsvc.client.engine.MOST_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr("configsvc.client.copies.LEAST_SECONDS", 0.0)
    caplog.set_level("INFO", "configsvc.client")
    calls: list[str] = []

    def fail(store: Store, **_: Any) -> None:
        calls.append(store.source)
        raise RuntimeError("a mistake")

    def fail_to_save(*_: Any) -> None:
        calls.append("disk")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"file-{len(calls)}")

    monkeypatch.setattr(Disk, "_replace", fail_to_save)
    async with client_of(service.address, disk_folder=tmp_path) as configs:
        monkeypatch.setattr(Store, "confirm", fail)
        for number in range(10):
            await put(psql, "limits", f'{{"n": {number}}}')
            await until(lambda number=number: configs["limits"] == {"n": number} and calls.count("disk") > number)
        await until(lambda: calls.count("service") >= 10)
    assert caplog.text.count("Traceback") == 1
    assert caplog.text.count("will be opened again: the watch failed: RuntimeError('a mistake')") == 1
    assert caplog.text.count("No space left") == 1


async def test_only_the_chosen_names_are_followed(address: str, psql: Session) -> None:
    for name in ("a", "b/x", "b/y"):
        await put(psql, name, "{}")
    async with client_of(address, names=["a"]) as one, client_of(address, prefix="b/") as two:
        assert sorted(one.snapshot()) == ["a"]
        assert sorted(two.snapshot()) == ["b/x", "b/y"]


async def test_reads_before_the_start_raise(service: Service) -> None:
    configs = client_of(service.address)
    for read in (lambda: configs["limits"], lambda: configs.get("limits"), configs.snapshot, lambda: "a" in configs):
        with pytest.raises(NotReadyError):
            read()
    assert not configs.status.is_ready
    assert configs.staleness == float("inf")


async def test_the_start_is_bounded_and_says_what_is_wrong() -> None:
    async def fails(address: str) -> None:
        started = time.monotonic()
        with pytest.raises(NotReadyError, match="UNAVAILABLE"):
            await client_of(address, start_timeout=1.0).start()
        assert time.monotonic() - started < 20

    addresses = NOWHERE, "no-such-host.invalid:50051", f"http://{NOWHERE}", "https://no-such-host.invalid"
    await asyncio.gather(*map(fails, addresses))


async def test_the_start_is_bounded_where_the_network_swallows_everything(address: str) -> None:
    async with proxied(address) as (network, behind):
        network.freeze()
        with pytest.raises(NotReadyError, match="no answer"):
            await client_of(behind, start_timeout=0.5).start()
        network.restore()


async def test_a_client_is_started_once(service: Service) -> None:
    async with client_of(service.address) as configs:
        with pytest.raises(ConfigError, match="once"):
            await configs.start()


OUTLIVES_NOTHING = """
import asyncio, gc, pathlib, sys, threading
from configsvc.client import ConfigClient

async def main():
    # The library has threads of its own, for all channels of the process.
    async with ConfigClient(sys.argv[1], application="shop"):
        pass
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    async with ConfigClient(sys.argv[1], application="shop", disk_folder=pathlib.Path(sys.argv[2])) as configs:
        configs.on_change(lambda _: None)
        changes = asyncio.create_task(anext(configs.changes(), None))
        await asyncio.sleep(0)
    assert await changes is None
    assert asyncio.all_tasks() - tasks == set()
    gc.collect()
    left = set(threading.enumerate()) - threads
    assert not left, left
    assert configs["limits"] == {}
    await configs.close()

asyncio.run(main())
"""


async def test_no_task_and_no_thread_outlives_the_close(address: str, psql: Session, tmp_path: Path) -> None:
    await put(psql, "limits", "{}")
    await run_program(OUTLIVES_NOTHING, address, str(tmp_path / "copies"))


async def test_restarts_of_the_service_are_outlived_and_nothing_is_missed(
    database_url: str, psql: Session, tmp_path: Path
) -> None:
    await put(psql, "limits", '{"n": 1}')
    with doors_of(database_url, tmp_path) as doors:
        async with doors.clients() as both:
            await until(lambda: not any(configs.status.is_connected for configs in both))
            await put(psql, "limits", '{"n": 2}')
            for configs in both:
                assert configs["limits"] == {"n": 1}
                assert "SHUTTING_DOWN" in configs.status.last_error or "UNAVAILABLE" in configs.status.last_error
            async with doors.served():
                await until(lambda: all(configs["limits"] == {"n": 2} for configs in both))
                await until(lambda: all(configs.status.is_connected for configs in both))
                assert [configs.status.last_error for configs in both] == ["", ""]


async def test_the_view_is_never_blank_while_it_begins_anew_after_compaction(
    database_url: str, psql: Session, tmp_path: Path
) -> None:
    await put(psql, "limits", '{"n": 1}')
    await put(psql, "gone", "{}")
    with doors_of(database_url, tmp_path) as doors:
        async with doors.clients() as both:
            await remove(psql, "gone")
            await psql.execute("UPDATE compaction SET revision = (SELECT revision FROM revision_counter)")
            assert [sorted(configs.snapshot()) for configs in both] == [["gone", "limits"]] * 2
            changes = [configs.changes() for configs in both]
            async with doors.served():
                for one in changes:
                    assert shown(await anext(one)) == ("gone", {}, None)
            assert [sorted(configs.snapshot()) for configs in both] == [["limits"]] * 2


@pytest.mark.parametrize("accepts", [False, True])
async def test_an_empty_snapshot_where_there_was_data_is_for_the_policy_to_accept(
    accepts: bool, database_url: str, psql: Session, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await put(psql, "limits", '{"n": 1}')
    with doors_of(database_url, tmp_path) as doors:
        async with doors.clients(accept_empty=accepts) as both:
            await remove(psql, "limits")
            await psql.execute("UPDATE compaction SET revision = (SELECT revision FROM revision_counter)")
            async with doors.served():
                for configs in both:
                    await until(lambda: configs.status.has_refused_empty != ("limits" not in configs))  # noqa: B023
                    assert configs.status.has_refused_empty != accepts
                    assert ("limits" in configs) != accepts
                assert caplog.text.count("refused an empty snapshot") == (0 if accepts else 2)
                await put(psql, "flags", "{}")
                await until(lambda: all(sorted(configs.snapshot()) == ["flags"] for configs in both))
                assert not any(configs.status.has_refused_empty for configs in both)


async def test_a_connection_that_is_silently_lost_is_noticed_after_three_bookmarks(
    address: str, psql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.client.engine.LOST_SECONDS", 0.6)
    async with (
        proxied(address) as (network, behind),
        client_of(behind, stale_after=0.3, on_stale="keep") as configs,
    ):
        network.swallow()
        await put(psql, "limits", "{}")
        await until(lambda: "limits" in configs)


async def test_staleness_is_known_from_bookmarks(address: str, psql: Session) -> None:
    await put(psql, "limits", "{}")
    async with (
        proxied(address) as (network, behind),
        client_of(behind, stale_after=1.0, on_stale="raise") as configs,
    ):
        network.freeze()
        await until(lambda: configs.staleness > 1.0)
        with pytest.raises(StaleError, match="old"):
            _ = configs["limits"]
        network.restore()
        await until(lambda: configs.staleness < 0.5)
        assert configs["limits"] == {}


async def test_the_policy_for_staleness_keeps_or_warns_once(
    service: Service, psql: Session, caplog: pytest.LogCaptureFixture
) -> None:
    await put(psql, "limits", "{}")
    async with (
        client_of(service.address, stale_after=0.0, on_stale="keep") as keeps,
        client_of(service.address, stale_after=0.0, on_stale="warn") as warns,
    ):
        assert keeps["limits"] == {}
        assert "old" not in caplog.text
        assert [warns["limits"] for _ in range(3)] == [{}, {}, {}]
        assert caplog.text.count("s old") == 1


class Renewed:
    """A function that returns a token, which expires soon."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    async def __call__(self) -> str:
        self.asked.append(time.time())
        await asyncio.sleep(0)
        return token("root", exp=time.time() + 1.5)


async def test_a_token_that_expires_is_a_normal_reconnect(database_url: str, psql: Session, tmp_path: Path) -> None:
    await put(psql, "limits", '{"n": 1}')
    async with AsyncExitStack() as stack:
        settings = oidc_settings(tmp_path, oidc_leeway_seconds=0) | HTTP
        service = await stack.enter_async_context(running_service(database_url, **settings))
        tokens = [Renewed(), Renewed()]
        pairs = zip(addresses_of(service), tokens, strict=True)
        both = [await stack.enter_async_context(client_of(address, token=renewed)) for address, renewed in pairs]
        await until(lambda: all(len(renewed.asked) >= 2 for renewed in tokens))
        await until(lambda: all(configs.status.is_connected for configs in both))
        await put(psql, "limits", '{"n": 2}')
        await until(lambda: all(configs["limits"] == {"n": 2} for configs in both))


async def test_a_token_function_that_fails_or_hangs_stops_nothing(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, psql: Session
) -> None:
    monkeypatch.setattr("configsvc.client.feed.TOKEN_SECONDS", 0.1)
    await put(psql, "limits", "{}")
    tries: list[None] = []

    async def unreliable() -> str:
        tries.append(None)
        if len(tries) == 1:
            raise LookupError("the provider is away")
        if len(tries) == 2:
            await asyncio.Event().wait()
        return token("root")

    async with (
        running_service(database_url, **oidc_settings(tmp_path)) as service,
        client_of(service.address, token=unreliable) as configs,
    ):
        assert configs["limits"] == {}
        assert len(tries) == 3


@pytest.mark.parametrize(("given", "reason"), [("nobody", "PERMISSION_DENIED"), ("", "UNAUTHENTICATED")])
async def test_a_refusal_for_good_fails_the_start_at_once_with_its_reason(
    given: str, reason: str, database_url: str, tmp_path: Path
) -> None:
    async with running_service(database_url, **oidc_settings(tmp_path), **HTTP) as service:
        for address in addresses_of(service):
            with pytest.raises(StoppedError, match=reason) as caught:
                await client_of(address, token=token(given) if given else None, start_timeout=60).start()
            assert caught.value.reason == reason


async def test_who_loses_its_role_keeps_its_view_and_is_told(database_url: str, psql: Session, tmp_path: Path) -> None:
    await put(psql, "limits", "{}")
    await psql.execute(
        """INSERT INTO role_bindings (principal, role, application_id)
        SELECT 'user:ann', 'VIEWER', id FROM applications"""
    )
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(running_service(database_url, **oidc_settings(tmp_path), **HTTP))
        both = [
            await stack.enter_async_context(client_of(address, token=token("ann"))) for address in addresses_of(service)
        ]
        changes = [configs.changes() for configs in both]
        await psql.execute("DELETE FROM role_bindings WHERE principal = 'user:ann'")
        for configs, one in zip(both, changes, strict=True):
            with pytest.raises(StoppedError, match="PERMISSION_DENIED"):
                await anext(one)
            assert configs["limits"] == {}
            assert "PERMISSION_DENIED" in configs.status.stopped


async def test_no_token_leaves_the_machine_in_clear_text_by_accident() -> None:
    with pytest.raises(ValueError, match="clear text"):
        client_of("config:50051", token="secret")
    for options in ({"tls": True}, {"tls": Tls()}, {"tls": False}):
        client_of("config:50051", token="secret", **options)
    with pytest.raises(ValueError, match="clear text"):
        client_of("http://config", token="secret")
    with pytest.raises(ValueError, match="clear text"):
        client_of("localhost:50051", token="secret", http_address="http://config")
    client_of("https://config", token="secret")
    client_of("http://config", token="secret", tls=False)
    client_of("http://localhost:50080", token="secret")
    assert "secret" not in repr(Settings(address="localhost:1", application="shop", token="secret"))


@pytest.mark.parametrize(
    ("address", "is_local"),
    [
        ("localhost:50051", True),
        ("127.0.0.1:50051", True),
        ("[::1]:50051", True),
        ("unix:/run/configsvc", True),
        ("ipv4:127.0.0.1:1,127.0.0.2:2", True),
        ("ipv4:127.0.0.1:1,10.0.0.1:2", False),
        ("localhost.example.com:50051", False),
        ("127.example.com:50051", False),
        ("10.0.0.1:50051", False),
        ("config:50051", False),
        ("http://localhost:50080/prefix", True),
        ("HTTPS://[::1]", True),
        ("http://localhost.example.com", False),
        ("https://10.0.0.1:50080", False),
    ],
)
def test_only_addresses_of_this_machine_are_taken_for_such(address: str, is_local: bool) -> None:
    assert Settings(address=address, application="shop").is_local == is_local


@pytest.mark.parametrize(
    "wrong",
    [
        {"application": ""},
        {"address": ""},
        {"names": "limits"},
        {"names": ["a"], "prefix": "b"},
        {"on_stale": "die"},
        {"address": "http://config", "http_address": "http://config"},
        {"address": "https://config", "tls": False},
        {"address": "http://config", "tls": True},
        {"http_address": "http://config", "tls": Tls()},
        {"http_address": "config:50080"},
    ],
)
def test_wrong_options_are_refused_at_once(wrong: dict[str, Any]) -> None:
    options: dict[str, Any] = {"address": "config:1", "application": "shop"}
    with pytest.raises(ValueError, match=r"must|set|https://"):
        Settings(**options | wrong)


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http://user:secret@config",
        "http://config?a=secret",
        "http://config#secret",
        "https://config:secret",
        "http://config/ secret",
        "http://config/\nsecret",
        f"http://{'secret' * 20}.example.com",
        "https://[secret",
    ],
)
def test_what_is_no_address_of_the_http_door_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="HTTP address") as caught:
        Settings(address=url, application="shop")
    assert "secret" not in str(caught.value)


async def test_a_token_from_a_file_may_end_with_a_line_break(database_url: str, tmp_path: Path, psql: Session) -> None:
    await put(psql, "limits", "{}")
    async with (
        running_service(database_url, **oidc_settings(tmp_path)) as service,
        client_of(service.address, token=lambda: f"{token('root')}\n") as configs,
    ):
        assert configs["limits"] == {}


async def test_a_client_speaks_tls_with_a_certificate_of_its_own(
    database_url: str, psql: Session, tmp_path: Path
) -> None:
    await put(psql, "limits", "{}")
    authority = Authority()
    files, pair = files_in(tmp_path, authority), authority.pair(uri())
    certificate, key, trusted = tmp_path / "own.pem", tmp_path / "own.key", tmp_path / "trusted.pem"
    certificate.write_bytes(pair.certificate)
    key.write_bytes(pair.key)
    trusted.write_bytes(authority.pem)
    own = Tls(authority=trusted, certificate=certificate, key=key)
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(
            running_service(database_url, credentials=authority.trusting(pair), **files.settings(), **HTTP)
        )
        http_address = f"https://{service.http_address}"
        for address in (one.replace("127.0.0.1", "localhost") for one in (service.address, http_address)):
            async with client_of(address, tls=own) as configs:
                assert configs["limits"] == {}
            with pytest.raises(NotReadyError):
                await client_of(address, tls=True, start_timeout=1.0).start()


class Limits(BaseModel):
    requests: int = Field(ge=0)
    regions: list[str] = []

    @field_validator("requests")
    @classmethod
    def even(cls, value: int) -> int:
        if value == 13:
            raise RuntimeError("a mistake in the program")
        return value


@dataclass(frozen=True)
class Flags:
    beta: bool
    share: float = 0.5


async def test_a_bound_model_is_always_the_newest_valid_one(
    service: Service, psql: Session, caplog: pytest.LogCaptureFixture
) -> None:
    await put(psql, "limits", '{"requests": 5}')
    await put(psql, "flags", '{"beta": true, "unknown": 1}')
    async with client_of(service.address) as configs:
        limits, flags = configs.bind("limits", Limits), configs.bind("flags", Flags)
        assert (limits.value, flags.value) == (Limits(requests=5), Flags(beta=True, share=0.5))
        await put(psql, "limits", '{"requests": 6, "regions": ["eu", 7, "secret-value"]}')
        await until(lambda: configs.status.refused_count == 1)
        assert limits.value == Limits(requests=5)
        (refusal,) = configs.status.refusals["limits"]
        assert (refusal.version, [fault.pointer for fault in refusal.faults]) == (2, ["/regions/1"])
        assert "/regions/1" in caplog.text
        assert "secret-value" not in caplog.text
        await put(psql, "flags", '{"beta": false}')
        await until(lambda: not flags.value.beta)
        assert configs.status.refused_count == 1
        await put(psql, "limits", '{"requests": 7}')
        await until(lambda: limits.value == Limits(requests=7))
        assert configs.status.refusals == {}


async def test_a_bound_configuration_that_is_deleted_leaves_its_last_value(service: Service, psql: Session) -> None:
    await put(psql, "limits", '{"requests": 5}')
    async with client_of(service.address) as configs:
        limits = configs.bind("limits", Limits)
        await remove(psql, "limits")
        await until(lambda: "limits" not in configs)
        assert limits.value == Limits(requests=5)
        assert configs.status.refusals["limits"][0].version == 0


async def test_binding_twice_gives_the_same(service: Service, psql: Session) -> None:
    await put(psql, "limits", '{"requests": 5, "beta": true}')
    async with client_of(service.address) as configs:
        assert configs.bind("limits", Limits) is configs.bind("limits", Limits)
        assert configs.bind("limits", Flags).value == Flags(beta=True)
        for _ in range(2):
            with pytest.raises(RefusedError):
                configs.bind("missing", Limits)
        assert len(configs._store._bound) == 2


async def test_one_of_two_models_of_a_configuration_can_refuse_it(service: Service, psql: Session) -> None:
    await put(psql, "limits", '{"requests": 5, "beta": true}')
    async with client_of(service.address) as configs:
        limits, flags = configs.bind("limits", Limits), configs.bind("limits", Flags)
        await put(psql, "limits", '{"requests": 6, "beta": 1}')
        await until(lambda: limits.value.requests == 6)
        assert flags.value == Flags(beta=True)
        await put(psql, "limits", '{"requests": -1, "beta": 1}')
        await until(lambda: configs.status.refused_count == 3)
        refusals = configs.status.refusals["limits"]
        assert {one.model: [fault.pointer for fault in one.faults] for one in refusals} == {
            "Limits": ["/requests"],
            "Flags": ["/beta"],
        }


async def test_a_mistake_in_a_validator_does_not_stop_the_feed(service: Service, psql: Session) -> None:
    await put(psql, "limits", '{"requests": 5}')
    async with client_of(service.address) as configs:
        limits = configs.bind("limits", Limits)
        await put(psql, "limits", '{"requests": 13}')
        await until(lambda: configs.status.refused_count == 1)
        await put(psql, "limits", '{"requests": 6}')
        await until(lambda: limits.value.requests == 6)


async def test_a_model_that_refuses_what_is_there_is_an_error_at_once(service: Service, psql: Session) -> None:
    await put(psql, "limits", '{"requests": -1}')
    async with client_of(service.address) as configs:
        with pytest.raises(RefusedError, match="/requests"):
            configs.bind("limits", Limits)
        with pytest.raises(RefusedError, match="no configuration"):
            configs.bind("missing", Limits)


async def test_a_model_that_is_bound_before_the_start_has_its_value_after_it(service: Service, psql: Session) -> None:
    await put(psql, "limits", '{"requests": 1}')
    configs = client_of(service.address)
    limits, missing = configs.bind("limits", Limits), configs.bind("missing", Limits)
    with pytest.raises(NotReadyError):
        _ = limits.value
    async with configs:
        assert limits.value.requests == 1
        with pytest.raises(RefusedError, match="no configuration"):
            _ = missing.value


async def test_a_callback_that_fails_or_never_returns_holds_up_nobody(
    service: Service, psql: Session, caplog: pytest.LogCaptureFixture
) -> None:
    release, seen = threading.Event(), list[Change]()
    configs = client_of(service.address, close_timeout=0.3)
    configs.on_change(lambda _: release.wait())
    configs.on_change(lambda _: 1 / 0)
    configs.on_change(seen.append, "limits")
    async with configs:
        await put(psql, "limits", '{"n": 1}')
        await until(lambda: len(seen) == 1)
        await put(psql, "limits", '{"n": 2}')
        await until(lambda: len(seen) == 2)
        assert configs["limits"] == {"n": 2}
    assert "a callback failed" in caplog.text
    assert "still running" in caplog.text
    release.set()
    await until(lambda: not configs._callbacks._alive())


async def test_a_callback_can_read_and_sees_the_change(service: Service, psql: Session) -> None:
    seen: list[Any] = []
    configs = client_of(service.address)
    configs.on_change(lambda change: seen.append(configs[change.name]))
    async with configs:
        await put(psql, "limits", '{"n": 1}')
        await until(lambda: seen == [{"n": 1}])


async def test_a_watch_says_who_it_is(
    address: str, service: Service, psql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    from configsvc.client import Instance  # noqa: PLC0415

    monkeypatch.setenv("CONFIGSVC_INSTANCE", "payments-7f9c")
    instance = Instance(labels={"zone": "eu"}, program="payments", version="1.2")
    async with client_of(address, instance=instance) as configs:
        (watch,) = (await service.server.ListWatches(ListWatchesRequest())).watches
        shown = watch.instance
        assert (shown.id, dict(shown.labels)) == ("payments-7f9c", {"zone": "eu"})
        assert (shown.program, shown.version) == ("payments", "1.2")
        assert configs.status.instance.id == "payments-7f9c"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"CONFIGSVC_INSTANCE": "own", "POD_NAME": "pod", "HOSTNAME": "host"}, "own"),
        ({"CONFIGSVC_INSTANCE": "", "POD_NAME": "pod", "HOSTNAME": "host"}, "pod"),
        ({"HOSTNAME": "host"}, "host"),
        ({"HOSTNAME": ""}, socket.gethostname()),
        ({"POD_NAME": "x" * 300}, "x" * 256),
    ],
)
def test_an_instance_is_named_by_the_first_variable_that_is_set_or_by_its_host(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CONFIGSVC_INSTANCE", "POD_NAME", "HOSTNAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Settings(address="config:1", application="shop").instance.id == expected


async def test_what_the_program_reports_of_revisions_is_shown_by_status(service: Service, psql: Session) -> None:
    await put(psql, "limits", "{}")
    async with client_of(service.address) as configs:
        status = configs.status
        assert (status.applied_revision, status.refused_revision, status.refused_faults) == (0, 0, ())
        revision, fault = configs.snapshot().revision, Fault("/requests", "is below the minimum of 1")
        configs.report_refused(revision, fault)
        configs.report_applied(revision - 1)
        status = configs.status
        assert (status.applied_revision, status.refused_revision) == (revision - 1, revision)
        assert status.refused_faults == (fault,)
    assert configs.status.refused_revision == revision


MAKES_CLIENTS = """
import sys, threading
# The first import of a checkout would write it.
sys.dont_write_bytecode = True
from dataclasses import dataclass
from pathlib import Path
from configsvc.client import ConfigClient, Tls
from configsvc.client.blocking import ConfigClient as BlockingClient

@dataclass
class Limits:
    n: int

done = []
def note(event, arguments):
    is_import = event == "open" and str(arguments[0]).endswith((".py", ".pyc"))
    # The name of the host is no look-up.
    if event.startswith(("open", "os.", "socket.", "subprocess.")) and event != "socket.gethostname" and not is_import:
        done.append((event, arguments))
sys.addaudithook(note)

tls = Tls(authority=Path("ca.pem"), certificate=Path("own.pem"), key=Path("own.key"))
files = dict(disk_folder=Path("copies"), tls=tls)
for kind in (ConfigClient, BlockingClient):
    for address in ("config:50051", "https://config"):
        kind(address, application="payments", token=lambda: open("token").read(), **files).bind("limits", Limits)
    kind("config:50051", application="payments", http_address="https://config/")
heavy = [name for name in ("grpc", "google.protobuf", "pydantic", "configapi", "http.client") if name in sys.modules]
assert not heavy, heavy
assert threading.active_count() == 1
assert not done, done
open("/dev/null").close()
assert done, "the hook sees nothing"
"""


async def test_importing_and_making_a_client_imports_no_grpc_and_does_no_io() -> None:
    await run_program(MAKES_CLIENTS)


async def test_a_client_that_is_ready_is_closed_while_the_network_is_frozen(
    address: str, psql: Session, caplog: pytest.LogCaptureFixture
) -> None:
    await put(psql, "limits", "{}")
    async with proxied(address) as (network, behind):
        configs = client_of(behind)
        await configs.start()
        network.freeze()
        async with asyncio.timeout(LIMIT_SECONDS):
            await configs.close()
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("configsvc")]
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("configsvc")]
        assert configs["limits"] == {}
        network.restore()
    assert "still running" not in caplog.text


UNDER_UVLOOP = """
import sys, uvloop
from configsvc.client import ConfigClient

async def main():
    async with ConfigClient(sys.argv[1], application="shop") as configs:
        print(configs["limits"])

uvloop.run(main())
"""


async def test_a_client_works_under_uvloop(address: str, psql: Session) -> None:
    await put(psql, "limits", '{"n": 1}')
    assert await run_program(UNDER_UVLOOP, address) == "{'n': 1}\n"


@OVER_BOTH
async def test_attempts_leave_nothing_behind(
    nowhere: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("configsvc.client.engine.MOST_PAUSE_SECONDS", 0.0)
    # Each attempt is logged.
    monkeypatch.setattr("configsvc.client.repetition.SUMMARY_SECONDS", 0.0)
    caplog.set_level("INFO", "configsvc.client")
    threads = threading.active_count()
    starting = asyncio.create_task(client_of(nowhere, start_timeout=60.0).start())
    await until(lambda: caplog.text.count("will be opened again") > 200)
    starting.cancel()
    await asyncio.wait((starting,))
    await until(lambda: threading.active_count() <= threads)


@OVER_BOTH
@pytest.mark.parametrize("seconds", [0.0, 0.3])
async def test_a_close_ends_a_start_that_waits(nowhere: str, seconds: float, tmp_path: Path) -> None:
    configs = client_of(nowhere, start_timeout=60.0, disk_folder=tmp_path)
    starting = asyncio.create_task(configs.start())
    await asyncio.sleep(seconds)
    await configs.close()
    with pytest.raises(ConfigError, match="closed while starting"):
        async with asyncio.timeout(10):
            await starting
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("configsvc")]
