import asyncio
import json
import uuid
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import ResourceInfo
from grpc import StatusCode

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.configuration_pb2 import CONFIGURATION_VIEW_BASIC, Configuration, ConfigurationRef
from configapi.v1.configuration_service_pb2 import (
    BatchGetConfigurationsRequest,
    BatchGetConfigurationsResponse,
    CreateConfigurationRequest,
    CreateConfigurationResponse,
    DeleteConfigurationRequest,
    GetConfigurationRequest,
    UpdateConfigurationRequest,
)
from configsvc.domain.content import JsonObject
from tests.api.calls import (
    Connection,
    content,
    create,
    create_application,
    creation,
    delete,
    failing,
    get,
    head,
    key_ref,
    names,
    patch,
    refused,
    update,
)
from tests.configurations.reading import get_at
from tests.domain.merges import RFC_7396
from tests.doors.marks import grpc_only
from tests.service import Service, error_info_of, status_of, struct

KIB = 1024


async def batch(service: Service, refs: list[ConfigurationRef], **fields: Any) -> BatchGetConfigurationsResponse:
    request = BatchGetConfigurationsRequest(refs=refs, **fields)
    return await service.configurations.BatchGetConfigurations(request)


def found_in(response: BatchGetConfigurationsResponse) -> list[Configuration | None]:
    """Return the configuration of each result of a batch, or None."""
    return [one.configuration if one.HasField("configuration") else None for one in response.results]


async def stored(psql: Connection, name: str) -> str:
    """Return the content as PostgreSQL writes it."""
    return await psql.fetchval("SELECT config::text FROM configurations WHERE name = $1", name)


# Create and get


async def test_a_configuration_is_created_and_got_by_id_and_by_key(shop: Service) -> None:
    created = await create(shop, "web/eu", {"replicas": 3}, comments="Größe", reason="first")
    assert (created.application, created.name, created.comments) == ("shop", "web/eu", "Größe")
    assert (created.version, created.revision) == (1, 2)
    assert (created.created_by, created.updated_by) == ("anonymous", "anonymous")
    assert created.create_time == created.update_time
    assert content(created.config) == {"replicas": 3}
    assert await get(shop, "web/eu") == created
    assert await get_at(shop, id=created.id) == created


async def test_an_application_may_be_named_by_its_id(service: Service) -> None:
    application = await create_application(service, "shop")
    ref = ApplicationRef(id=application.id)
    request = CreateConfigurationRequest(application=ref, name="web", config=Struct())
    created = (await service.configurations.CreateConfiguration(request)).configuration
    assert (created.application_id, created.application) == (application.id, "shop")
    assert await names(service, application=ref) == ["web"]


async def test_a_configuration_that_does_not_exist_is_not_found(shop: Service) -> None:
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND") as caught:
        await get(shop, "web")
    info = ResourceInfo()
    assert any(detail.Unpack(info) for detail in status_of(caught.value).details)
    assert (info.resource_type, info.resource_name) == ("configuration", "shop:web")
    for call in (update(shop, "web", configuration=Configuration(comments="c")), delete(shop, "web")):
        with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
            await call


async def test_a_name_is_taken_within_its_application_only(shop: Service) -> None:
    await create_application(shop, "bank")
    await create(shop, "web")
    await create(shop, "web", application="bank")
    with failing(StatusCode.ALREADY_EXISTS, "RESOURCE_EXISTS"):
        await create(shop, "web")
    await create(shop, "api")
    with failing(StatusCode.ALREADY_EXISTS, "RESOURCE_EXISTS"):
        await update(shop, "api", configuration=Configuration(name="web"))
    assert await names(shop, application=ApplicationRef(name="shop")) == ["api", "web"]


async def test_two_that_create_one_name_at_once_get_one_configuration(shop: Service) -> None:
    request = creation("web")
    answers = await asyncio.gather(
        *(shop.configurations.CreateConfiguration(request) for _ in range(4)), return_exceptions=True
    )
    assert sum(isinstance(answer, CreateConfigurationResponse) for answer in answers) == 1
    assert await head(shop) == 2


async def test_an_empty_config_is_one(shop: Service) -> None:
    created = await create(shop, "web", {})
    assert created.HasField("config")
    assert (await get(shop, "web")).HasField("config")
    replaced = await update(shop, "web", configuration=Configuration(config=struct({"a": 1})))
    assert content(replaced.config) == {"a": 1}
    emptied = await update(shop, "web", configuration=Configuration(config=Struct()))
    assert (content(emptied.config), emptied.version) == ({}, 3)


