"""The agent against a real service and real repositories."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from configapi.v1.configuration_pb2 import Configuration, ConfigurationKey
from configapi.v1.configuration_service_pb2 import ListConfigurationVersionsRequest, UpdateConfigurationRequest
from configsvc.cli.session import Session
from configsvc.cli.sync import applying
from configsvc.cli.sync.agent import Agent
from configsvc.cli.sync.commit import Commit
from configsvc.cli.sync.lease import Lease
from configsvc.cli.sync.plans import OnDrift, PlanOptions
from configsvc.cli.sync.state import SourceId
from tests.cli.running import Cli
from tests.cli.sync.agents import Source, page, until
from tests.cli.sync.repositories import SETTINGS, needs_git, new_repository
from tests.cli.sync.syncing import Sync, quiet_service
from tests.identity.tokens import oidc_settings, token
from tests.postgres import cloned_database, plain_connection
from tests.process.running import LIMIT_SECONDS
from tests.proxy import proxied_address
from tests.service import POLL_SECONDS, Service, running_service

pytestmark = [needs_git, pytest.mark.asyncio(loop_scope="module")]

PROJECT = Path(__file__).parents[3]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(postgres_server: str, template_database: str) -> AsyncGenerator[tuple[Service, str]]:
    """Yield a service for the tests of this module, and its database."""
    async with cloned_database(postgres_server, template_database) as url, running_service(url) as service:
        yield service, url


@pytest.fixture
def app(request: pytest.FixtureRequest) -> str:
    """Return the name of an application for this test alone."""
    return request.node.name.removeprefix("test_")[:40].replace("_", "-").strip("-")


@pytest.fixture
def source(world: tuple[Service, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    with quiet_service():
        yield Source(service=world[0], repository=new_repository(tmp_path / "origin"), folder=tmp_path)


def file(app: str, name: str, **content: object) -> dict[str, str]:
    return {f"applications/{app}/{name}.json": json.dumps(content)}


# Commits


async def test_each_new_commit_is_applied_and_named_in_the_history(source: Source, app: str) -> None:
    first = source.repository.commit(file(app, "web", a=1), subject="first")
    async with source.running(source.agent()) as running:
        await running.has_applied(first)
        assert await source.content(app, "web") == {"a": 1}
        second = source.repository.commit(file(app, "web", a=2), subject="more")
        await running.has_applied(second)
        assert await source.content(app, "web") == {"a": 2}
        # Then there is nothing to do.
        await running.rounds(2, "unchanged")
        assert running.sample('configsvc_sync_rounds_total{outcome="applied"}') == 2
        labels = f'repository="file://{source.repository.folder}",path="",branch="main",commit="{second}"'
        assert running.sample(f"configsvc_sync_commit_info{{{labels}}}") == 1
        assert running.sample("configsvc_sync_lease_held") == 1
        # Another history, by force.
        source.repository.git("reset", "--quiet", "--hard", first)
        source.repository.commit(file(app, "web", a=3))
        await running.has_applied(source.repository.git("rev-parse", "HEAD"))
    request = ListConfigurationVersionsRequest(key=ConfigurationKey(application=app, name="web"))
    versions = (await source.service.configurations.ListConfigurationVersions(request)).versions
    assert len(versions) == 3
    assert "first" in versions[-1].origin.reason
    assert first in versions[-1].origin.change_request
    applied = source.events("commit applied")
    assert [line["subject"] for line in applied] == ["first", "more", "change"]
    assert applied[0]["author"] == "Ann <ann@example.com>"


async def test_a_broken_commit_changes_nothing_and_is_reported_once(source: Source, app: str) -> None:
    good = source.repository.commit(file(app, "web", a=1))
    async with source.running(source.agent()) as running:
        await running.has_applied(good)
        broken = (
            {f"applications/{app}/more.yaml": "a: 017\n"},
            {
                "schemas/broken.json": '{"type": "object", "required": ["b"]}',
                f"applications/{app}/more.yaml": "$schema: ../../schemas/broken.json\n",
            },
        )
        reported: list[str] = []
        for files in broken:
            commit = source.repository.commit({**files, **file(app, "web", a=2)})
            await until(lambda: len(source.events("commit refused")) == len(reported) + 1)
            await running.rounds(3, "refused")
            reported.append(commit)
            assert [one["commit"] for one in source.events("commit refused")] == reported
            line = source.events("commit refused")[-1]
            assert line["level"] == "error"
            assert any(f"applications/{app}/more.yaml" in text for text in [line["error"], *line["details"]])
            assert await source.content(app, "web") == {"a": 1}
            assert running.health["commit"] == good
        # Nothing is left of the tree.
        source.repository.git("rm", "-r", "--quiet", "applications", "schemas")
        source.repository.commit({"README.md": ""})
        await until(lambda: len(source.events("commit refused")) == 3)
        assert running.health["status"] == "degraded"
        assert running.status.health()[0] == 200
        mended = source.repository.commit(file(app, "web", a=3))
        await running.has_applied(mended)
        assert await source.content(app, "web") == {"a": 3}


async def test_the_agent_never_prunes_beyond_the_limit(source: Source, app: str) -> None:
    files = {path: text for number in range(13) for path, text in file(app, f"c{number}", n=number).items()}
    first = source.repository.commit(files)
    async with source.running(source.agent(options=PlanOptions(prune=True))) as running:
        await running.has_applied(first)
        for number in range(11):
            source.repository.git("rm", "--quiet", f"applications/{app}/c{number}.json")
        source.repository.commit()
        await running.rounds(2, "refused")
        (line,) = source.events("commit refused")
        assert "11 of the 13 configurations" in line["error"]
        assert await source.content(app, "c0") == {"n": 0}
        fewer = source.repository.commit(file(app, "c0", n=0))
        await running.has_applied(fewer)
    assert source.events("commit applied")[-1]["deleted"] == 10


async def change_by_hand(source: Source, app: str, content: str) -> None:
    key = ConfigurationKey(application=app, name="web")
    request = UpdateConfigurationRequest(key=key, configuration=Configuration(config_json=content))
    await source.service.configurations.UpdateConfiguration(request)


async def test_a_change_by_hand_is_refused_reported_or_reverted_as_the_option_says(source: Source, app: str) -> None:
    commit = source.repository.commit(file(app, "web", a=1))
    async with source.running(source.agent()) as running:
        await running.has_applied(commit)
        await change_by_hand(source, app, '{"a": 9}')
        await running.rounds(2, "refused")
        (line,) = source.events("commit refused")
        assert f"{app}/web was changed" in line["error"]
        # It takes no new commit to end that.
        await change_by_hand(source, app, '{"a": 1}')
        await running.has_applied(commit)
        await change_by_hand(source, app, '{"a": 8}')
        await running.rounds(1, "refused")
    async with source.running(source.agent(options=PlanOptions(on_drift=OnDrift.REPORT))) as running:
        await running.has_applied(commit)
        await running.rounds(2, "unchanged")
        assert running.sample("configsvc_sync_drifted_configurations") == 1
        assert await source.content(app, "web") == {"a": 8}
    assert len(source.events("drift left")) == 1
    async with source.running(source.agent(options=PlanOptions(on_drift=OnDrift.REVERT))) as running:
        await running.has_applied(commit)
        assert await source.content(app, "web") == {"a": 1}
    assert len(source.events("drift reverted")) == 1


async def test_a_folder_that_the_commit_does_not_have_is_reported_once(source: Source, app: str) -> None:
    source.repository.commit(file(app, "web", a=1))
    async with source.running(source.agent(path="conf")) as running:
        await running.rounds(2, "refused")
        moved = source.repository.commit({f"conf/{path}": text for path, text in file(app, "web", a=1).items()})
        await running.has_applied(moved)
    assert [line["error"] for line in source.events("commit refused")] == ["the commit has no folder conf"]


# Interruptions


def interrupted(then: Callable[[], object], at_call: int) -> Any:
    """Return an apply function that does something before a check, once."""
    calls: list[int] = []

    def run(session: Session, directory: Path, commit: Commit, options: PlanOptions, check: Callable[[], None]) -> Any:
        def checked() -> None:
            calls.append(1)
            if len(calls) == at_call:
                then()
            check()

        return applying.run(session, directory, commit, options, checked)

    return run


def two_applications(app: str) -> dict[str, str]:
    return {**file(f"{app}.1", "web", a=1), **file(f"{app}.2", "web", a=2)}


async def names_of(source: Source, app: str) -> list[str]:
    found: list[str] = []
    for name in (f"{app}.1", f"{app}.2"):
        try:
            await source.content(name, "web")
        except Exception:  # noqa: BLE001  # it does not exist
            continue
        found.append(name)
    return found


# Both applications are checked, then the first one is created and gets its configuration.
IN_THE_MIDDLE = 5


async def test_an_agent_ends_between_two_applications_and_the_next_one_goes_on(source: Source, app: str) -> None:
    commit = source.repository.commit(two_applications(app))
    agents: list[Agent] = []
    stop = interrupted(lambda: agents[0].stop(), IN_THE_MIDDLE)  # noqa: PLW0108  # there is none yet
    agents.append(source.agent(apply=stop))
    async with source.running(agents[0]) as running:
        async with asyncio.timeout(LIMIT_SECONDS):
            await asyncio.shield(running.task)
    assert await names_of(source, app) == [f"{app}.1"]
    async with source.running(source.agent("two")) as running:
        await running.has_applied(commit)
    assert await names_of(source, app) == [f"{app}.1", f"{app}.2"]


async def test_an_agent_goes_on_where_it_was_when_the_service_went_away(source: Source, app: str) -> None:
    commit = source.repository.commit(two_applications(app))
    loop = asyncio.get_running_loop()
    async with proxied_address(source.service.address) as (proxy, address):
        cut = interrupted(
            lambda: asyncio.run_coroutine_threadsafe(proxy.cut(), loop).result(LIMIT_SECONDS), IN_THE_MIDDLE
        )
        async with source.running(source.agent(address=address, apply=cut, timeout_seconds=1)) as running:
            await running.rounds(2, "failed")
            assert await names_of(source, app) == [f"{app}.1"]
            assert running.health["status"] == "degraded"
            assert "does not respond" in running.health["failure"]
            proxy.restore()
            await running.has_applied(commit)
    assert await names_of(source, app) == [f"{app}.1", f"{app}.2"]
    assert {line["kind"] for line in source.events("round failed")} == {"service"}
    assert source.events("working again")


async def test_an_agent_waits_for_a_repository_that_is_away(source: Source, app: str) -> None:
    first = source.repository.commit(file(app, "web", a=1))
    async with source.running(source.agent()) as running:
        await running.has_applied(first)
        away = source.repository.folder.rename(source.folder / "away")
        await running.rounds(3, "failed")
        assert len(source.events("round failed")) == 1
        assert running.sample('configsvc_sync_failures_total{kind="git"}') >= 3
        away.rename(source.repository.folder)
        await running.has_applied(source.repository.commit(file(app, "web", a=2)))


async def test_an_agent_ends_although_git_hangs(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    program = source.folder / "bin" / "git"
    program.parent.mkdir()
    hang = f'[[ " $* " == *" fetch "* ]] && touch {source.folder}/hanging && exec sleep 300'
    program.write_text(f'#!/bin/bash\n{hang}\nexec {shutil.which("git")} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    async with source.running(source.agent()) as running:
        await until((source.folder / "hanging").exists)
        running.agent.stop()
        async with asyncio.timeout(LIMIT_SECONDS):
            await asyncio.shield(running.task)


async def test_an_unforeseen_fault_is_reported_and_the_agent_goes_on(source: Source, app: str) -> None:
    commit = source.repository.commit(file(app, "web", a=1))

    def fail() -> None:
        raise ValueError("unforeseen")

    async with source.running(source.agent(apply=interrupted(fail, 1))) as running:
        await running.has_applied(commit)
    (line,) = source.events("round failed")
    assert (line["level"], line["kind"], line["error"]) == ("error", "internal", "ValueError: unforeseen")


async def test_the_token_is_read_anew_by_each_round(
    source: Source, app: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = source.repository.commit(file(app, "web", a=1))
    monkeypatch.setenv("CONFIGSVC_TOKEN_FILE", str(tmp_path / "token"))
    (tmp_path / "token").write_text(token("root", exp=1), encoding="utf-8")
    async with (
        running_service(database_url, **oidc_settings(tmp_path)) as service,
        source.running(source.agent(address=service.address)) as running,
    ):
        await running.rounds(1, "failed")
        (tmp_path / "token").write_text(token("root"), encoding="utf-8")
        await running.has_applied(commit)
    assert {line["kind"] for line in source.events("round failed")} == {"setup"}


# Several agents


async def test_an_agent_that_lost_the_lease_applies_nothing_more(
    source: Source, app: str, world: tuple[Service, str]
) -> None:
    source.repository.commit(two_applications(app))
    agents: list[Agent] = []

    def lose() -> None:
        lease = agents[0]._parts.lease  # pyright: ignore[reportPrivateUsage]
        asyncio.run_coroutine_threadsafe(give_to("other", source, world[1]), loop).result(LIMIT_SECONDS)
        assert lease.acquire(Session(server=source.service.address)) == "other"

    loop = asyncio.get_running_loop()
    agents.append(source.agent(apply=interrupted(lose, IN_THE_MIDDLE)))
    async with source.running(agents[0]) as running:
        await running.rounds(2, "standby")
        assert running.sample("configsvc_sync_lease_held") == 0
        assert running.sample('configsvc_sync_failures_total{kind="lease"}') == 1
    assert await names_of(source, app) == [f"{app}.1"]


async def test_a_lease_is_extended_between_rounds(source: Source, world: tuple[Service, str]) -> None:
    def new_session() -> Session:
        return Session(server=source.service.address)

    lease = Lease(new_session, SourceId(repository="host/extended"), "one", 12.0)
    await asyncio.to_thread(lease.acquire, new_session())
    lease.start()
    ends = "SELECT expire_time FROM source_leases WHERE repository = 'host/extended'"
    async with plain_connection(world[1]) as connection, asyncio.timeout(LIMIT_SECONDS):
        first = await connection.fetchval(ends)
        while await connection.fetchval(ends) == first:  # noqa: ASYNC110  # the table tells nobody
            await asyncio.sleep(POLL_SECONDS)
        assert lease.held
        await asyncio.to_thread(lease.release)
        assert not lease.held
        assert await connection.fetchval(ends) is None


async def give_to(holder: str, source: Source, url: str) -> None:
    """Give the lease to another holder, as it happens when it has expired."""
    async with plain_connection(url) as connection:
        repository = f"file://{source.repository.folder}"
        await connection.execute("UPDATE source_leases SET holder = $1 WHERE repository = $2", holder, repository)


async def expire(source: Source, url: str) -> None:
    async with plain_connection(url) as connection:
        repository = f"file://{source.repository.folder}"
        await connection.execute(
            "UPDATE source_leases SET expire_time = clock_timestamp() WHERE repository = $1", repository
        )


async def event(process: asyncio.subprocess.Process, name: str) -> dict[str, Any]:
    """Return the next line of the log with this event."""
    assert process.stderr
    async with asyncio.timeout(LIMIT_SECONDS):
        async for line in process.stderr:
            if json.loads(line)["event"] == name:
                return json.loads(line)
    raise AssertionError(name)


async def test_another_agent_takes_over_from_one_that_is_killed(
    source: Source, app: str, world: tuple[Service, str]
) -> None:
    first = source.repository.commit(file(app, "web", a=1))
    cli = Cli(source.folder, {"CONFIGSVC_SERVER": source.service.address, **SETTINGS})
    url = str(source.repository.folder)
    arguments = ("sync", "agent", "--interval", "20ms", "--health-listen", "127.0.0.1:0", "--cache-dir", "cache")
    async with cli.running(*arguments, CONFIGSVC_SYNC_GIT=url) as killed:
        started = await event(killed, "agent started")
        applied = await event(killed, "commit applied")
        assert (applied["level"], applied["commit"], applied["created"]) == ("info", first, 1)
        health = json.loads((await asyncio.to_thread(page, f"http://{started['health']}/health"))[1])
        assert (health["status"] in {"starting", "ok"}, health["lease_held"]) == (True, True)
        async with source.running(source.agent("two")) as running:
            await running.rounds(2, "standby")
            killed.kill()
            await killed.wait()
            second = source.repository.commit(file(app, "web", a=2))
            await running.rounds(2, "standby")
            assert await source.content(app, "web") == {"a": 1}
            await expire(source, world[1])
            await running.has_applied(second)
            # One that only stands by ends when it is asked to, and does not take the lease with it.
            async with cli.running(*arguments, "--git", url) as third:
                await event(third, "agent started")
                third.send_signal(signal.SIGTERM)
                await event(third, "agent stopped")
                async with asyncio.timeout(LIMIT_SECONDS):
                    assert await third.wait() == 0
            await running.rounds(1, "unchanged")


# The second application waits for whoever has the lock, once the first one is applied.
WAITS_IN_THE_MIDDLE = """
CREATE FUNCTION wait_in_the_middle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.application LIKE '%.2' AND EXISTS (
        SELECT FROM configurations WHERE application = replace(NEW.application, '.2', '.1') AND config = '{"a": 1}'
    ) THEN
        PERFORM pg_advisory_xact_lock(1);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER wait_in_the_middle BEFORE UPDATE ON configurations FOR EACH ROW EXECUTE FUNCTION wait_in_the_middle();
