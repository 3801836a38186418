"""A faulty request has the same google.rpc.Status over both doors."""

import json
import re
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

import grpc
import pytest
import pytest_asyncio
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.application_service_pb2 import CreateApplicationRequest, DeleteApplicationRequest
from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import (
    BatchGetConfigurationsRequest,
    BatchWriteConfigurationsRequest,
    ConfigurationDeletionItem,
    ConfigurationItem,
    ConfigurationWrite,
    CreateConfigurationRequest,
    DeleteConfigurationRequest,
    GetConfigurationRequest,
    ListConfigurationsRequest,
    RollbackConfigurationRequest,
    UpdateConfigurationRequest,
)
from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON
from configapi.v1.schema_pb2 import SchemaVersionRef
from configapi.v1.schema_service_pb2 import CreateSchemaRequest, GetSchemaVersionRequest
from configapi.v1.selector_pb2 import ConfigurationSelector
from tests.api.calls import create, create_application, key
from tests.postgres import cloned_database
from tests.service import Service, running_service, status_of
from tests.web.faults import JSON, status_in

pytestmark = pytest.mark.asyncio(loop_scope="module")
WEB = "/api/v1/applications/shop/configurations/web"
NEW = "/api/v1/applications/shop/configurations"
BY_NAME = "/api/v1/configurations:byName"
SHOP = ApplicationRef(name="shop")
DEEP = '{"a":' * 33 + "{}" + "}" * 33
# Contents that cannot be stored, as text.
CONTENTS = (
    "",
    "[]",
    "3",
    '"text"',
    "{",
    '{"a":1,}',
    "{'a':1}",
    '{"a":1} {}',
    '{"a":9007199254740992}',
    '{"a":-9007199254740993}',
    '{"a":1e400}',
    '{"a":1.00000000000000000001}',
    '{"a":0.1000000000000000055511151231257827}',
    '{"a":NaN}',
    '{"a":[Infinity,-Infinity]}',
    '{"a":1,"b":{"c":1,"c":2}}',
    '{"a":1,"a":1}',
    '{"a":"\\u0000"}',
    '{"a\\u0000":1}',
    '{"a":"\\ud800"}',
    '{"\\udc00":1}',
    '{"a":"\t"}',
    DEEP,
    '{"a":' + "[" * 5000 + "]" * 5000 + "}",
    '{"a":"' + "x" * 262_144 + '"}',
    '{"a":{"$configsvc":1}}',
    '{"a":' + "1" * 1001 + "}",
    '{"a/b~c":[0,1e999]}',
    "\ufeff{}",
    "\x00",
)


class Case(NamedTuple):
    """The same faulty request for both doors."""

    stub: str
    method: str
    message: Message
    verb: str
    target: str
    body: str | None = None
    content_type: str = "application/json"


def of_content(text: str) -> list[Case]:
    """Return the requests that carry a content, or a patch, in each of its places."""
    new: dict[str, Any] = {"config_json": text, "format": CONTENT_FORMAT_JSON}
    cases = [
        Case(
            "configurations",
            "UpdateConfiguration",
            UpdateConfigurationRequest(key=key("web"), configuration=Configuration(config_json=text)),
            "PUT",
            WEB,
            text,
        ),
        Case(
            "configurations",
            "UpdateConfiguration",
            UpdateConfigurationRequest(key=key("web"), merge_patch_json=text),
            "PATCH",
            WEB,
            text,
            "application/merge-patch+json",
        ),
    ]
    if text != "[]":
        cases.append(
            Case(
                "configurations",
                "UpdateConfiguration",
                UpdateConfigurationRequest(key=key("web"), json_patch_json=text),
                "PATCH",
                WEB,
                text,
                "application/json-patch+json; charset=utf-8",
            )
        )
    if _is_one_value(text):
        cases.append(
            Case(
                "configurations",
                "CreateConfiguration",
                CreateConfigurationRequest(application=SHOP, name="new", **new),
                "POST",
                NEW,
                f'{{"name":"new","config":{text}}}',
            )
        )
        cases.append(
            Case(
                "configurations",
                "BatchWriteConfigurations",
                BatchWriteConfigurationsRequest(
                    writes=[
                        ConfigurationWrite(create=ConfigurationItem(application=SHOP, name="new", config_json=text))
                    ]
                ),
                "POST",
                "/api/v1/configurations:batchWrite",
                f'{{"writes":[{{"create":{{"application":{{"name":"shop"}},"name":"new","config":{text}}}}}]}}',
            )
        )
    return cases