# Contents


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (1, "1"),
        (-3.0, "-3"),
        (2**53 - 1, "9007199254740991"),
        (-(2**53 - 1), "-9007199254740991"),
        (0.1, "0.1"),
        (-0.0, "0"),
        (123456.75, "123456.75"),
        (1e15, "1000000000000000"),
        (5e-324, None),
        (1e-300, None),
        (0.30000000000000004, "0.30000000000000004"),
        (4503599627370495.5, "4503599627370495.5"),
    ],
)
async def test_a_number_comes_back_exactly(shop: Service, psql: Connection, number: float, text: str | None) -> None:
    await create(shop, "web", {"n": number})
    assert (await get(shop, "web")).config.fields["n"].number_value == number
    shown = await stored(psql, "web")
    assert json.loads(shown)["n"] == number
    if text:
        assert shown == f'{{"n": {text}}}'


async def test_keys_and_strings_may_be_any_unicode(shop: Service) -> None:
    odd: JsonObject = {
        "ключ": "значение",
        "日本": {"🦊/~0": "\u200b\ufeff", "": "empty key"},
        "e\u0301": 1,
        "é": 2,
        '\u0001\u001f"\\': "\uffff\U0010ffff",
    }
    created = await create(shop, "web", odd)
    assert content(created.config) == odd
    assert await get(shop, "web") == created


async def test_every_kind_of_value_comes_back(shop: Service) -> None:
    every: JsonObject = {
        "s": "",
        "b": True,
        "f": False,
        "n": None,
        "l": [1, [], {}, None, "x", [False]],
        "o": {"o": {}},
    }
    created = await create(shop, "web", every)
    assert content(created.config) == every
    assert content((await get(shop, "web")).config) == every


async def test_a_config_of_256_kib_is_kept(shop: Service) -> None:
    # {"s":"…"} takes eight bytes more than its text.
    largest = "x" * (256 * KIB - 8)
    assert content((await create(shop, "web", {"s": largest})).config) == {"s": largest}
    async with refused(shop, "config"):
        await create(shop, "larger", {"s": largest + "x"})


# Update


async def test_config_is_replaced(shop: Service) -> None:
    created = await create(shop, "web", {"a": 1, "b": 2}, comments="kept")
    updated = await update(shop, "web", configuration=Configuration(config=struct({"c": 3})))
    assert content(updated.config) == {"c": 3}
    assert (updated.id, updated.comments, updated.version, updated.revision) == (created.id, "kept", 2, 3)
    assert updated.create_time == created.create_time
    assert await get(shop, "web") == updated


