"""Bad input of every kind: a clear INVALID_ARGUMENT that names the field, and no change."""

import math
import uuid
from collections.abc import Callable
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value

from configapi.v1.application_pb2 import Application, ApplicationRef
from configapi.v1.application_service_pb2 import (
    CreateApplicationRequest,
    DeleteApplicationRequest,
    GetApplicationRequest,
    ListApplicationsRequest,
    UpdateApplicationRequest,
)
from configapi.v1.configuration_pb2 import Configuration, ConfigurationRef
from configapi.v1.configuration_service_pb2 import (
    BatchGetConfigurationsRequest,
    CreateConfigurationRequest,
    DeleteConfigurationRequest,
    GetConfigurationRequest,
    HistoryPosition,
    ListConfigurationsRequest,
    SnapshotOptions,
    UpdateConfigurationRequest,
    WatchConfigurationsRequest,
)
from configapi.v1.selector_pb2 import ConfigurationSelector
from configsvc.api.services import SERVICES
from configsvc.api.status_sizes import MAX_WIRE_BYTES, wire_bytes
from configsvc.domain.content import JsonObject, JsonValue
from tests.api.calls import (
    SHOP,
    content,
    create,
    create_application,
    creation,
    failing,
    get,
    head,
    key,
    list_request,
    pages,
    refused,
    update,
)
from tests.doors.marks import grpc_only
from tests.doors.outcomes import outcome_of
from tests.service import Door, Service, error_info_of, status_of, struct, violations_of
from tests.watch.changing import watching, with_epoch

INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(shared_service: Service) -> Service:
    """Return the service with an application named shop and its configuration web; tests that create more use other
    names.
    """
    await create_application(shared_service, "shop")
    await create(shared_service, "web", {"a": 1})
    return shared_service


DESCRIPTORS = [method for service in SERVICES for method in service.methods]
OURS = {"ApplicationService", "AuditService", "ConfigurationService", "ServerService"}
METHODS = {
    method.input_type.full_name: f"/{method.containing_service.full_name}/{method.name}"
    for method in DESCRIPTORS
    if method.containing_service.name in OURS
}
# For what only bytes of protobuf can say.
of_bytes = grpc_only("JSON has another form")


async def send(service: Service, request: Message) -> None:
    """Call the method of the request, and read its first answer."""
    (method,) = (one for one in DESCRIPTORS if one.input_type.full_name == request.DESCRIPTOR.full_name)
    outcome = await outcome_of(service, method, request)
    if isinstance(outcome, grpc.aio.AioRpcError):
        raise outcome


async def send_bytes(service: Service, method: str, data: bytes) -> None:
    """Call a method with bytes, and read its answers."""
    if method.endswith("/WatchConfigurations"):
        async for _ in service.channel.unary_stream(method)(data):
            return
    else:
        await service.channel.unary_unary(method)(data)


def nested_object(levels: int) -> JsonObject:
    value: JsonObject = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def nested_list(levels: int) -> JsonObject:
    value: JsonValue = []
    for _ in range(levels - 2):
        value = [value]
    return {"a": value}


def number_struct(value: float) -> Struct:
    return Struct(fields={"a": Value(list_value=ListValue(values=[Value(number_value=value)]))})


# Names, ids and texts

LONG = "x" * 257
BAD_NAMES = [
    "",
    LONG,
    "..",
    ".",
    "a/../b",
    "a/./b",
    "a//b",
    "/a",
    "a/",
    ".hidden",
    "-a",
    "_a",
    "a b",
    "ä",
    "a\0",
    "a\n",
    "ａ",
]


@pytest.mark.parametrize("name", BAD_NAMES)
async def test_a_bad_name_is_refused(shop: Service, name: str) -> None:
    star = FieldMask(paths=["name"])
    for request, fields in (
        (CreateApplicationRequest(name=name), ["name"]),
        (GetApplicationRequest(name=name), ["name"]),
        (
            UpdateApplicationRequest(name="shop", application=Application(name=name), update_mask=star),
            ["application.name"],
        ),
        (DeleteApplicationRequest(name=name), ["name"]),
        (creation(name), ["name"]),
        (creation("api", application=name), ["application.name"]),
        (GetConfigurationRequest(key=key(name)), ["key.name"]),
        (GetConfigurationRequest(key=key("web", name)), ["key.application"]),
        (
            UpdateConfigurationRequest(key=key("web"), configuration=Configuration(name=name), update_mask=star),
            ["configuration.name"],
        ),
        (DeleteConfigurationRequest(key=key(name, name)), ["key.application", "key.name"]),
        (BatchGetConfigurationsRequest(refs=[ConfigurationRef(key=key(name))]), ["refs[0].key.name"]),
        (list_request(application=ApplicationRef(name=name)), ["selector.application.name"]),
        (WatchConfigurationsRequest(selectors=[ConfigurationSelector(names=[name])]), ["selectors[0].names[0]"]),
    ):
        async with refused(shop, *fields):
            await send(shop, request)


