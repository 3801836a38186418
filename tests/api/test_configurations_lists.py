import base64
import json
from typing import Any

import pytest
import pytest_asyncio
from grpc import StatusCode

from configapi.v1.application_pb2 import Application, ApplicationRef
from configapi.v1.application_service_pb2 import ListApplicationsRequest, UpdateApplicationRequest
from configapi.v1.configuration_pb2 import CONFIGURATION_VIEW_BASIC, Configuration
from configapi.v1.configuration_service_pb2 import (
    DeleteConfigurationRequest,
    ListConfigurationsResponse,
)
from configsvc.domain.content import JsonObject, JsonValue
from configsvc.storage import database as connections
from configsvc.wire.page_tokens import with_epoch, without_epoch
from tests.api.calls import (
    SHOP,
    Connection,
    content,
    create,
    create_application,
    failing,
    head,
    key,
    list_request,
    names,
    pages,
    patch,
    refused,
    update,
)
from tests.doors.marks import grpc_only
from tests.service import Door, Service, error_info_of, running_service, struct, violations_of
from tests.storage.reading import Session
from tests.watch.changing import fill

MIB = 1024 * 1024


CONTENTS: dict[str, JsonObject] = {
    "a": {"replicas": 3, "tags": ["x", "y"], "tls": {"on": True, "min": 1.2}},
    "b": {"replicas": 5, "tags": ["y"], "tls": {"on": False}},
    "c": {"replicas": "3", "nothing": None},
    "d": {},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def filled(shared_service: Service) -> Service:
    """Return a service that tests share for reading, with an application named shop that has the CONTENTS."""
    await create_application(shared_service, "shop")
    for name, config in CONTENTS.items():
        await create(shared_service, name, config)
    return shared_service


async def list_page(service: Service, **fields: Any) -> ListConfigurationsResponse:
    return await service.configurations.ListConfigurations(list_request(**fields))


async def delete(service: Service, name: str) -> None:
    await service.configurations.DeleteConfiguration(DeleteConfigurationRequest(key=key(name)))


async def rename_application(service: Service, old: str, new: str) -> None:
    request = UpdateApplicationRequest(name=old, application=Application(name=new))
    await service.applications.UpdateApplication(request)


# Pages


async def test_a_list_is_in_the_order_of_application_and_name(shop: Service) -> None:
    await create_application(shop, "Bank")
    for name in ("b", "a/1", "a-1", "B", "a", "10", "9"):
        await create(shop, name)
    await create(shop, "z", application="Bank")
    assert await names(shop) == ["z", "10", "9", "B", "a", "a-1", "a/1", "b"]


async def test_an_empty_list_is_one_page_of_the_head(shop: Service) -> None:
    response = await list_page(shop)
    assert (list(response.configurations), response.next_page_token, response.revision) == ([], "", 1)


async def test_pages_are_as_large_as_asked_and_50_by_default(shop: Service) -> None:
    for number in range(60):
        await create(shop, f"c{number:02}")
    assert [len(page.configurations) for page in await pages(shop)] == [50, 10]
    assert [len(page.configurations) for page in await pages(shop, page_size=20)] == [20, 20, 20]
    assert [len(page.configurations) for page in await pages(shop, page_size=1000)] == [60]


async def test_page_size_may_differ_between_pages(shop: Service) -> None:
    for number in range(6):
        await create(shop, f"c{number}")
    first = await list_page(shop, page_size=1)
    second = await list_page(shop, page_size=3, page_token=first.next_page_token)
    third = await list_page(shop, page_token=second.next_page_token)
    assert [len(page.configurations) for page in (first, second, third)] == [1, 3, 2]


async def test_all_pages_show_one_revision_while_others_write(shop: Service) -> None:
    # Between the pages, configurations are created, deleted, renamed and updated; applications are renamed and deleted.
    before = [f"c{number:02}" for number in range(20)]
    for number, name in enumerate(before):
        await create(shop, name, {"n": number})
    first = await list_page(shop, page_size=5)
    shown = [first]
    disturbances = [
        [create(shop, "c00a"), create(shop, "c07a"), create(shop, "zz")],
        [delete(shop, "c01"), delete(shop, "c11"), update(shop, "c12", configuration=Configuration(name="a12"))],
        [patch(shop, "c13", {"n": "new"}), update(shop, "c02", configuration=Configuration(name="c19z"))],
        [rename_application(shop, "shop", "zoo")],
    ]
    for disturbance in disturbances:
        for write in disturbance:
            await write
        if shown[-1].next_page_token:
            shown.append(await list_page(shop, page_size=4, page_token=shown[-1].next_page_token))
    while shown[-1].next_page_token:
        shown.append(await list_page(shop, page_size=2, page_token=shown[-1].next_page_token))
    found = [configuration for page in shown for configuration in page.configurations]
    assert [(configuration.application, configuration.name) for configuration in found] == [
        ("shop", name) for name in before
    ]
    assert [content(configuration.config)["n"] for configuration in found] == list(range(20))
    assert {configuration.version for configuration in found} == {1}
    assert {page.revision for page in shown} == {21}


async def test_a_list_of_one_application_goes_on_while_it_is_renamed_and_deleted(shop: Service) -> None:
    await create_application(shop, "bank")
    await create(shop, "other", application="bank")
    for number in range(6):
        await create(shop, f"c{number}")
    first = await list_page(shop, application=SHOP, page_size=2)
    await rename_application(shop, "shop", "store")
    await create_application(shop, "shop")
    await create(shop, "c3a")
    second = await list_page(shop, application=SHOP, page_size=2, page_token=first.next_page_token)
    third = await list_page(shop, application=SHOP, page_size=9, page_token=second.next_page_token)
    found = [*first.configurations, *second.configurations, *third.configurations]
    assert [configuration.name for configuration in found] == [f"c{number}" for number in range(6)]
    assert {configuration.application for configuration in found} == {"shop"}
    assert not third.next_page_token


async def test_a_filtered_list_shows_what_matched_at_its_revision(shop: Service) -> None:
    for number in range(6):
        await create(shop, f"c{number}", {"on": number % 2 == 0})
    chosen: dict[str, Any] = {"contains": struct({"on": True}), "json_path": "$.on == true"}
    first = await list_page(shop, page_size=1, **chosen)
    await patch(shop, "c2", {"on": False})
    await patch(shop, "c3", {"on": True})
    await delete(shop, "c4")
    rest = await list_page(shop, page_token=first.next_page_token, **chosen)
    assert [configuration.name for configuration in rest.configurations] == ["c2", "c4"]
    assert await names(shop, **chosen) == ["c0", "c3"]


async def test_the_basic_view_omits_config(shop: Service) -> None:
    await create(shop, "web", {"a": 1}, comments="c")
    (found,) = (await list_page(shop, view=CONFIGURATION_VIEW_BASIC)).configurations
    assert (found.comments, found.version, found.HasField("config")) == ("c", 1, False)


async def test_a_page_ends_before_it_grows_over_3_mib(shop: Service) -> None:
    for number in range(20):
        await create(shop, f"c{number:02}", {"s": "x" * (250 * 1024)})
    found = await pages(shop, page_size=1000)
    assert len(found) == 2
    assert all(page.ByteSize() <= 3 * MIB for page in found)
    assert [one.name for page in found for one in page.configurations] == [f"c{number:02}" for number in range(20)]
    assert len(await pages(shop, page_size=1000, view=CONFIGURATION_VIEW_BASIC)) == 1


@grpc_only("over HTTP, contents are text alone")
async def test_a_page_is_measured_as_a_message_not_as_text(shop: Service, psql: Connection) -> None:
    # A list of zeros takes three times as much in a Struct as in JSON text.
    await psql.execute(
        """
        INSERT INTO configurations (application, name, config)
        SELECT 'shop', 'c' || number, jsonb_build_object('l', (SELECT jsonb_agg(0) FROM generate_series(1, 40000)))
        FROM generate_series(1, 9) AS number
        """
    )
    found = await pages(shop)
    assert len(found) > 1
    assert all(page.ByteSize() <= 3 * MIB for page in found)
    assert [one.name for page in found for one in page.configurations] == [f"c{number}" for number in range(1, 10)]


async def test_a_page_has_at_most_1000_results_and_a_larger_page_size_is_cut(shop: Service, psql: Session) -> None:
    await fill(psql, 1001)
    revision = await head(shop)
    for size in (1001, 2**31 - 1):
        page = await list_page(shop, page_size=size, min_revision=revision)
        assert (len(page.configurations), bool(page.next_page_token)) == (1000, True)


# Page tokens


async def token_of(service: Service) -> str:
    for name in ("a", "b", "c"):
        await create(service, name)
    return (await list_page(service, page_size=1)).next_page_token


async def test_a_page_token_of_another_request_is_refused(shop: Service) -> None:
    token = await token_of(shop)
    others: list[dict[str, Any]] = [
        {"application": SHOP},
        {"name_prefix": "a"},
        {"contains": struct({})},
        {"json_path": "$.a == 1"},
        {"view": CONFIGURATION_VIEW_BASIC},
        {"min_revision": 1},
    ]
    for other in others:
        async with refused(shop, "page_token"):
            await list_page(shop, page_token=token, **other)
    assert len((await list_page(shop, page_token=token)).configurations) == 2


async def test_a_page_token_of_another_list_is_refused(shop: Service) -> None:
    await create_application(shop, "bank")
    other = await shop.applications.ListApplications(ListApplicationsRequest(page_size=1))
    async with refused(shop, "page_token"):
        await list_page(shop, page_token=other.next_page_token)
    token = await token_of(shop)
    async with refused(shop, "page_token"):
        await shop.applications.ListApplications(ListApplicationsRequest(page_token=token))


async def test_a_page_token_that_is_garbage_is_refused(shop: Service) -> None:
    token = await token_of(shop)
    for garbage in ("x", "ключ", "AAAA", token[:-4], token + token, "e30=", "W10=", "bnVsbA==", token[:-8] + "!" * 8):
        async with refused(shop, "page_token"):
            await list_page(shop, page_token=garbage)


@pytest.mark.parametrize(
    "change",
    [
        {"revision": -1},
        {"revision": 2},
        {"revision": 99},
        {"revision": 2**63},
        {"revision": "3"},
        {"after": []},
        {"after": ["shop"]},
        {"after": ["shop", "0"]},
        {"after": ["shop", "a", "b"]},
        {"after": ["shop", "a\0"]},
        {"after": ["shop", "ä"]},
        {"application_id": "x"},
        {"application_id": "0" * 26},
        {"digest": "0" * 32},
        {"more": 1},
    ],
)
async def test_a_page_token_that_was_tampered_with_is_refused(shop: Service, change: JsonObject) -> None:
    token, epoch = without_epoch(await token_of(shop))
    decoded = json.loads(base64.urlsafe_b64decode(token))
    tampered = base64.urlsafe_b64encode(json.dumps(decoded | change).encode()).decode()
    async with refused(shop, "page_token"):
        await list_page(shop, page_token=with_epoch(tampered, epoch))


# Filters


async def test_a_name_prefix_chooses(shop: Service) -> None:
    for name in ("web", "web/eu", "web/us", "we_b", "wEb", "api"):
        await create(shop, name)
    assert await names(shop, name_prefix="web/") == ["web/eu", "web/us"]
    assert await names(shop, name_prefix="we_") == ["we_b"]
    assert await names(shop, name_prefix="webb") == []


async def test_an_application_chooses_by_name_and_by_id(service: Service) -> None:
    for name in ("shop", "bank"):
        await create_application(service, name)
    created = await create(service, "web")
    await create(service, "api", application="bank")
    assert await names(service, application=SHOP) == ["web"]
    assert await names(service, application=ApplicationRef(id=created.application_id)) == ["web"]
    for ref in (ApplicationRef(name="nowhere"), ApplicationRef(id="0" * 26)):
        with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
            await list_page(service, application=ref)


@pytest.mark.parametrize(
    ("contains", "wanted"),
    [
        ({}, ["a", "b", "c", "d"]),
        ({"replicas": 3}, ["a"]),
        ({"replicas": "3"}, ["c"]),
        ({"tags": ["y"]}, ["a", "b"]),
        ({"tags": ["y", "x"]}, ["a"]),
        ({"tls": {"on": True}}, ["a"]),
        ({"tls": {"min": 1.2}}, ["a"]),
        ({"tls": {}}, ["a", "b"]),
        ({"nothing": None}, ["c"]),
        ({"missing": 1}, []),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_contains_chooses(filled: Service, contains: JsonObject, wanted: list[str]) -> None:
    assert await names(filled, contains=struct(contains)) == wanted


@pytest.mark.parametrize(
    ("json_path", "wanted"),
    [
        ("$.replicas > 3", ["b"]),
        ("lax $.replicas >= 3", ["a", "b"]),
        ("exists($.tls)", ["a", "b"]),
        ('$.tags[*] == "x"', ["a"]),
        ('$.tags == "x"', ["a"]),
        ("$.replicas < 4 && $.tls.on == true", ["a"]),
        ('!(exists($.tags[*] ? (@ == "y")))', ["c", "d"]),
        ('$.replicas.type() == "string"', ["c"]),
        ('$.replicas like_regex "^3$"', ["c"]),
        ("$.nothing == null", ["c"]),
        ("1 < $.replicas", ["a", "b"]),
        ("$.tags.size() > 1", ["a"]),
        ('$.tags[last] == "y" && $.tags[0 to 1] == "x"', ["a"]),
        ('$.tags[last - 1, 7] == "x"', ["a"]),
        ("$.tls.* == false", ["b"]),
        ('"3" == $."replicas"', ["c"]),
        ("($.replicas > 2) is unknown", ["c"]),
        ('$.replicas like_regex "^[0-9]$" flag "i"', ["c"]),
        ('$.tags[*] starts with "x" || $.nothing == null', ["a", "c"]),
        ("$.replicas <> 3 && exists($.replicas)", ["b"]),
        ("exists($.tls ? (@.on == true && $.replicas == 3 && exists(@.min ? (@ < 2))))", ["a"]),
        ('$.nothing == "** == $.replicas **"', []),
        ("$.** == -1", []),
        ("$.a.b.c == 1", []),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_json_path_chooses(filled: Service, json_path: str, wanted: list[str]) -> None:
    assert await names(filled, json_path=json_path) == wanted


@pytest.mark.asyncio(loop_scope="module")
async def test_filters_are_joined_by_and(filled: Service) -> None:
    chosen: dict[str, Any] = {"contains": struct({"tags": ["y"]}), "json_path": "$.replicas > 1"}
    assert await names(filled, application=SHOP, **chosen) == ["a", "b"]
    assert await names(filled, application=SHOP, name_prefix="b", **chosen) == ["b"]


@pytest.mark.parametrize(
    ("json_path", "word"),
    [
        ("$.replicas", "at character 11: expected a predicate"),
        ("strict $.replicas > 3", "strict mode is not supported"),
        ("replicas > 3", "at character 1: expected a path"),
        ('$.a like_regex "("', "pattern"),
        ("(" * 600, "nested too deep"),
        ("'; DROP TABLE configurations; --", "at character 1"),
        ("$.a == 1" + " " * 1024, "1024"),
        ("$.a == 1\0", "at character 9"),
        ("$.**.a.** == 1", "a second **"),
        ("$.a[*] < $.a[*]", "compared with a path"),
        ("$.a + 1 == 4", "has no meaning"),
        ('$.time.datetime() < "2020-01-01".datetime()', "there is no method datetime()"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_json_path_must_be_a_predicate_of_the_grammar(filled: Service, json_path: str, word: str) -> None:
    async with refused(filled, "selector.json_path") as caught:
        await list_page(filled, json_path=json_path)
    assert word in violations_of(caught.value)["selector.json_path"]


async def test_a_filter_that_takes_too_long_is_resource_exhausted(
    database_url: str, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "READ_SETTINGS", connections.READ_SETTINGS | {"statement_timeout": "300ms"})
    async with running_service(database_url, door=door) as service:
        await create_application(service, "shop")
        await create(service, "web", {"a": list[JsonValue]([1] * 20_000)})
        slow = "exists($.a[*] ? (exists($.a[*] ? (@ == 2))))"
        with failing(StatusCode.RESOURCE_EXHAUSTED, "FILTER_TOO_SLOW"):
            await list_page(service, json_path=slow)
        assert await names(service, json_path="$.a == 1") == ["web"]


# min_revision


async def test_a_list_takes_min_revision(shop: Service) -> None:
    await create(shop, "web")
    assert (await list_page(shop, min_revision=2)).revision == 2
    with failing(StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN") as caught:
        await list_page(shop, min_revision=3)
    assert error_info_of(caught.value).metadata["head_revision"] == "2"
    assert await head(shop) == 2


async def test_one_process_reads_what_was_written_through_another(shop: Service, database_url: str, door: Door) -> None:
    async with running_service(database_url, door=door) as other:
        for number in range(10):
            created = await create(shop, f"c{number}")
            assert created.name in await names(other, min_revision=created.revision)