MERGES: list[tuple[JsonObject, JsonObject, JsonObject]] = [
    *RFC_7396,
    ({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ({"a": [1]}, {"a": [None]}, {"a": [None]}),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_shop(shared_service: Service) -> Service:
    """Return a service that tests share, with an application named shop."""
    await create_application(shared_service, "shop")
    return shared_service


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("target", "change", "wanted"), MERGES)
async def test_a_merge_patch_follows_rfc_7396(
    shared_shop: Service, target: JsonObject, change: JsonObject, wanted: JsonObject
) -> None:
    name = uuid.uuid4().hex
    await create(shared_shop, name, target)
    patched = await patch(shared_shop, name, change)
    assert content(patched.config) == wanted
    assert patched.version == 2


async def test_a_merge_patch_goes_with_a_mask_of_other_fields(shop: Service) -> None:
    await create(shop, "web", {"a": 1})
    new = Configuration(comments="new", name="www")
    updated = await patch(shop, "web", {"b": 2}, configuration=new, update_mask=FieldMask(paths=["comments", "name"]))
    assert (updated.name, updated.comments, content(updated.config)) == ("www", "new", {"a": 1, "b": 2})
    assert updated.version == 2


async def test_a_merge_patch_and_a_new_config_exclude_each_other(shop: Service) -> None:
    await create(shop, "web", {"a": 1})
    async with refused(shop, "merge_patch"):
        await patch(shop, "web", {"b": 2}, configuration=Configuration(config=struct({"c": 3})))


async def test_a_merge_patch_must_not_make_the_config_too_large(shop: Service) -> None:
    await create(shop, "web", {"a": "x" * 200 * KIB})
    async with refused(shop, "merge_patch"):
        await patch(shop, "web", {"b": "x" * 100 * KIB})


async def test_the_mask_names_what_changes(shop: Service) -> None:
    await create(shop, "web", {"a": 1}, comments="old")
    new = Configuration(name="www", comments="new", config=struct({"b": 2}), id="ignored", version=99)
    commented = await update(shop, "web", configuration=new, update_mask=FieldMask(paths=["comments"]))
    assert (commented.name, commented.comments, content(commented.config)) == ("web", "new", {"a": 1})
    configured = await update(shop, "web", configuration=new, update_mask=FieldMask(paths=["config"]))
    assert (configured.name, content(configured.config)) == ("web", {"b": 2})
    renamed = await update(shop, "web", configuration=new, update_mask=FieldMask(paths=["name"]))
    assert (renamed.name, renamed.version) == ("www", 4)
    cleared = await update(shop, "www", configuration=Configuration(), update_mask=FieldMask(paths=["comments"]))
    assert cleared.comments == ""


async def test_a_star_in_the_mask_takes_everything(shop: Service) -> None:
    await create(shop, "web", {"a": 1}, comments="old")
    star = FieldMask(paths=["*"])
    updated = await update(shop, "web", configuration=Configuration(name="www", config=struct({})), update_mask=star)
    assert (updated.name, updated.comments, content(updated.config)) == ("www", "", {})
    async with refused(shop, "configuration.config", "configuration.name"):
        await update(shop, "www", configuration=Configuration(comments="c"), update_mask=star)


async def test_an_empty_mask_takes_what_is_set(shop: Service) -> None:
    await create(shop, "web", {"a": 1}, comments="old")
    updated = await update(shop, "web", configuration=Configuration(comments="new"))
    assert (updated.name, updated.comments, content(updated.config)) == ("web", "new", {"a": 1})
    async with refused(shop, "update_mask"):
        await update(shop, "web", configuration=Configuration(version=7))


async def test_a_renamed_configuration_keeps_its_id_and_frees_its_name(shop: Service) -> None:
    created = await create(shop, "web", {"a": 1})
    renamed = await update(shop, "web", configuration=Configuration(name="www"))
    assert (renamed.id, renamed.version) == (created.id, 2)
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await get(shop, "web")
    assert (await create(shop, "web")).id != created.id


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"a": 1, "b": [1, 2]}, {"b": [1, 2], "a": 1.0}),
        ({"a": {"b": {}}}, {"a": {"b": {}}}),
        ({"n": -0.0}, {"n": 0}),
        ({"n": 1e-300}, {"n": 1e-300}),
    ],
)
async def test_a_write_that_changes_nothing_makes_no_version_and_no_revision(
    shop: Service, old: JsonObject, new: JsonObject
) -> None:
    created = await create(shop, "web", old, comments="same")
    again = Configuration(name="web", comments="same", config=struct(new))
    assert await update(shop, "web", configuration=again) == created
    assert await patch(shop, "web", new) == created
    assert await patch(shop, "web", {"missing": None}) == created
    assert await head(shop) == 2


async def test_true_is_not_one(shop: Service) -> None:
    await create(shop, "web", {"a": 1})
    updated = await patch(shop, "web", {"a": True})
    assert (content(updated.config), updated.version) == ({"a": True}, 2)


async def test_another_expected_version_is_aborted_and_tells_the_current_one(shop: Service) -> None:
    await create(shop, "web", {"a": 1})
    await patch(shop, "web", {"a": 2}, expected_version=1)
    with failing(StatusCode.ABORTED, "VERSION_MISMATCH") as caught:
        await patch(shop, "web", {"a": 3}, expected_version=1)
    assert error_info_of(caught.value).metadata["current_version"] == "2"
    with failing(StatusCode.ABORTED, "VERSION_MISMATCH"):
        await patch(shop, "web", {"a": 2}, expected_version=3)
    with failing(StatusCode.ABORTED, "VERSION_MISMATCH"):
        await delete(shop, "web", expected_version=1)
    assert await head(shop) == 3
    assert await delete(shop, "web", expected_version=2) == 4


