"""What reads of configurations tell: revision, epoch, etag, form of contents, moments and deleted configurations."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import grpc
import pytest
from grpc import StatusCode

from configapi.v1.configuration_pb2 import CONFIGURATION_VIEW_BASIC, Configuration, ConfigurationRef
from configapi.v1.configuration_service_pb2 import (
    BatchGetConfigurationsRequest,
    ConfigurationItem,
    DiffConfigurationVersionsRequest,
    ExportConfigurationsResponse,
    GetConfigurationRequest,
    ListConfigurationsResponse,
    ListConfigurationVersionsRequest,
)
from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON, CONTENT_FORMAT_STRUCT
from configapi.v1.server_service_pb2 import GetServerStatusRequest
from configsvc.domain.content import JsonObject
from tests.api.calls import (
    SHOP,
    Connection,
    create,
    create_application,
    delete,
    export_request,
    failing,
    get,
    head,
    key,
    key_ref,
    list_request,
    patch,
    refused,
)
from tests.app.scraping import measured_service
from tests.configurations.numbers import set_number
from tests.configurations.numbers import shop as fill_shop
from tests.configurations.pausing import DatabaseReads
from tests.configurations.reading import get_at, rename, timestamp, versions
from tests.feed.pausing import fed
from tests.service import Service, reason_of, running_service
from tests.storage.reading import Session

Read = Callable[..., Awaitable[Any]]


async def read_one(service: Service, **fields: Any) -> Any:
    return await service.configurations.GetConfiguration(GetConfigurationRequest(key=key("web"), **fields))


async def read_batch(service: Service, **fields: Any) -> Any:
    request = BatchGetConfigurationsRequest(refs=[key_ref("web")], **fields)
    return await service.configurations.BatchGetConfigurations(request)


async def read_list(service: Service, **fields: Any) -> ListConfigurationsResponse:
    return await service.configurations.ListConfigurations(list_request(**fields))


async def read_versions(service: Service, **fields: Any) -> Any:
    request = ListConfigurationVersionsRequest(key=key("web"), **fields)
    return await service.configurations.ListConfigurationVersions(request)


async def read_export(service: Service, **fields: Any) -> ExportConfigurationsResponse:
    (message,) = [one async for one in service.configurations.ExportConfigurations(export_request(**fields))]
    return message


READS: tuple[Read, ...] = (read_one, read_batch, read_list, read_versions, read_export)


# Revision, epoch and etag


@pytest.mark.parametrize("read", READS)
async def test_every_read_tells_its_revision_and_its_epoch(shop: Service, psql: Session, read: Read) -> None:
    created = await create(shop, "web", {"n": 0})
    await patch(shop, "web", {"n": 1})
    last = (await create(shop, "api")).revision
    epoch = (await shop.server.GetServerStatus(GetServerStatusRequest())).epoch
    time = await psql.fetchval("SELECT time FROM commits WHERE revision = $1", created.revision)
    moments: list[tuple[dict[str, Any], int]] = [
        ({"min_revision": last}, last),
        ({"latest": True}, last),
        ({"as_of_revision": 0}, last),
        ({"as_of_revision": created.revision}, created.revision),
        ({"as_of_time": timestamp(time)}, created.revision),
    ]
    for moment, revision in moments:
        response = await read(shop, epoch=epoch, **moment)
        assert (response.revision, response.epoch) == (revision, epoch), moment
    for moment in ({"min_revision": last + 1}, {"as_of_revision": last + 1}):
        with failing(StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN"):
            await read(shop, **moment)
    with failing(StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN"):
        await read(shop, as_of_time=timestamp(time + timedelta(days=1)))


@pytest.mark.parametrize("read", READS)
async def test_another_epoch_is_refused_by_every_read(shop: Service, read: Read) -> None:
    await create(shop, "web")
    for moment in ({}, {"latest": True}, {"as_of_revision": 2}):
        with failing(StatusCode.OUT_OF_RANGE, "EPOCH_CHANGED"):
            await read(shop, epoch="another", **moment)
    async with refused(shop, "epoch"):
        await read(shop, epoch="x" * 101)


async def test_an_answer_from_memory_tells_the_revision_that_it_is_current_for(
    service: Service, psql: Session, reads: DatabaseReads
) -> None:
    await fill_shop(psql, "web", "api")
    await fed(service, 3)
    assert (await read_one(service)).revision == 3
    for revision in (4, 5):
        await fed(service, await set_number(psql, revision, "api"))
        response = await read_one(service)
        assert (response.revision, response.configuration.revision) == (revision, 2)
    assert reads.begun == 1
    # A version is shown at its own revision.
    assert (await read_one(service, version=1)).revision == 2


async def test_every_read_of_a_version_has_the_same_etag_and_every_version_another(shop: Service) -> None:
    seen: set[str] = set()
    made = await create(shop, "web", {"n": 0})
    for number in range(1, 4):
        shown = [
            made,
            await get(shop, "web"),
            (await read_batch(shop)).results[0].configuration,
            (await read_list(shop)).configurations[0],
            (await read_versions(shop)).versions[0].configuration,
            await get_at(shop, version=made.version),
            await get_at(shop, as_of_revision=made.revision),
        ]
        (etag,) = {one.etag for one in shown}
        assert etag
        assert etag not in seen
        seen.add(etag)
        made = await patch(shop, "web", {"n": number})
    await delete(shop, "web")
    assert (await create(shop, "web", {"n": 0})).etag not in seen


# The form of contents


CONTENT: JsonObject = {
    "b": [1, 2.5, -3, 1e-7, True, None, 'é\n"\\'],
    "a": {"long key": {}, "z": []},
    "number": 2**53 - 1,
}


async def test_contents_are_text_where_that_is_asked_for(shop: Service) -> None:
    await create(shop, "web", {"n": 0})
    await patch(shop, "web", {"n": 1})
    one = (await read_one(shop, format=CONTENT_FORMAT_JSON)).configuration
    shown: list[Configuration | ConfigurationItem] = [
        one,
        (await read_one(shop, format=CONTENT_FORMAT_JSON, as_of_revision=3)).configuration,
        (await read_batch(shop, format=CONTENT_FORMAT_JSON)).results[0].configuration,
        (await read_list(shop, format=CONTENT_FORMAT_JSON)).configurations[0],
        (await read_versions(shop, format=CONTENT_FORMAT_JSON)).versions[0].configuration,
        (await read_export(shop, format=CONTENT_FORMAT_JSON)).items[0],
    ]
    assert {each.config_json for each in shown} == {'{"n": 1}'}
    assert not any(each.HasField("config") for each in shown)
    structs = (await read_one(shop, format=CONTENT_FORMAT_STRUCT)).configuration
    assert structs.WhichOneof("content") == "config"
    diff = DiffConfigurationVersionsRequest(key=key("web"), format=CONTENT_FORMAT_JSON)
    difference = await shop.configurations.DiffConfigurationVersions(diff)
    assert difference.patch_json == '[{"op":"replace","path":"/n","value":1}]'
    assert not difference.HasField("patch")


async def test_contents_are_chosen_by_text_too(shop: Service) -> None:
    await create(shop, "web", {"n": 1, "m": 2})
    await create(shop, "api", {"n": 2})
    found = await read_list(shop, contains_json='{"n": 1.0}')
    assert [one.name for one in found.configurations] == ["web"]
    assert [one.name for one in (await read_export(shop, json_path="$.n > 1")).items] == ["api"]
    for text, field in (("", ""), ("[]", ""), ("{", ""), ('{"n": 1e400}', "/n")):
        async with refused(shop, f"selector.contains_json{field}"):
            await read_list(shop, contains_json=text)


async def test_text_from_memory_equals_that_of_the_database(psql: Connection, database_url: str) -> None:
    async with running_service(database_url) as cached, running_service(database_url, cache_megabytes=0) as uncached:
        await create_application(cached)
        await create(cached, "web", CONTENT)
        for _ in range(2):
            texts = [
                (await read_one(service, format=CONTENT_FORMAT_JSON)).configuration for service in (cached, uncached)
            ]
            (listed,) = (await read_list(uncached, format=CONTENT_FORMAT_JSON)).configurations
            assert texts[0] == texts[1] == listed
            # The Struct is still there.
            assert (await read_one(cached)).configuration == (await read_one(uncached)).configuration


async def test_both_forms_in_the_cache_count_in_its_memory_and_come_from_one_read(database_url: str) -> None:
    async with measured_service(database_url) as (service, metrics):
        await create_application(service)
        created = await create(service, "web", {"text": "x" * 100_000})
        await fed(service, created.revision)
        await read_one(service, format=CONTENT_FORMAT_JSON)
        before = await metrics.value("configsvc_cache_bytes")
        misses = await metrics.value("configsvc_cache_misses_total")
        for wanted in (CONTENT_FORMAT_STRUCT, CONTENT_FORMAT_JSON):
            answers = [await read_one(service, format=wanted) for _ in range(3)]
            assert len({answer.SerializeToString() for answer in answers}) == 1
        assert 100_000 < await metrics.value("configsvc_cache_bytes") - before < 110_000
        assert await metrics.value("configsvc_cache_misses_total") == misses


# Moments


async def test_a_batch_of_the_past_is_what_single_reads_find(shop: Service, psql: Session) -> None:
    web = await create(shop, "web", {"n": 0})
    await create(shop, "api", {"n": 0})
    await patch(shop, "web", {"n": 1})
    await rename(shop, "api", "old")
    await create(shop, "api", {"n": 5})
    await delete(shop, "web")
    await create(shop, "web", {"n": 9})
    refs = [
        *(key_ref(name) for name in ("web", "api", "old", "never")),
        *(ConfigurationRef(id=each) for each in (web.id, "0" * 26, web.id)),
    ]
    for revision in range(1, await head(shop) + 1):
        request = BatchGetConfigurationsRequest(refs=refs, as_of_revision=revision)
        response = await shop.configurations.BatchGetConfigurations(request)
        assert response.revision == revision
        assert [result.configuration for result in response.results] == [
            await single(shop, ref, revision) for ref in refs
        ]
        time = await psql.fetchval("SELECT time FROM commits WHERE revision = $1", revision)
        request = BatchGetConfigurationsRequest(refs=refs, as_of_time=timestamp(time), view=CONFIGURATION_VIEW_BASIC)
        basic = await shop.configurations.BatchGetConfigurations(request)
        assert [one.configuration.etag for one in basic.results] == [one.configuration.etag for one in response.results]


async def single(service: Service, ref: ConfigurationRef, revision: int) -> Configuration:
    """Return the configuration at a revision; an empty one if there was none."""
    named: dict[str, Any] = {"id": ref.id} if ref.HasField("id") else {"key": ref.key}
    try:
        return await get_at(service, **named, as_of_revision=revision)
    except grpc.aio.AioRpcError as error:
        if reason_of(error) != "RESOURCE_NOT_FOUND":
            raise
        return Configuration()


async def test_versions_are_listed_as_of_a_moment(shop: Service, psql: Session) -> None:
    first = await create(shop, "web", {"n": 0})
    second = await patch(shop, "web", {"n": 1})
    gone = await delete(shop, "web")
    other = await create(shop, "web", {"n": 2})

    async def shown(**fields: Any) -> list[tuple[str, int]]:
        found = await versions(shop, **fields)
        return [(one.configuration.id, one.configuration.version) for one in found]

    assert await shown() == [(other.id, 1)]
    assert await shown(as_of_revision=first.revision) == [(first.id, 1)]
    assert await shown(as_of_revision=second.revision, page_size=1) == [(first.id, 2), (first.id, 1)]
    # What had the name last by then, deleted as it was.
    assert await shown(as_of_revision=gone) == [(first.id, 3), (first.id, 2), (first.id, 1)]
    assert await shown(id=first.id, as_of_revision=gone) == [(first.id, 3), (first.id, 2), (first.id, 1)]
    time = await psql.fetchval("SELECT time FROM commits WHERE revision = $1", second.revision)
    assert await shown(id=first.id, as_of_time=timestamp(time)) == [(first.id, 2), (first.id, 1)]
    for named in ({}, {"id": first.id}):
        with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
            await shown(as_of_revision=1, **named)
    # All pages show one revision.
    page = await read_versions(shop, page_size=1, as_of_revision=gone)
    await asyncio.gather(*(create(shop, f"c{number}") for number in range(3)))
    request = {"page_size": 1, "as_of_revision": gone, "page_token": page.next_page_token}
    assert (await read_versions(shop, **request)).revision == page.revision == gone


# Deleted configurations


async def test_deleted_configurations_are_listed_as_they_were_last(shop: Service, psql: Session) -> None:
    await create_application(shop, "bank")
    first = await create(shop, "web", {"n": 1}, comments="first")
    await delete(shop, "web")
    second = await create(shop, "web", {"n": 2})
    gone = await delete(shop, "web", reason="not needed")
    living = await create(shop, "web", {"n": 3})
    await create(shop, "z", {"n": 1}, application="bank")
    assert list((await read_list(shop, application=SHOP)).configurations) == [living]
    found = list((await read_list(shop, application=SHOP, show_deleted=True)).configurations)
    assert [one.id for one in found] == [living.id, first.id, second.id]
    assert found[2].delete_time == timestamp(await psql.fetchval("SELECT time FROM commits WHERE revision = $1", gone))
    assert not found[0].HasField("delete_time")
    for shown, known in zip(found, (living, first, second), strict=True):
        shown.ClearField("delete_time")
        assert shown == known
    pages: list[str] = []
    token = ""
    while not pages or token:
        page = await read_list(shop, show_deleted=True, page_size=1, page_token=token)
        pages += [one.id for one in page.configurations]
        token = page.next_page_token
    assert pages[1:] == [living.id, first.id, second.id]
    chosen = await read_list(shop, show_deleted=True, json_path="$.n < 3", application=SHOP)
    assert [one.id for one in chosen.configurations] == [first.id, second.id]
    then = await read_list(shop, show_deleted=True, as_of_revision=second.revision)
    assert [(one.id, one.HasField("delete_time")) for one in then.configurations] == [
        (second.id, False),
        (first.id, True),
    ]
    text = await read_list(shop, show_deleted=True, contains_json='{"n": 2}', format=CONTENT_FORMAT_JSON)
    assert [one.config_json for one in text.configurations] == ['{"n": 2}']
