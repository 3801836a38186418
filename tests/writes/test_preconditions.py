"""Preconditions of a batch: it is done only if nothing of what they select has changed since a revision."""

import asyncio
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError

from configapi.v1.application_pb2 import Application, ApplicationRef
from configapi.v1.application_service_pb2 import DeleteApplicationRequest, UpdateApplicationRequest
from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.schema_pb2 import SchemaVersionRef
from configapi.v1.selector_pb2 import ConfigurationSelector, Precondition
from configsvc.storage import log
from tests.api.calls import (
    SHOP,
    Connection,
    content,
    create,
    create_application,
    delete,
    failing,
    get,
    head,
    names,
    patch,
    refused,
    update,
)
from tests.postgres import plain_connection
from tests.service import Service, error_info_of, reason_of, running_service, struct
from tests.storage.compacting import age, compact_once
from tests.storage.reading import until_waiting
from tests.writes.batches import change, creation, deletion, upsert, write
from tests.writes.requests import undeleting, updating

FAILED = (StatusCode.ABORTED, "PRECONDITION_FAILED")
# That must be done in a race.
BATCHES = 30


def unchanged(since: int, *, epoch: str = "", **selector: Any) -> Precondition:
    return Precondition(selector=ConfigurationSelector(**selector), unchanged_since=since, epoch=epoch)


async def guarded(service: Service, *conditions: Precondition, **fields: Any) -> int:
    """Write a configuration that no precondition selects, and return the revision."""
    answer = await write(
        service, upsert("written", {"n": str(uuid.uuid4())}, application="own"), preconditions=conditions, **fields
    )
    return answer.revision


async def prepared(service: Service) -> int:
    """Create what preconditions select, and return the revision."""
    await create_application(service, "own")
    await create_application(service, "other")
    for name in ("web", "web2", "api"):
        await create(service, name, {"n": 1})
        await create(service, name, {"n": 1}, application="other")
    return await head(service)


async def test_a_batch_whose_preconditions_hold_is_done(shop: Service, psql: Connection) -> None:
    since = await prepared(shop)
    await patch(shop, "api", {"n": 2})
    epoch = await log.epoch(psql)
    revision = await guarded(
        shop,
        unchanged(since, application=SHOP, name_prefix="web"),
        unchanged(since, application=SHOP, names=["web", "never"]),
        unchanged(since, application=ApplicationRef(name="other")),
        unchanged(since, application=ApplicationRef(name="nowhere"), epoch=epoch),
        unchanged(since, name_prefix="web"),
        unchanged(since + 1),
    )
    assert revision == await head(shop)


CHANGES = {
    "created": lambda service: create(service, "web3"),
    "updated": lambda service: patch(service, "web", {"n": 2}),
    "commented": lambda service: update(service, "web", configuration=Configuration(comments="new")),
    "deleted": lambda service: delete(service, "web"),
    "renamed into it": lambda service: update(service, "api", configuration=Configuration(name="web3")),
    "renamed out of it": lambda service: update(service, "web", configuration=Configuration(name="out")),
    "renamed within it": lambda service: update(service, "web", configuration=Configuration(name="web3")),
    "in a batch": lambda service: write(service, upsert("web2", {"n": 3}), creation("x")),
}
SELECTIONS: dict[str, dict[str, Any]] = {
    "prefix": {"application": SHOP, "name_prefix": "web"},
    "names": {"application": SHOP, "names": ["web", "web2", "web3"]},
    "names with a prefix": {"application": SHOP, "name_prefix": "web", "names": ["web", "web2", "web3", "api"]},
    "application": {"application": SHOP},
    "prefix anywhere": {"name_prefix": "web"},
    "names anywhere": {"names": ["web", "web2", "web3"]},
    "everything": {},
}