async def test_of_many_with_one_expected_version_one_wins(shop: Service) -> None:
    await create(shop, "web", {"a": 0})
    answers = await asyncio.gather(
        *(patch(shop, "web", {"a": number}, expected_version=1) for number in range(1, 6)), return_exceptions=True
    )
    assert sum(isinstance(answer, Configuration) for answer in answers) == 1
    assert (await get(shop, "web")).version == 2


async def test_updates_at_once_are_all_kept(shop: Service) -> None:
    await create(shop, "web")
    await asyncio.gather(*(patch(shop, "web", {f"k{number}": number}) for number in range(10)))
    changed = await get(shop, "web")
    assert content(changed.config) == {f"k{number}": number for number in range(10)}
    assert changed.version == 11


# Delete


async def test_a_deleted_configuration_is_gone_and_its_name_is_free(shop: Service) -> None:
    created = await create(shop, "web")
    request = DeleteConfigurationRequest(id=created.id, reason="done")
    assert (await shop.configurations.DeleteConfiguration(request)).revision == 3
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await get(shop, "web")
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await shop.configurations.DeleteConfiguration(request)
    again = await create(shop, "web")
    assert (again.version, again.revision) == (1, 4)
    assert again.id != created.id


# Revisions, actors, trials


async def test_revisions_are_gapless_one_a_commit(shop: Service, psql: Connection) -> None:
    for number in range(3):
        await create(shop, f"c{number}")
    patched = await asyncio.gather(*(patch(shop, f"c{number % 3}", {"n": number}) for number in range(9)))
    commits = {one.revision for one in patched}
    with failing(StatusCode.ALREADY_EXISTS, "RESOURCE_EXISTS"):
        await create(shop, "c0")
    await create(shop, "tried", validate_only=True)
    await delete(shop, "c0")
    revisions = [row["revision"] for row in await psql.fetch("SELECT revision FROM commits ORDER BY revision")]
    assert revisions == list(range(1, 4 + len(commits) + 2))
    assert await head(shop) == revisions[-1]


async def test_a_change_in_sql_names_the_database_role(shop: Service, psql: Connection) -> None:
    created = await create(shop, "web", {"a": 1})
    await psql.execute("UPDATE configurations SET config = '{\"a\": 2}', updated_by = 'forged' WHERE name = 'web'")
    changed = await get(shop, "web")
    role = await psql.fetchval("SELECT session_user")
    assert (changed.created_by, changed.updated_by) == ("anonymous", f"database:{role}")
    assert (changed.version, changed.revision) == (2, created.revision + 1)
    await psql.execute("INSERT INTO configurations (application, name, config) VALUES ('shop', 'api', '{}')")
    assert (await get(shop, "api")).created_by == f"database:{role}"


async def test_who_and_why_are_kept_with_the_change(shop: Service, psql: Connection) -> None:
    await create(shop, "web", {"a": 1}, reason="because")
    await patch(shop, "web", {"a": 2}, reason="since")
    await delete(shop, "web", reason="enough")
    rows = await psql.fetch("SELECT actor, reason FROM changes WHERE kind = 'CONFIGURATION' ORDER BY revision")
    assert [tuple(row) for row in rows] == [("anonymous", "because"), ("anonymous", "since"), ("anonymous", "enough")]


async def test_validate_only_answers_as_if_done_and_keeps_nothing(shop: Service, psql: Connection) -> None:
    tried = await create(shop, "web", {"a": 1}, validate_only=True)
    assert (tried.name, tried.version, tried.revision, content(tried.config)) == ("web", 1, 0, {"a": 1})
    assert await names(shop) == []
    created = await create(shop, "web", {"a": 1})
    tried = await patch(shop, "web", {"b": 2}, validate_only=True)
    assert (tried.id, tried.version, tried.revision) == (created.id, 2, 0)
    assert content(tried.config) == {"a": 1, "b": 2}
    assert await delete(shop, "web", validate_only=True) == 0
    assert await get(shop, "web") == created
    assert await head(shop) == 2
    assert await psql.fetchval("SELECT count(*) FROM change_records") == 2


async def test_validate_only_finds_the_same_faults(shop: Service) -> None:
    await create(shop, "web", {"a": 1})
    with failing(StatusCode.ALREADY_EXISTS, "RESOURCE_EXISTS"):
        await create(shop, "web", validate_only=True)
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await create(shop, "web", application="nowhere", validate_only=True)
    with failing(StatusCode.ABORTED, "VERSION_MISMATCH"):
        await patch(shop, "web", {"b": 2}, expected_version=9, validate_only=True)
    async with refused(shop, "name"):
        await create(shop, "..", validate_only=True)


