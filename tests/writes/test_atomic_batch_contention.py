"""Batches beside single writes, other batches, and sessions that move all configurations of a schema."""

import asyncio
import random
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any

from configapi.v1.application_pb2 import Application
from configapi.v1.application_service_pb2 import UpdateApplicationRequest
from configsvc.domain.content import JsonObject
from tests.api.calls import create_application, get, pages
from tests.api.calls import patch as patch_one
from tests.service import Service, reason_of, running_service
from tests.writes.batches import deletion, patch, rename, upsert, versions, write
from tests.writes.schemas import add_version, make_schema, pin

if TYPE_CHECKING:
    from tests.writes.schemas import Session

NAMES = [f"c{number}" for number in range(30)]
ANY: JsonObject = {"type": "object", "properties": {"turn": {"type": "integer"}}}


async def reasons(calls: Sequence[Awaitable[Any]]) -> list[str]:
    """Return the reason of each call's error; empty if there is none."""
    answers = await asyncio.gather(*calls, return_exceptions=True)
    return [reason_of(answer) if isinstance(answer, BaseException) else "" for answer in answers]  # type: ignore[arg-type]


def shuffled(turn: int) -> list[str]:
    return random.Random(turn).sample(NAMES, len(NAMES))


async def test_batches_and_single_writes_of_two_processes_to_the_same_configurations_are_all_done_or_refused(
    database_url: str,
) -> None:
    async with running_service(database_url) as one, running_service(database_url) as other:
        await create_application(one)
        await write(one, *map(upsert, NAMES))
        done = len(NAMES)
        for turn in range(1, 6):
            batches = [
                write(service, *(patch(name, {f"b{index}": turn}) for name in shuffled(10 * turn + index)))
                for index, service in enumerate((one, other, one))
            ]
            singles = [patch_one(random.Random(turn).choice((one, other)), name, {"s": turn}) for name in NAMES]
            found = await reasons([*batches, *singles])
            assert set(found) <= {"", "WRITE_CONFLICT"}
            done += len(NAMES) * found[: len(batches)].count("") + found[len(batches) :].count("")
        shown = [one for page in await pages(one) for one in page.configurations]
        assert sum(configuration.version for configuration in shown) == done


async def test_batches_that_make_and_end_the_same_configurations_do_not_stop_each_other(database_url: str) -> None:
    async with running_service(database_url) as one, running_service(database_url) as other:
        await create_application(one)
        for turn in range(5):
            calls = [write(service, *map(upsert, shuffled(turn + index))) for index, service in enumerate((one, other))]
            assert set(await reasons(calls)) == {""}
            calls = [write(one, *map(deletion, shuffled(turn))), write(other, *map(upsert, shuffled(turn + 7)))]
            assert set(await reasons(calls)) == {""}
            left = [configuration.name for page in await pages(one) for configuration in page.configurations]
            assert left in ([], sorted(NAMES))
            await write(one, *map(upsert, NAMES))


async def test_whoever_moves_all_of_a_schema_and_batches_and_single_writes_never_wait_for_each_other_in_a_circle(
    shop: Service, psql: "Session"
) -> None:
    await make_schema(psql, "web", ANY)
    await write(shop, *(upsert(name, {"turn": 0}, schema=pin("web")) for name in NAMES))
    for turn in range(1, 8):
        await add_version(psql, "web", ANY)
        calls: list[Awaitable[Any]] = [
            write(shop, *(patch(name, {"turn": turn}) for name in shuffled(turn))),
            move_all(psql, turn + 1),
            write(shop, *(deletion(name) for name in shuffled(turn)[:3])),
            *(patch_one(shop, name, {"turn": turn}, validate_only=name.endswith("1")) for name in NAMES),
        ]
        assert set(await reasons(calls)) <= {"", "WRITE_CONFLICT", "BATCH_FAILED", "RESOURCE_NOT_FOUND"}
        await write(shop, *(upsert(name, {"turn": turn}, schema=pin("web")) for name in NAMES))


async def move_all(session: "Session", version: int) -> None:
    """Move all pinned configurations as a strict version does: lock the schema first, then them."""
    async with session.transaction():
        await session.execute("SELECT FROM schemas WHERE name = 'web' FOR UPDATE")
        await session.execute("UPDATE configurations SET schema_version = $1 WHERE schema = 'web'", version)


async def test_an_application_that_gets_a_new_name_and_batches_never_wait_for_each_other_in_a_circle(
    shop: Service,
) -> None:
    await write(shop, *map(upsert, NAMES))
    ids = [(await get(shop, name)).id for name in NAMES]
    for turn in range(5):
        new = UpdateApplicationRequest(name="shop", application=Application(name="store"))
        found = await reasons(
            [
                write(shop, *(patch(name, {"turn": turn}) for name in shuffled(turn))),
                shop.applications.UpdateApplication(new),
                write(shop, *(patch(name, {"more": turn}) for name in shuffled(turn + 1))),
            ]
        )
        assert found[1] == ""
        assert set(found) <= {"", "BATCH_FAILED"}
        old = UpdateApplicationRequest(name="store", application=Application(name="shop"))
        await shop.applications.UpdateApplication(old)
    assert [(await get(shop, name)).id for name in NAMES] == ids


async def test_a_batch_leaves_other_configurations_alone_while_it_waits(shop: Service, psql: "Session") -> None:
    await write(shop, upsert("locked"), upsert("free"), upsert("other"))
    async with psql.transaction():
        await psql.execute("SELECT FROM configurations WHERE name = 'locked' FOR UPDATE")
        waiting = asyncio.create_task(write(shop, patch("locked", {"a": 1}), patch("other", {"a": 1})))
        renamed = await write(shop, rename("free", "freed"))
        assert versions(renamed) == [("freed", 2)]
    assert versions(await waiting) == [("locked", 2), ("other", 2)]