@pytest.mark.parametrize("kind", CHANGES)
async def test_a_change_of_what_is_selected_fails_the_batch(shop: Service, kind: str) -> None:
    since = await prepared(shop)
    await CHANGES[kind](shop)
    changed = await head(shop)
    await create(shop, "later", application="own")
    before = await head(shop)
    by_id: dict[str, Any] = {"application": ApplicationRef(id=(await get(shop, "web2")).application_id)}
    holds = unchanged(since, application=ApplicationRef(name="other"))
    for name, selector in SELECTIONS.items():
        last = before if name == "everything" else changed
        for chosen in (selector, selector | by_id) if "application" in selector else (selector,):
            with failing(*FAILED) as caught:
                await guarded(shop, holds, unchanged(since, **chosen))
            metadata = error_info_of(caught.value).metadata
            assert (metadata["precondition"], metadata["changed_revision"]) == ("1", str(last)), name
        with failing(*FAILED):
            await guarded(shop, unchanged(since, **selector), validate_only=True)
    assert await head(shop) == before
    assert await names(shop, application=ApplicationRef(name="own")) == ["later"]


@pytest.mark.parametrize("by_id", [False, True])
async def test_renaming_or_deleting_the_application_changes_all_its_configurations(
    shop: Service, *, by_id: bool
) -> None:
    since = await prepared(shop)
    shop_id = (await get(shop, "web")).application_id
    ref = ApplicationRef(id=shop_id) if by_id else SHOP
    condition = unchanged(since, application=ref, name_prefix="web")
    renaming = UpdateApplicationRequest(name="shop", application=Application(name="store"))
    await shop.applications.UpdateApplication(renaming)
    with failing(*FAILED):
        await guarded(shop, condition)
    renamed = await head(shop)
    await guarded(shop, unchanged(renamed, application=ref, name_prefix="web"))
    await shop.applications.DeleteApplication(DeleteApplicationRequest(name="store", force=True))
    after = unchanged(renamed, application=ref if by_id else ApplicationRef(name="store"), name_prefix="web")
    with failing(*FAILED):
        await guarded(shop, after)
    # Another application of that name is another one by id.
    await create_application(shop, "store")
    deleted = await head(shop)
    await create(shop, "web", application="store")
    if by_id:
        await guarded(shop, unchanged(deleted, application=ref))
    else:
        with failing(*FAILED):
            await guarded(shop, unchanged(deleted, application=ApplicationRef(name="store")))


async def test_configurations_that_left_before_the_application_was_renamed_count_by_its_id(shop: Service) -> None:
    since = await prepared(shop)
    ref = ApplicationRef(id=(await get(shop, "web")).application_id)
    for name in ("web", "web2", "api"):
        await delete(shop, name)
    renaming = UpdateApplicationRequest(name="shop", application=Application(name="store"))
    await shop.applications.UpdateApplication(renaming)
    with failing(*FAILED):
        await guarded(shop, unchanged(since, application=ref))
    await guarded(shop, unchanged(await head(shop), application=ref))


async def test_what_was_deleted_and_restored_has_changed(shop: Service) -> None:
    since = await prepared(shop)
    await delete(shop, "web")
    await undeleting(shop)
    with failing(*FAILED):
        await guarded(shop, unchanged(since, application=SHOP, names=["web"]))


async def test_the_writes_of_the_batch_itself_are_no_change(shop: Service) -> None:
    since = await prepared(shop)
    answer = await write(
        shop,
        change("web", merge_patch=struct({"n": 2})),
        deletion("web2"),
        creation("web3"),
        preconditions=[unchanged(since, application=SHOP), unchanged(since)],
    )
    assert answer.revision == since + 1
    with failing(*FAILED):
        await write(shop, upsert("web3", {"n": 1}), preconditions=[unchanged(since, application=SHOP)])


async def test_a_batch_that_changes_nothing_is_checked_too(shop: Service) -> None:
    since = await prepared(shop)
    same = upsert("web", {"n": 1})
    answer = await write(shop, same, preconditions=[unchanged(since, application=SHOP)])
    assert (answer.changed, answer.revision) == (False, 0)
    await patch(shop, "api", {"n": 2})
    with failing(*FAILED):
        await write(shop, same, preconditions=[unchanged(since, application=SHOP)])