def _is_one_value(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return text != "null"


def case(method: str, message: Message, verb: str, target: str, body: object = None, stub: str = "") -> Case:
    text = None if body is None else json.dumps(body)
    return Case(stub or "configurations", method, message, verb, target, text)


REQUESTS = [
    case("GetConfiguration", GetConfigurationRequest(key=key("none")), "GET", f"{NEW}/none"),
    case("GetConfiguration", GetConfigurationRequest(key=key("a b")), "GET", f"{NEW}/a%20b"),
    case("GetConfiguration", GetConfigurationRequest(key=key("a:b")), "GET", f"{NEW}/a:b"),
    case("GetConfiguration", GetConfigurationRequest(key=key("ä/日")), "GET", f"{NEW}/%C3%A4%2F%E6%97%A5"),
    case("GetConfiguration", GetConfigurationRequest(key=key("a/../b")), "GET", f"{NEW}/a%2F..%2Fb"),
    case("GetConfiguration", GetConfigurationRequest(key=key("\0")), "GET", f"{NEW}/%00"),
    case("GetConfiguration", GetConfigurationRequest(key=key("x" * 257)), "GET", f"{NEW}/{'x' * 257}"),
    case(
        "GetConfiguration",
        GetConfigurationRequest(key=key("web/", "a/b")),
        "GET",
        "/api/v1/applications/a%2Fb/configurations/web%2F",
    ),
    case("GetConfiguration", GetConfigurationRequest(id="web"), "GET", "/api/v1/configurations/web"),
    case("GetConfiguration", GetConfigurationRequest(id="0" * 26), "GET", f"/api/v1/configurations/{'0' * 26}"),
    case("GetConfiguration", GetConfigurationRequest(key=key("web"), version=0), "GET", f"{WEB}?version=0"),
    case("GetConfiguration", GetConfigurationRequest(key=key("web"), version=99), "GET", f"{WEB}?version=99"),
    case("GetConfiguration", GetConfigurationRequest(key=key("web"), latest=False), "GET", f"{WEB}?latest=false"),
    case("GetConfiguration", GetConfigurationRequest(key=key("web"), epoch="1-1"), "GET", f"{WEB}?epoch=1-1"),
    case("GetConfiguration", GetConfigurationRequest(key=key("web"), epoch="1 1"), "GET", f"{WEB}?epoch=1+1"),
    case(
        "GetConfiguration", GetConfigurationRequest(key=key("web"), min_revision=-1), "GET", f"{WEB}?min_revision=-1"
    ),
    case(
        "GetConfiguration",
        GetConfigurationRequest(key=key("web"), min_revision=2**63 - 1),
        "GET",
        f"{WEB}?min_revision={2**63 - 1}",
    ),
    case(
        "GetConfiguration",
        GetConfigurationRequest(key=key("web"), as_of_time=Timestamp(seconds=4_102_444_800)),
        "GET",
        f"{WEB}?as_of_time=2100-01-01T01:00:00%2B01:00",
    ),
    case("GetConfiguration", GetConfigurationRequest(key=key("")), "GET", f"{BY_NAME}?application=shop"),
    case("GetConfiguration", GetConfigurationRequest(), "GET", BY_NAME),
    case(
        "ListConfigurations",
        ListConfigurationsRequest(
            selector=ConfigurationSelector(
                application=SHOP, name_prefix="!", names=["a", "", "b c"], json_path="$.a + 1", contains_json='{"a":'
            ),
            page_size=-1,
            page_token="nonsense",
            view=99,  # pyright: ignore[reportArgumentType]
        ),
        "GET",
        f"{NEW}?name_prefix=!&names=a&names=&names=b%20c&json_path=$.a%20%2B%201&contains=%7B%22a%22:"
        "&page_size=-1&page_token=nonsense&view=99",
    ),
    case(
        "ListConfigurations",
        ListConfigurationsRequest(selector=ConfigurationSelector(names=["x"] * 1001)),
        "GET",
        "/api/v1/configurations?" + "&".join(["names=x"] * 1001),
    ),
    case(
        "CreateConfiguration",
        CreateConfigurationRequest(
            application=ApplicationRef(id="x"),
            name="!",
            comments="x" * 1025,
            reason="\0",
            request_id="1",
            change_request="ü",
        ),
        "POST",
        "/api/v1/configurations",
        {
            "application": {"id": "x"},
            "name": "!",
            "comments": "x" * 1025,
            "reason": "\0",
            "requestId": "1",
            "changeRequest": "ü",
        },
    ),
    case("CreateConfiguration", CreateConfigurationRequest(), "POST", "/api/v1/configurations", {}),
    case("CreateConfiguration", CreateConfigurationRequest(), "POST", "/api/v1/configurations"),
    case(
        "CreateConfiguration",
        CreateConfigurationRequest(application=SHOP, name="web", config_json="{}"),
        "POST",
        NEW,
        {"name": "web", "config": {}},
    ),
    case(
        "CreateConfiguration",
        CreateConfigurationRequest(application=ApplicationRef(name="none"), name="web", config_json="{}"),
        "POST",
        "/api/v1/applications/none/configurations",
        {"name": "web", "config": {}},
    ),
    case(
        "UpdateConfiguration",
        UpdateConfigurationRequest(key=key("web"), expected_version=99, configuration=Configuration(config_json="{}")),
        "PUT",
        f"{WEB}?expected_version=99",
        {},
    ),
    case(
        "UpdateConfiguration",
        UpdateConfigurationRequest(key=key("none"), configuration=Configuration(config_json="{}")),
        "PUT",
        f"{NEW}/none",
        {},
    ),
    case(
        "UpdateConfiguration",
        UpdateConfigurationRequest(
            id="0" * 26, allow_missing=True, configuration=Configuration(config_json="{}", name="b")
        ),
        "PUT",
        f"/api/v1/configurations/{'0' * 26}?allow_missing=true&configuration.name=b",
        {},
    ),
    case(
        "UpdateConfiguration",
        UpdateConfigurationRequest(
            key=key("web"), merge_patch_json="{}", update_mask=FieldMask(paths=["config", "version"])
        ),
        "PATCH",
        f"{WEB}?update_mask=config,version",
        {},
    ),
    case(
        "UpdateConfiguration",
        UpdateConfigurationRequest(key=key("web"), configuration=Configuration(schema=SchemaVersionRef(schema="none"))),
        "POST",
        "/api/v1/configurations:update",
        {"key": {"application": "shop", "name": "web"}, "configuration": {"schema": {"schema": "none"}}},
    ),
    case("DeleteConfiguration", DeleteConfigurationRequest(key=key("none")), "DELETE", f"{NEW}/none"),
    case(
        "DeleteConfiguration",
        DeleteConfigurationRequest(key=key("web"), expected_etag="1", expected_version=7),
        "DELETE",
        f"{WEB}?expected_etag=1&expected_version=7",
    ),
    case(
        "RollbackConfiguration", RollbackConfigurationRequest(key=key("web")), "POST", f"{WEB}:rollback", {}
    ),
    case(
        "BatchGetConfigurations",
        BatchGetConfigurationsRequest(),
        "POST",
        "/api/v1/configurations:batchGet",
        {"refs": []},
    ),
    case(
        "BatchWriteConfigurations",
        BatchWriteConfigurationsRequest(
            writes=[
                ConfigurationWrite(create=ConfigurationItem(application=SHOP, name="web", config_json="{}")),
                ConfigurationWrite(),
                ConfigurationWrite(deletion=ConfigurationDeletionItem(key=key("none"), expected_version=-1)),
            ]
        ),
        "POST",
        "/api/v1/configurations:batchWrite",
        {
            "writes": [
                {"create": {"application": {"name": "shop"}, "name": "web", "config": {}}},
                {},
                {"deletion": {"key": {"application": "shop", "name": "none"}, "expected_version": "-1"}},
            ]
        },
    ),
    case(
        "BatchWriteConfigurations",
        BatchWriteConfigurationsRequest(
            writes=[ConfigurationWrite(create=ConfigurationItem(application=SHOP, name="web", config_json="{}"))]
        ),
        "POST",
        "/api/v1/configurations:batchWrite",
        {"writes": [{"create": {"application": {"name": "shop"}, "name": "web", "config": {}}}]},
    ),
    case(
        "CreateApplication", CreateApplicationRequest(name="a/b"), "POST", "/api/v1/applications", {"name": "a/b"},
        "applications",
    ),
    case(
        "DeleteApplication", DeleteApplicationRequest(name="shop"), "DELETE", "/api/v1/applications/shop", None,
        "applications",
    ),
    case(
        "CreateSchema",
        CreateSchemaRequest(name="s", document_json='{"type":"nothing","properties":{"a":{"minimum":"1"}}}'),
        "POST",
        "/api/v1/schemas",
        {"name": "s", "document": {"type": "nothing", "properties": {"a": {"minimum": "1"}}}},
        "schemas",
    ),
    case(
        "GetSchemaVersion", GetSchemaVersionRequest(name="none", version=1), "GET", "/api/v1/schemas/none/versions/1",
        None, "schemas",
    ),
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(postgres_server: str, template_database: str) -> AsyncGenerator[Service]:
    async with (
        cloned_database(postgres_server, template_database) as url,
        running_service(url, http_listen="127.0.0.1:0") as service,
    ):
        await create_application(service, "shop")
        await create(service, "web", {"a": 1})
        yield service


@pytest.mark.parametrize("text", CONTENTS, ids=lambda text: repr(text[:30]))
async def test_a_content_that_cannot_be_stored(shop: Service, text: str) -> None:
    for one in of_content(text):
        await check(shop, one)


@pytest.mark.parametrize("one", REQUESTS, ids=lambda one: f"{one.verb} {one.target[:60]}")
async def test_a_request_that_cannot_be_carried_out(shop: Service, one: Case) -> None:
    await check(shop, one)


async def check(service: Service, one: Case) -> None:
    assert service.http
    call = getattr(getattr(service, one.stub), one.method)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(one.message)
    headers = JSON | {"content-type": one.content_type} if one.body is not None else {}
    content = None if one.body is None else one.body.encode()
    response = await service.http.http.request(one.verb, one.target, content=content, headers=headers)
    assert in_json(status_in(response)) == in_json(status_of(caught.value)), (one, response.text)


def in_json(status: Status) -> Status:
    """Return the status with contents named as in JSON: the service takes their text, in a field of another name."""
    for detail in status.details:
        found: Any = BadRequest()
        if detail.Unpack(found):
            for violation in found.field_violations:
                violation.field = re.sub(r"_json(?=/|$)", "", violation.field)
            detail.Pack(found)
    status.message = re.sub(r"_json\b", "", status.message)
    return status