async def test_the_longest_name_is_fine(shop: Service) -> None:
    longest = "a/" * 127 + "bc"
    assert len(longest) == 256
    application = longest.replace("/", "-")
    await create_application(shop, application)
    assert (await create(shop, longest, application=application)).name == longest


ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
BAD_IDS = [
    "",
    ULID.lower(),
    ULID[:-1],
    ULID + "0",
    "8" + ULID[1:],
    ULID.replace("A", "U", 1),
    ULID[:-1] + "\0",
    str(uuid.UUID(int=1)),
]


@pytest.mark.parametrize("bad", BAD_IDS)
async def test_a_bad_id_is_refused(shop: Service, bad: str) -> None:
    for request, field in (
        (GetApplicationRequest(id=bad), "id"),
        (UpdateApplicationRequest(id=bad, application=Application(comments="c")), "id"),
        (DeleteApplicationRequest(id=bad), "id"),
        (GetConfigurationRequest(id=bad), "id"),
        (UpdateConfigurationRequest(id=bad, merge_patch=struct({"a": 1})), "id"),
        (DeleteConfigurationRequest(id=bad), "id"),
        (BatchGetConfigurationsRequest(refs=[ConfigurationRef(id=bad)]), "refs[0].id"),
        (CreateConfigurationRequest(application=ApplicationRef(id=bad), name="api", config=Struct()), "application.id"),
        (list_request(application=ApplicationRef(id=bad)), "selector.application.id"),
        (
            WatchConfigurationsRequest(selectors=[ConfigurationSelector(application=ApplicationRef(id=bad))]),
            "selectors[0].application.id",
        ),
    ):
        async with refused(shop, field):
            await send(shop, request)


@pytest.mark.parametrize(
    "bad", ["x", "0", ULID.lower(), "{" + str(uuid.UUID(int=1)) + "}", uuid.UUID(int=1).hex, "a\0"]
)
async def test_a_bad_request_id_is_refused(shop: Service, bad: str) -> None:
    for request in (
        CreateApplicationRequest(name="bank", request_id=bad),
        UpdateApplicationRequest(name="shop", application=Application(comments="c"), request_id=bad),
        DeleteApplicationRequest(name="shop", request_id=bad),
        creation("api", request_id=bad),
        UpdateConfigurationRequest(key=key("web"), merge_patch=struct({"a": 2}), request_id=bad),
        DeleteConfigurationRequest(key=key("web"), request_id=bad),
    ):
        async with refused(shop, "request_id"):
            await send(shop, request)


@pytest.mark.parametrize("bad", ["x" * 1025, "a\0b"])
async def test_bad_comments_and_reasons_are_refused(shop: Service, bad: str) -> None:
    for request, fields in (
        (CreateApplicationRequest(name="bank", comments=bad, reason=bad), ["comments", "reason"]),
        (UpdateApplicationRequest(name="shop", application=Application(comments=bad)), ["application.comments"]),
        (DeleteApplicationRequest(name="shop", reason=bad), ["reason"]),
        (creation("api", comments=bad, reason=bad), ["comments", "reason"]),
        (
            UpdateConfigurationRequest(key=key("web"), configuration=Configuration(comments=bad), reason=bad),
            ["configuration.comments", "reason"],
        ),
        (DeleteConfigurationRequest(key=key("web"), reason=bad), ["reason"]),
    ):
        async with refused(shop, *fields):
            await send(shop, request)


async def test_comments_and_reason_may_have_1024_characters_of_any_kind(shop: Service) -> None:
    text = "🦊" * 1024
    assert (await create(shop, "commented", comments=text, reason=text)).comments == text


async def test_a_bad_name_prefix_is_refused(shop: Service) -> None:
    for bad in (LONG, "a b", "ä", "a\0", "a%"):
        async with refused(shop, "selector.name_prefix"):
            await send(shop, list_request(name_prefix=bad))
        async with refused(shop, "name_prefix"):
            await send(shop, ListApplicationsRequest(name_prefix=bad))
        async with refused(shop, "selectors[0].name_prefix"):
            await send(shop, WatchConfigurationsRequest(selectors=[ConfigurationSelector(name_prefix=bad)]))