# Batch get


async def test_a_batch_is_answered_in_the_order_of_the_request(shop: Service) -> None:
    created = {name: await create(shop, name, {"n": name}) for name in ("a", "b", "c")}
    response = await batch(shop, [key_ref("c"), ConfigurationRef(id=created["a"].id), key_ref("b")])
    assert found_in(response) == [created["c"], created["a"], created["b"]]
    assert response.revision == 4


async def test_a_batch_has_a_result_for_each_reference_at_its_place(shop: Service) -> None:
    created = await create(shop, "web")
    missing = ConfigurationRef(id="0" * 26)
    refs = [key_ref("web"), missing, ConfigurationRef(id=created.id), key_ref("web"), missing]
    assert found_in(await batch(shop, refs)) == [created, None, created, created, None]


async def test_what_does_not_exist_is_an_empty_result_of_a_batch(shop: Service) -> None:
    created = await create(shop, "web")
    missing = [key_ref("web", "bank"), ConfigurationRef(id="0" * 26), key_ref("api")]
    response = await batch(shop, [missing[0], key_ref("web"), *missing[1:]])
    assert found_in(response) == [None, created, None, None]
    nothing = await batch(shop, missing)
    assert (found_in(nothing), nothing.revision) == ([None] * 3, 2)


async def test_a_batch_in_the_basic_view_omits_config(shop: Service) -> None:
    await create(shop, "web", {"a": 1}, comments="c")
    (result,) = (await batch(shop, [key_ref("web")], view=CONFIGURATION_VIEW_BASIC)).results
    found = result.configuration
    assert not found.HasField("content")
    assert found.comments == "c"


async def test_a_batch_that_would_be_too_large_is_refused(shop: Service) -> None:
    for number in range(13):
        await create(shop, f"c{number}", {"s": "x" * 250 * KIB})
    refs = [key_ref(f"c{number}") for number in range(13)]
    with failing(StatusCode.RESOURCE_EXHAUSTED, "RESPONSE_TOO_LARGE"):
        await batch(shop, refs)
    assert len((await batch(shop, refs[:12])).results) == 12
    assert len((await batch(shop, refs, view=CONFIGURATION_VIEW_BASIC)).results) == 13


@grpc_only("over HTTP, contents are text alone")
async def test_a_batch_that_is_small_as_text_and_large_as_message_is_refused_too(
    shop: Service, psql: Connection
) -> None:
    await psql.execute(
        """
        INSERT INTO configurations (application, name, config)
        SELECT 'shop', 'c' || number, jsonb_build_object('l', (SELECT jsonb_agg(0) FROM generate_series(1, 40000)))
        FROM generate_series(1, 8) AS number
        """
    )
    with failing(StatusCode.RESOURCE_EXHAUSTED, "RESPONSE_TOO_LARGE"):
        await batch(shop, [key_ref(f"c{number}") for number in range(1, 9)])


async def test_a_batch_names_between_1_and_1000(shop: Service) -> None:
    async with refused(shop, "refs"):
        await batch(shop, [])
    async with refused(shop, "refs"):
        await batch(shop, [key_ref("web")] * 1001)
    assert found_in(await batch(shop, [key_ref("web")] * 1000)) == [None] * 1000


async def test_reads_take_min_revision(shop: Service) -> None:
    created = await create(shop, "web")
    request = GetConfigurationRequest(id=created.id, min_revision=created.revision)
    assert (await shop.configurations.GetConfiguration(request)).configuration == created
    assert (await batch(shop, [key_ref("web")], min_revision=2)).revision == 2
    request.min_revision = 3
    with failing(StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN") as caught:
        await shop.configurations.GetConfiguration(request)
    assert error_info_of(caught.value).metadata["head_revision"] == "2"
    with failing(StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN"):
        await batch(shop, [key_ref("web")], min_revision=3)


async def test_an_update_by_id_is_the_same(shop: Service) -> None:
    created = await create(shop, "web", {"a": 1})
    request = UpdateConfigurationRequest(id=created.id, merge_patch=struct({"a": 2}))
    updated = (await shop.configurations.UpdateConfiguration(request)).configuration
    assert updated == await get(shop, "web")