async def test_a_repeated_call_gets_the_first_answer_although_its_precondition_failed_since(shop: Service) -> None:
    since = await prepared(shop)
    request_id, conditions = str(uuid.uuid4()), [unchanged(since, application=SHOP)]
    first = await write(shop, upsert("web", {"n": 2}), preconditions=conditions, request_id=request_id)
    assert await write(shop, upsert("web", {"n": 2}), preconditions=conditions, request_id=request_id) == first
    with failing(StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED"):
        await write(shop, upsert("web", {"n": 2}), request_id=request_id)


async def test_a_revision_of_another_history_or_none_or_one_that_was_compacted_is_refused(
    shop: Service, psql: Connection, database_url: str
) -> None:
    since = await prepared(shop)
    with failing(StatusCode.OUT_OF_RANGE, "EPOCH_CHANGED") as caught:
        await guarded(shop, unchanged(since, application=SHOP, epoch="1-2-3-4-5"))
    assert error_info_of(caught.value).metadata["current_epoch"] == await log.epoch(psql)
    with failing(StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN"):
        await guarded(shop, unchanged(since + 1, application=SHOP))
    await age(psql, up_to=since)
    await compact_once(database_url)
    selectors: list[dict[str, Any]] = [{"application": SHOP}, {}]
    for selector in selectors:
        with failing(StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED"):
            await guarded(shop, unchanged(1, **selector))
        await guarded(shop, unchanged(await head(shop), **selector))


async def test_every_fault_of_a_precondition_is_named(shop: Service) -> None:
    since = await head(shop)
    async with refused(
        shop,
        "preconditions[0].selector",
        "preconditions[0].unchanged_since",
        "preconditions[1].selector.schema",
        "preconditions[1].selector.json_path",
        "preconditions[1].selector.contains",
        "preconditions[1].epoch",
        "preconditions[2].selector.names[0]",
        "preconditions[2].selector.name_prefix",
        "preconditions[2].selector.application.name",
        "preconditions[2].unchanged_since",
    ):
        await guarded(
            shop,
            Precondition(),
            unchanged(
                since,
                schema=SchemaVersionRef(schema="web"),
                json_path="$.a",
                contains=struct({}),
                epoch="x" * 101,
            ),
            unchanged(-1, names=["../web"], name_prefix="\n", application=ApplicationRef(name="..")),
        )
    for conditions in (
        [unchanged(since, application=SHOP)] * 101,
        [unchanged(since, application=SHOP, names=[f"c{number}" for number in range(501)])] * 2,
    ):
        async with refused(shop, "preconditions"):
            await guarded(shop, *conditions)
    await create_application(shop, "own")
    since = await head(shop)
    most = [
        unchanged(since, application=SHOP, names=[f"c{index}-{number}" for number in range(10)]) for index in range(100)
    ]
    await guarded(shop, *most)


# Beside other writers


async def test_a_session_that_commits_between_the_first_check_and_the_commit_fails_the_batch(
    shop: Service, psql: Connection
) -> None:
    since = await prepared(shop)
    transaction = psql.transaction()
    await transaction.start()
    await psql.execute("INSERT INTO configurations (application, name, config) VALUES ('shop', 'web3', '{}')")
    # The batch checks its precondition, and waits for the row of the application.
    await psql.execute("UPDATE configurations SET comments = 'by hand' WHERE application = 'other' AND name = 'web'")
    batch = asyncio.create_task(
        write(
            shop,
            upsert("web", {"n": 2}, application="other"),
            preconditions=[unchanged(since, application=SHOP, name_prefix="web")],
        )
    )
    await until_waiting(psql)
    await transaction.commit()
    with failing(*FAILED) as caught:
        await batch
    assert error_info_of(caught.value).metadata["changed_revision"] == str(since + 1)
    assert content((await get(shop, "web", "other")).config) == {"n": 1}


async def test_a_session_that_commits_late_is_not_overlooked(shop: Service, psql: Connection) -> None:
    since = await prepared(shop)
    async with psql.transaction():
        # It takes its revision when it commits, which is after the batch.
        await psql.execute("INSERT INTO configurations (application, name, config) VALUES ('shop', 'web3', '{}')")
        revision = await guarded(shop, unchanged(since, application=SHOP, name_prefix="web"))
    assert revision == since + 1
    with failing(*FAILED) as caught:
        await guarded(shop, unchanged(since, application=SHOP, name_prefix="web"))
    assert error_info_of(caught.value).metadata["changed_revision"] == str(since + 2)


async def test_of_many_batches_with_one_precondition_at_once_exactly_one_is_done(
    shop: Service, database_url: str
) -> None:
    since = await prepared(shop)
    async with running_service(database_url) as other:
        attempts = [
            write(
                (shop, other)[number % 2],
                creation(f"web-{number}"),
                preconditions=[unchanged(since, application=SHOP, name_prefix="web")],
            )
            for number in range(32)
        ]
        answers = await asyncio.gather(*attempts, return_exceptions=True)
    errors = [answer for answer in answers if isinstance(answer, AioRpcError)]
    assert {reason_of(error) for error in errors} == {"PRECONDITION_FAILED"}
    assert len(errors) == 31
    assert await head(shop) == since + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """Sessions, single writes and guarded batches at once. `done`: the revisions of batches, and what they named."""

    selector: dict[str, Any]
    chance: Random = field(default_factory=partial(Random, 7))
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    done: dict[int, int] = field(default_factory=dict[int, int])

    async def session(self, url: str) -> None:
        """Change configurations in SQL."""
        async with plain_connection(url) as connection:
            while not self.stopped.is_set():
                await connection.execute(
                    """INSERT INTO configurations (application, name, config) VALUES ('shop', $1, '{}')
                    ON CONFLICT (application, name) DO UPDATE SET comments = gen_random_uuid()::text""",
                    f"web-{self.chance.randrange(6)}",
                )
                await asyncio.sleep(self.chance.random() / 5)

    async def writer(self, service: Service) -> None:
        """Change configurations one by one."""
        while not self.stopped.is_set():
            new = Configuration(config=struct({"n": self.chance.random()}))
            await updating(service, f"web-{self.chance.randrange(6)}", configuration=new, allow_missing=True)
            await asyncio.sleep(self.chance.random() / 5)

    async def batches(self, service: Service) -> None:
        """Make batches with a precondition, which often fails, until enough of them were done."""
        while len(self.done) < BATCHES:
            since = await head(service)
            # So that others commit meanwhile.
            await asyncio.sleep(self.chance.random() / 20)
            with suppress(AioRpcError):
                self.done[await guarded(service, unchanged(since, **self.selector))] = since


@pytest.mark.parametrize("selector", [{"name_prefix": "web"}, {"application": SHOP, "name_prefix": "web"}])
async def test_no_commit_comes_between_the_check_and_the_commit(
    shop: Service, psql: Connection, database_url: str, selector: dict[str, Any]
) -> None:
    await prepared(shop)
    race = Race(selector=selector)
    async with running_service(database_url) as other, asyncio.TaskGroup() as tasks:
        for writing in (race.session(database_url), race.writer(shop), race.writer(other)):
            tasks.create_task(writing)
        await asyncio.gather(*(race.batches(service) for service in (shop, other) for _ in range(2)))
        race.stopped.set()
    rows = await psql.fetch("SELECT revision FROM changes WHERE kind = 'CONFIGURATION' AND application = 'shop'")
    changed = {row["revision"] for row in rows}
    assert race.done
    overlooked = {
        revision: since for revision, since in race.done.items() if any(since < other < revision for other in changed)
    }
    assert not overlooked