# Contents


@pytest.mark.parametrize(
    "number",
    [
        2.0**53,
        -(2.0**53),
        1e300,
        *(
            pytest.param(number, marks=grpc_only("JSON has no such number"))
            for number in (math.nan, math.inf, -math.inf)
        ),
    ],
)
async def test_a_number_that_is_not_exact_is_refused(shop: Service, number: float) -> None:
    bad = number_struct(number)
    for request, field in (
        (CreateConfigurationRequest(application=SHOP, name="api", config=bad), "config/a/0"),
        (
            UpdateConfigurationRequest(key=key("web"), configuration=Configuration(config=bad)),
            "configuration.config/a/0",
        ),
        (UpdateConfigurationRequest(key=key("web"), merge_patch=bad), "merge_patch/a/0"),
        (list_request(contains=bad), "selector.contains/a/0"),
    ):
        async with refused(shop, field):
            await send(shop, request)


async def test_a_config_of_300_kib_is_refused(shop: Service) -> None:
    large = struct({"s": "x" * 300 * 1024})
    for request, field in (
        (CreateConfigurationRequest(application=SHOP, name="api", config=large), "config"),
        (UpdateConfigurationRequest(key=key("web"), configuration=Configuration(config=large)), "configuration.config"),
        (UpdateConfigurationRequest(key=key("web"), merge_patch=large), "merge_patch"),
        (list_request(contains=large), "selector.contains"),
    ):
        async with refused(shop, field):
            await send(shop, request)


async def test_the_limit_of_a_config_counts_bytes_not_characters(shop: Service) -> None:
    async with refused(shop, "config"):
        await create(shop, "api", {"s": "€" * 100 * 1024})


@pytest.mark.parametrize("nested", [nested_object, nested_list])
async def test_32_levels_are_fine_also_through_list_and_watch(
    shop: Service, nested: Callable[[int], JsonObject]
) -> None:
    deep = nested(32)
    created = await create(shop, nested.__name__, deep)
    assert content(created.config) == deep
    assert await get(shop, nested.__name__) == created
    assert created in [one for page in await pages(shop, contains=struct(deep)) for one in page.configurations]
    watch = shop.configurations.WatchConfigurations(
        await with_epoch(shop, watching(after_revision=created.revision - 1))
    )
    async for response in watch:
        if response.events:
            assert response.events[0].configuration == created
            break
    watch.cancel()
    await create(shop, f"{nested.__name__}/patched", {"a": 1})
    patched = await update(shop, f"{nested.__name__}/patched", merge_patch=struct(deep))
    assert content(patched.config)["a"] == deep["a"]


def field(number: int, data: bytes) -> bytes:
    """Return a field that holds a message or text, as bytes of the wire."""
    length = len(data)
    varint = bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])
    return bytes([number << 3 | 2]) + varint + data


def object_bytes(levels: int) -> bytes:
    """Return a Struct that the client's own library would refuse to read."""
    data = b""
    for _ in range(levels - 1):
        data = field(1, field(1, b"a") + field(2, field(5, data)))
    return data


def list_bytes(levels: int) -> bytes:
    """Return nested lists in one object, which the client's own library would refuse to read."""
    data = b""
    for _ in range(levels - 2):
        data = field(1, field(6, data))
    return field(1, field(1, b"a") + field(2, field(6, data)))


@of_bytes
@pytest.mark.parametrize("levels", [33, 34, 50, 200])
@pytest.mark.parametrize("nested", [object_bytes, list_bytes])
async def test_more_levels_are_refused(shop: Service, nested: Callable[[int], bytes], levels: int) -> None:
    deep = nested(levels)
    before = await head(shop)
    for request, more in (
        (CreateConfigurationRequest(application=SHOP, name="api"), field(4, deep)),
        (UpdateConfigurationRequest(key=key("web")), field(3, field(6, deep))),
        (UpdateConfigurationRequest(key=key("web")), field(5, deep)),
        (ListConfigurationsRequest(), field(1, field(5, deep))),
    ):
        with failing(INVALID_ARGUMENT, "INVALID_REQUEST") as caught:
            await send_bytes(shop, METHODS[request.DESCRIPTOR.full_name], request.SerializeToString() + more)
        ((path, description),) = violations_of(caught.value).items()
        assert "32 levels" in description
        # Content too deep to be parsed has no known position.
        assert path == "request" or "/a" in path
    assert await head(shop) == before