SELECT pg_advisory_lock(1)
"""


async def test_what_an_agent_that_is_killed_has_begun_is_finished_by_the_next_one(
    source: Source, app: str, world: tuple[Service, str]
) -> None:
    async def found() -> list[int]:
        return [(await source.content(f"{app}.{number}", "web"))["a"] for number in (1, 2, 3)]

    def everywhere(a: int) -> dict[str, str]:
        return {path: text for number in (1, 2, 3) for path, text in file(f"{app}.{number}", "web", a=a).items()}

    first = source.repository.commit(everywhere(0))
    async with source.running(source.agent()) as running:
        await running.has_applied(first)
    second = source.repository.commit(everywhere(1))
    cli = Cli(source.folder, {"CONFIGSVC_SERVER": source.service.address, **SETTINGS})
    arguments = ("sync", "agent", "--git", str(source.repository.folder), "--cache-dir", "cache")
    async with plain_connection(world[1]) as connection:
        await connection.execute(WAITS_IN_THE_MIDDLE)
        try:
            async with cli.running(*arguments) as killed:
                async with asyncio.timeout(LIMIT_SECONDS):
                    while await found() != [1, 0, 0]:  # noqa: ASYNC110  # it can only be asked
                        await asyncio.sleep(POLL_SECONDS)
                killed.kill()
                await killed.wait()
            assert await found() == [1, 0, 0]
        finally:
            await connection.execute("SELECT pg_advisory_unlock(1); DROP FUNCTION wait_in_the_middle CASCADE")
    await expire(source, world[1])
    async with source.running(source.agent("two")) as running:
        await running.has_applied(second)
    assert await found() == [1, 1, 1]


async def test_an_agent_that_ends_gives_its_lease_to_the_next_one(source: Source, app: str) -> None:
    commit = source.repository.commit(file(app, "web", a=1))
    async with source.running(source.agent("two")) as second:
        await second.has_applied(commit)
        async with source.running(source.agent("one")) as first:
            await first.rounds(2, "standby")
            second.agent.stop()
            await second.task
            await first.has_applied(commit)


# The command


async def test_once_ends_with_the_exit_code_of_its_round(
    source: Source, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(source.folder / "caches"))
    url = str(source.repository.folder)
    sync = Sync(source.service, source.folder, "")
    run = partial(sync.run, "sync", "agent", "--once", "--git", url)
    source.repository.commit(file(app, "web", a=1))
    assert (await run()).code == 0
    assert await source.content(app, "web") == {"a": 1}
    source.repository.commit({f"applications/{app}/web.json": "{"})
    broken = await run()
    assert (broken.code, f"applications/{app}/web.json" in broken.err) == (7, True)
    async with source.running(source.agent()) as running:
        await running.rounds(1, "refused")
        standing_by = await run()
        assert standing_by.code == 5
    assert (await run("--branch", "none")).code == 1
    assert (await run("--branch", "-x")).code == 2
    assert (await run("--path", "../x")).code == 2
    assert (await sync.run("sync", "agent", "--once")).code == 2
    assert (await sync.run("sync", "agent", "--once", "--git", "ext::sh -c x")).code == 2
    assert (await sync.run("sync", "agent", "--git", url, "--health-listen", "nowhere")).code == 2
