"""GetConfiguration and ListConfigurations at an earlier moment."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from configapi.v1.application_pb2 import Application, ApplicationRef
from configapi.v1.application_service_pb2 import DeleteApplicationRequest, UpdateApplicationRequest
from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.schema_pb2 import SchemaVersionRef
from tests.api.calls import (
    SHOP,
    content,
    create,
    create_application,
    delete,
    failing,
    get,
    head,
    key,
    names,
    pages,
    patch,
    refused,
    update,
)
from tests.configurations.reading import get_at, rename, timestamp
from tests.service import Service, error_info_of
from tests.storage.compacting import age, compact_once

if TYPE_CHECKING:
    import asyncpg

    Session = asyncpg.Connection[asyncpg.Record]

ANY_ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


async def commit_time(psql: "Session", revision: int) -> datetime:
    return await psql.fetchval("SELECT time FROM commits WHERE revision = $1", revision)


async def rename_application(service: Service, old: str, new: str) -> int:
    request = UpdateApplicationRequest(name=old, application=Application(name=new))
    return (await service.applications.UpdateApplication(request)).revision


# By version


async def test_every_version_can_be_read_as_it_was(shop: Service) -> None:
    written = [await create(shop, "web", {"n": 1})]
    written += [await patch(shop, "web", {"n": number}) for number in (2, 3)]
    written.append(await update(shop, "web", configuration=Configuration(comments="last")))
    for configuration in written:
        for ref in ({"key": key("web")}, {"id": configuration.id}):
            assert await get_at(shop, version=configuration.version, **ref) == configuration


async def test_a_version_of_a_deleted_configuration_can_be_read(shop: Service) -> None:
    created = await create(shop, "web", {"n": 1})
    await delete(shop, "web")
    assert await get_at(shop, version=1) == created
    assert await get_at(shop, id=created.id, version=1) == created


async def test_a_version_that_is_not_there_is_not_found(shop: Service) -> None:
    created = await create(shop, "web")
    await delete(shop, "web")
    # Version 2 is the deletion.
    for version in (2, 3):
        with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
            await get_at(shop, id=created.id, version=version)
    for ref in ({"id": ANY_ULID}, {"key": key("never")}):
        with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
            await get_at(shop, version=1, **ref)


# By revision


async def test_a_configuration_can_be_read_as_of_every_revision(shop: Service) -> None:
    created = await create(shop, "web", {"n": 1})
    written = {created.revision: created}
    for number in range(5):
        await create(shop, f"other{number}")
        changed = await patch(shop, "web", {"n": number + 2})
        written[changed.revision] = changed
    deletion = await delete(shop, "web")
    current: Configuration | None = None
    for revision in range(deletion + 1):
        current = written.get(revision, None if revision == deletion else current)
        for ref in ({"key": key("web")}, {"id": created.id}):
            if current is None:
                with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
                    await get_at(shop, as_of_revision=revision, **ref)
            else:
                assert await get_at(shop, as_of_revision=revision, **ref) == current


async def test_a_key_as_of_a_revision_is_what_had_it_then(shop: Service) -> None:
    # A key is given up, taken by another configuration, renamed with its application, and taken again.
    first = await create(shop, "web", {"n": 1})
    away = await rename(shop, "web", "old")
    second = await create(shop, "web", {"n": 2})
    moved = await rename_application(shop, "shop", "store")
    await create_application(shop, "shop")
    third = await create(shop, "web", {"n": 3})
    gone = await delete(shop, "web")
    back = await create(shop, "web", {"n": 4})
    expected = {
        first.revision: first.id,
        away.revision: None,
        second.revision: second.id,
        moved: None,
        third.revision: third.id,
        gone: None,
        back.revision: back.id,
    }
    for revision, holder in expected.items():
        if holder is None:
            with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
                await get_at(shop, as_of_revision=revision)
        else:
            shown = await get_at(shop, as_of_revision=revision)
            assert (shown.id, shown.application, shown.name) == (holder, "shop", "web")
    assert (await get_at(shop, key=key("web", "store"), as_of_revision=moved)).id == second.id


async def test_a_future_revision_is_unknown(shop: Service) -> None:
    created = await create(shop, "web")
    assert await get_at(shop, as_of_revision=created.revision) == created
    with failing(StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN") as caught:
        await get_at(shop, as_of_revision=created.revision + 1)
    assert error_info_of(caught.value).metadata["head_revision"] == str(created.revision)


async def test_an_earlier_state_takes_min_revision(shop: Service) -> None:
    created = await create(shop, "web")
    assert await get_at(shop, version=1, min_revision=created.revision) == created
    with failing(StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN"):
        await get_at(shop, version=1, min_revision=created.revision + 1)


async def test_the_present_is_still_read_without_a_moment(shop: Service) -> None:
    await create(shop, "web", {"n": 1})
    changed = await patch(shop, "web", {"n": 2})
    assert content((await get_at(shop, version=1)).config) == {"n": 1}
    assert await get(shop, "web") == changed
    assert content((await get_at(shop, version=1)).config) == {"n": 1}


# By time


async def test_a_configuration_can_be_read_as_of_a_time(shop: Service, psql: "Session") -> None:
    written = [await create(shop, "web", {"n": 0})]
    written += [await patch(shop, "web", {"n": number}) for number in range(1, 12)]
    for configuration in written:
        time = await commit_time(psql, configuration.revision)
        assert await get_at(shop, as_of_time=timestamp(time)) == configuration
        if configuration is not written[0]:
            before = timestamp(time - timedelta(microseconds=1))
            assert (await get_at(shop, as_of_time=before)).version == configuration.version - 1
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await get_at(shop, as_of_time=Timestamp(seconds=0))


async def test_a_time_in_the_future_is_unknown(shop: Service) -> None:
    created = await create(shop, "web")
    with failing(StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN") as caught:
        await get_at(shop, as_of_time=timestamp(datetime.now(UTC) + timedelta(hours=1)))
    assert error_info_of(caught.value).metadata["head_revision"] == str(created.revision)


async def test_a_clock_that_was_set_back_still_gives_a_state_that_was(shop: Service, psql: "Session") -> None:
    # The state is that of one of the moments at which the clock showed the time.
    for number in range(8):
        await (create(shop, "web", {"n": 0}) if number == 0 else patch(shop, "web", {"n": number}))
    last = await head(shop)
    minutes = [0, 1, 2, 3, 4, 2.5, 3.5, 4.5, 5.5]
    await psql.execute(
        """UPDATE commits SET time = now() - interval '1 day' + minute * interval '1 minute'
        FROM unnest($1::float[]) WITH ORDINALITY AS set_back (minute, place) WHERE revision = place""",
        minutes,
    )
    times = [await commit_time(psql, revision) for revision in range(1, last + 1)]
    for time in times[1:]:
        shown = await get_at(shop, as_of_time=timestamp(time))
        assert times[shown.revision - 1] <= time
        assert shown.revision == last or times[shown.revision] > time
    now = timestamp(await psql.fetchval("SELECT now()"))
    assert (await get_at(shop, as_of_time=now)).revision == last


# Compacted history


async def test_compacted_is_distinguished_from_never_existed(shop: Service, database_url: str, psql: "Session") -> None:
    created = await create(shop, "web", {"n": 1})
    await patch(shop, "web", {"n": 2})
    kept = await patch(shop, "web", {"n": 3})
    await create(shop, "other")
    floor = await head(shop)
    await age(psql, up_to=floor)
    kept = await get_at(shop, version=3)
    compacted_time = await commit_time(psql, kept.revision)
    await compact_once(database_url)
    newest = await patch(shop, "web", {"n": 4})
    requests: tuple[dict[str, Any], ...] = (
        {"version": 1},
        {"version": 2},
        {"as_of_revision": created.revision},
        {"as_of_time": timestamp(compacted_time - timedelta(seconds=5))},
    )
    for request in requests:
        with failing(StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED") as caught:
            await get_at(shop, id=created.id, **request)
        assert error_info_of(caught.value).metadata["compacted_revision"] == str(floor)
    assert await get_at(shop, version=3) == kept
    assert await get_at(shop, as_of_revision=floor) == kept
    assert await get_at(shop, as_of_revision=newest.revision) == newest
    assert await get_at(shop, as_of_time=timestamp(await commit_time(psql, newest.revision))) == newest
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await get_at(shop, id=created.id, version=5)


# Lists


async def test_a_list_can_be_read_as_of_a_revision(shop: Service) -> None:
    await create(shop, "a", {"n": 1})
    await create(shop, "b", {"n": 1})
    then = await head(shop)
    await patch(shop, "a", {"n": 2})
    await delete(shop, "b")
    await create(shop, "c", {"n": 1})
    found = await pages(shop, as_of_revision=then, page_size=1)
    shown = [configuration for page in found for configuration in page.configurations]
    assert [(one.name, content(one.config)) for one in shown] == [("a", {"n": 1}), ("b", {"n": 1})]
    assert {page.revision for page in found} == {then}
    assert await names(shop) == ["a", "c"]
    assert await names(shop, as_of_revision=then, name_prefix="b") == ["b"]
    assert await names(shop, as_of_revision=0) == ["a", "c"]


async def test_a_list_of_an_application_as_of_a_revision_knows_it_by_its_name_then(shop: Service) -> None:
    await create(shop, "a")
    then = await head(shop)
    await rename_application(shop, "shop", "store")
    renamed = await head(shop)
    await shop.applications.DeleteApplication(DeleteApplicationRequest(name="store", force=True))
    gone = await head(shop)
    store = ApplicationRef(name="store")
    application_id = (await pages(shop, as_of_revision=then))[0].configurations[0].application_id
    by_id = ApplicationRef(id=application_id)
    for application, revision in ((SHOP, then), (store, renamed), (by_id, then), (by_id, renamed)):
        assert await names(shop, application=application, as_of_revision=revision) == ["a"]
    for application, revision in ((store, then), (SHOP, renamed), (store, gone), (by_id, gone)):
        with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
            await names(shop, application=application, as_of_revision=revision)


async def test_a_list_as_of_an_unknown_or_compacted_revision_is_refused(
    shop: Service, database_url: str, psql: "Session"
) -> None:
    await create(shop, "a")
    then = await head(shop)
    await patch(shop, "a", {"n": 1})
    for application in (None, SHOP):
        with failing(StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN"):
            await names(shop, application=application, as_of_revision=await head(shop) + 1)
    await age(psql, up_to=await head(shop))
    await compact_once(database_url)
    for application in (None, SHOP):
        with failing(StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED"):
            await names(shop, application=application, as_of_revision=then)


async def test_pins_are_in_the_history_too(shop: Service, psql: "Session") -> None:
    created = await create(shop, "web", {"n": 1})
    await psql.execute("INSERT INTO schemas (name) VALUES ('limits')")
    await psql.execute("INSERT INTO schema_versions (schema, document) VALUES ('limits', '{}')")
    await psql.execute("UPDATE configurations SET schema = 'limits', schema_version = 1 WHERE name = 'web'")
    pinned = await head(shop)
    await psql.execute("UPDATE configurations SET schema = NULL, schema_version = NULL WHERE name = 'web'")
    limits = SchemaVersionRef(schema="limits", version=1)
    assert (await get_at(shop, as_of_revision=pinned)).schema == limits
    assert (await get_at(shop, version=2)).schema == limits
    assert not (await get_at(shop, as_of_revision=created.revision)).HasField("schema")
    for version, found in ((0, ["web"]), (1, ["web"]), (2, [])):
        ref = SchemaVersionRef(schema="limits", version=version)
        assert await names(shop, schema=ref, as_of_revision=pinned) == found
        assert await names(shop, schema=ref) == []


# Faults


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"version": 0}, "version"),
        ({"version": -1}, "version"),
        ({"as_of_revision": -1}, "as_of_revision"),
        ({"as_of_time": Timestamp(seconds=1 << 60)}, "as_of_time"),
        ({"as_of_time": Timestamp(nanos=-1)}, "as_of_time"),
    ],
)
async def test_faults_of_a_moment_are_reported(shop: Service, fields: dict[str, Any], field: str) -> None:
    async with refused(shop, field):
        await get_at(shop, **fields)