def object_text(levels: int) -> str:
    return '{"a":' * (levels - 1) + "{}" + "}" * (levels - 1)


def list_text(levels: int) -> str:
    return '{"a":' + "[" * (levels - 1) + "]" * (levels - 1) + "}"


@pytest.mark.parametrize("levels", [33, 34, 200, 10_000])
@pytest.mark.parametrize("nested", [object_text, list_text])
async def test_more_levels_of_text_are_refused(shop: Service, nested: Callable[[int], str], levels: int) -> None:
    deep = nested(levels)
    before = await head(shop)
    for request in (
        CreateConfigurationRequest(application=SHOP, name="api", config_json=deep),
        UpdateConfigurationRequest(key=key("web"), configuration=Configuration(config_json=deep)),
        UpdateConfigurationRequest(key=key("web"), merge_patch_json=deep),
        ListConfigurationsRequest(selector=ConfigurationSelector(contains_json=deep)),
    ):
        with failing(INVALID_ARGUMENT, "INVALID_REQUEST") as caught:
            await send(shop, request)
        (description,) = violations_of(caught.value).values()
        assert "nested too deep" in description
    assert await head(shop) == before


async def test_a_merge_patch_must_not_nest_deeper_than_32_levels_in_its_place(shop: Service) -> None:
    async with refused(shop, "merge_patch" + "/a" * 32):
        await update(shop, "web", merge_patch=struct(nested_object(33)))


async def test_the_null_byte_is_refused_in_keys_and_values(shop: Service) -> None:
    bad = struct({"a": {"b\0": 1, "c": ["x", "\0"]}})
    async with refused(shop, "config/a/b\0", "config/a/c/1"):
        await send(shop, CreateConfigurationRequest(application=SHOP, name="api", config=bad))
    async with refused(shop, "merge_patch/a/b\0", "merge_patch/a/c/1"):
        await send(shop, UpdateConfigurationRequest(key=key("web"), merge_patch=bad))
    async with refused(shop, "selector.contains/a/b\0", "selector.contains/a/c/1"):
        await send(shop, list_request(contains=bad))


async def test_a_fault_inside_a_config_is_named_by_a_json_pointer(shop: Service) -> None:
    bad = struct({"a/b": {"c~d": [0, {"": 1e300}]}})
    async with refused(shop, "config/a~1b/c~0d/1/"):
        await send(shop, CreateConfigurationRequest(application=SHOP, name="api", config=bad))


@of_bytes
async def test_a_value_without_a_kind_is_refused(shop: Service) -> None:
    bad = Struct(fields={"a": Value(list_value=ListValue(values=[Value(bool_value=True), Value()]))})
    for request, field in (
        (CreateConfigurationRequest(application=SHOP, name="api", config=bad), "config/a/1"),
        (UpdateConfigurationRequest(key=key("web"), merge_patch=bad), "merge_patch/a/1"),
        (list_request(contains=bad), "selector.contains/a/1"),
    ):
        async with refused(shop, field):
            await send(shop, request)


async def test_a_missing_config_is_refused(shop: Service) -> None:
    async with refused(shop, "config"):
        await send(shop, CreateConfigurationRequest(application=SHOP, name="api"))


# Bytes


@of_bytes
@pytest.mark.parametrize("method", METHODS.values())
async def test_bytes_that_are_no_request_are_refused(shop: Service, method: str) -> None:
    whole = creation("api", {"a": 1}).SerializeToString()
    invalid_utf8 = b"\x0a\x02\xc3\x28" + b"\x12\x02\xc3\x28"
    for data in (b"\xff\xff\xff", b"\x00", whole[:-1], b"\x0a\x7f", b"{}", b"\x0b"):
        async with refused(shop, "request"):
            await send_bytes(shop, method, data)
    if not method.endswith(("/GetServerStatus", "/DeleteConfiguration", "/WatchConfigurations")):
        async with refused(shop, "request"):
            await send_bytes(shop, method, invalid_utf8)


@of_bytes
@pytest.mark.parametrize("broken", [b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\x80"])
async def test_invalid_utf8_is_refused_wherever_it_is(shop: Service, broken: bytes) -> None:
    # The mark has the length of the broken bytes, so that all lengths stay right.
    mark = "#" * len(broken)
    for request in (
        creation("api", {"a": mark}),
        creation("api", {mark: 1}),
        creation("api", comments=mark),
        creation("api", reason=mark),
        creation("api", request_id=mark),
        CreateApplicationRequest(name=mark),
        ListConfigurationsRequest(page_token=mark),
        list_request(json_path=mark),
        UpdateConfigurationRequest(key=key("web"), update_mask=FieldMask(paths=[mark])),
        WatchConfigurationsRequest(resume_token=mark),
        GetConfigurationRequest(id=mark),
    ):
        data = request.SerializeToString().replace(mark.encode(), broken)
        async with refused(shop, "request"):
            await send_bytes(shop, METHODS[request.DESCRIPTOR.full_name], data)


async def test_a_mask_lists_a_hundred_fields_at_most(shop: Service) -> None:
    for count in (100, 101):
        mask = FieldMask(paths=["comments"] * count)
        for request in (
            UpdateApplicationRequest(name="shop", application=Application(comments="c"), update_mask=mask),
            UpdateConfigurationRequest(key=key("web"), configuration=Configuration(comments="c"), update_mask=mask),
        ):
            if count > 100:
                async with refused(shop, "update_mask"):
                    await send(shop, request)
            else:
                await send(shop, request)


# Required fields and their values


async def test_an_empty_oneof_is_refused(shop: Service) -> None:
    comments = Configuration(comments="c")
    for request, field in (
        (GetApplicationRequest(), "ref"),
        (UpdateApplicationRequest(application=Application(comments="c")), "ref"),
        (DeleteApplicationRequest(), "ref"),
        (CreateConfigurationRequest(name="api", config=Struct()), "application"),
        (CreateConfigurationRequest(application=ApplicationRef(), name="api", config=Struct()), "application"),
        (GetConfigurationRequest(), "ref"),
        (UpdateConfigurationRequest(configuration=comments), "ref"),
        (DeleteConfigurationRequest(), "ref"),
        (BatchGetConfigurationsRequest(refs=[ConfigurationRef()]), "refs[0]"),
        (list_request(application=ApplicationRef()), "selector.application"),
        (
            WatchConfigurationsRequest(selectors=[ConfigurationSelector(application=ApplicationRef())]),
            "selectors[0].application",
        ),
    ):
        async with refused(shop, field):
            await send(shop, request)


@pytest.mark.parametrize(
    "path",
    [
        "nope",
        "config.a",
        "id",
        "version",
        "Name",
        *(pytest.param(path, marks=grpc_only("in JSON, a mask is one text")) for path in ("", "name,comments")),
    ],
)
async def test_an_unknown_path_in_the_mask_is_refused(shop: Service, path: str) -> None:
    mask = FieldMask(paths=[path])
    for request in (
        UpdateApplicationRequest(name="shop", application=Application(name="bank"), update_mask=mask),
        UpdateConfigurationRequest(key=key("web"), configuration=Configuration(name="www"), update_mask=mask),
    ):
        async with refused(shop, "update_mask"):
            await send(shop, request)


async def test_a_mask_without_values_is_refused_where_they_are_required(shop: Service) -> None:
    async with refused(shop, "application.name"):
        await send(shop, UpdateApplicationRequest(name="shop", update_mask=FieldMask(paths=["name"])))
    async with refused(shop, "configuration.config"):
        await send(shop, UpdateConfigurationRequest(key=key("web"), update_mask=FieldMask(paths=["config"])))


async def test_an_update_of_nothing_is_refused(shop: Service) -> None:
    async with refused(shop, "update_mask"):
        await send(shop, UpdateApplicationRequest(name="shop"))
    async with refused(shop, "update_mask"):
        await send(shop, UpdateConfigurationRequest(key=key("web")))


@pytest.mark.parametrize("number", [-1, -(2**63)])
async def test_a_negative_number_is_refused(shop: Service, number: int) -> None:
    for request, field in (
        (GetApplicationRequest(name="shop", min_revision=number), "min_revision"),
        (ListApplicationsRequest(min_revision=number), "min_revision"),
        (GetConfigurationRequest(key=key("web"), min_revision=number), "min_revision"),
        (ListConfigurationsRequest(min_revision=number), "min_revision"),
        (BatchGetConfigurationsRequest(refs=[ConfigurationRef(id=ULID)], min_revision=number), "min_revision"),
        (DeleteApplicationRequest(name="shop", expected_version=number), "expected_version"),
        (DeleteConfigurationRequest(key=key("web"), expected_version=number), "expected_version"),
        (
            UpdateConfigurationRequest(key=key("web"), merge_patch=struct({"a": 2}), expected_version=number),
            "expected_version",
        ),
        (
            WatchConfigurationsRequest(history=HistoryPosition(epoch="1-1", after_revision=number)),
            "history.after_revision",
        ),
        (WatchConfigurationsRequest(snapshot=SnapshotOptions(min_revision=number)), "snapshot.min_revision"),
    ):
        async with refused(shop, field):
            await send(shop, request)


async def test_negative_page_sizes_are_refused(shop: Service) -> None:
    for size in (-1, -(2**31)):
        async with refused(shop, "page_size"):
            await send(shop, ListApplicationsRequest(page_size=size))


async def test_a_view_that_does_not_exist_is_refused(shop: Service) -> None:
    unknown: Any = 99
    for request in (
        ListConfigurationsRequest(view=unknown),
        BatchGetConfigurationsRequest(refs=[ConfigurationRef(id=ULID)], view=unknown),
        WatchConfigurationsRequest(view=unknown),
    ):
        async with refused(shop, "view") as caught:
            await send(shop, request)
        assert "is 99: must be one of CONFIGURATION_VIEW_UNSPECIFIED, " in str(caught.value.details())


async def test_a_bad_watch_is_refused(shop: Service) -> None:
    selector = ConfigurationSelector(names=["web"])
    for request, field in (
        (WatchConfigurationsRequest(selectors=[selector] * 101), "selectors"),
        (WatchConfigurationsRequest(selectors=[ConfigurationSelector(names=["web"] * 1001)]), "selectors[0].names"),
        (WatchConfigurationsRequest(progress_interval=Duration(nanos=99_999_999)), "progress_interval"),
        (WatchConfigurationsRequest(progress_interval=Duration(seconds=3601)), "progress_interval"),
        (WatchConfigurationsRequest(progress_interval=Duration(seconds=-1)), "progress_interval"),
        (WatchConfigurationsRequest(progress_interval=Duration(seconds=2**63 - 1)), "progress_interval"),
        (WatchConfigurationsRequest(history=HistoryPosition(epoch="x" * 101)), "history.epoch"),
    ):
        async with refused(shop, field):
            await send(shop, request)


# The answer


async def test_all_faults_of_a_request_are_listed(shop: Service) -> None:
    bad = struct({"larger": 1e300, "large": 2.0**53, "null": "\0"})
    request = CreateConfigurationRequest(
        application=ApplicationRef(id="x"), name="..", comments="\0", config=bad, reason="x" * 1025, request_id="x"
    )
    fields = ["application.id", "name", "comments", "config/larger", "config/large", "reason", "request_id"]
    if shop.door is Door.GRPC:
        # In a text, characters are checked once its numbers are right.
        fields.append("config/null")
    async with refused(shop, *fields):
        await send(shop, request)


async def test_faults_that_do_not_fit_are_counted(shop: Service) -> None:
    with failing(INVALID_ARGUMENT, "INVALID_REQUEST") as caught:
        await create(shop, "api", {f"k{number:03}": 1e300 for number in range(150)})
    listed = violations_of(caught.value)
    assert listed
    assert (caught.value.details() or "").endswith(f"; and {150 - len(listed)} more than the details list")


@pytest.mark.parametrize("length", [100, 10_000, 100_000])
async def test_an_answer_about_long_names_still_arrives(shop: Service, length: int) -> None:
    # A status travels in the trailers, and nginx takes only 4 KiB of them by default.
    config: JsonObject = {
        f"{number:03}" + "k\0" * (length // 2): 1e300 for number in range(min(100, 200_000 // length))
    }
    before = await head(shop)
    for request in (
        creation("api", config),
        UpdateConfigurationRequest(
            key=key("web"),
            update_mask=FieldMask(
                paths=[f"{number:03}" + "ä" * length for number in range(100)][: 1_000_000 // length]
            ),
        ),
    ):
        with failing(INVALID_ARGUMENT, "INVALID_REQUEST") as caught:
            await send(shop, request)
        assert violations_of(caught.value)
        assert wire_bytes(status_of(caught.value)) <= MAX_WIRE_BYTES
    assert await head(shop) == before


async def test_no_fault_is_reported_of_a_good_request(shop: Service) -> None:
    created = await create(shop, "good", {"a": 1})
    assert created.version == 1
    with failing(grpc.StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND") as caught:
        await get(shop, "nowhere")
    assert error_info_of(caught.value).metadata == {}
