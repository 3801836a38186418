"""Agreement of the two implementations of an upsert: in Python for batches, in SQL for imports."""

from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc.aio import AioRpcError

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import ConfigurationItem, ConfigurationWrite, ImportMode
from configapi.v1.schema_pb2 import SchemaVersionRef
from configsvc.domain.content import JsonObject
from tests.api.calls import create_application, get
from tests.operations.operating import ATOMIC, PER_ITEM, imported, items_of, result_of
from tests.schemas.calls import add_version, create_schema
from tests.service import Service, struct
from tests.storage.reading import Session
from tests.writes.batches import reasons, write

PORT: JsonObject = {"type": "object", "properties": {"port": {"type": "integer"}}, "required": ["port"]}
SMALL: JsonObject = {"type": "object", "properties": {"port": {"type": "integer", "maximum": 10}}}
SIDES = ("batch", "import")
DIGITS: JsonObject = {"large": 2**53 - 1, "double": 0.1, "tiny": 1e-300, "whole": 1e15, "negative": -0.0}
DEEP: JsonObject = {"b": [{"a": None, "é": "\u2028 \u0001"}, [], {}], "": "", "a": True}

Item = tuple[str, JsonObject, str, str]
# The name, and the earlier config, comments and pin.
BEFORE: list[Item] = [
    ("same", {"n": 1}, "kept", ""),
    ("same-pinned", {"port": 1}, "kept", "web@1"),
    ("same-in-another-order", {"a": 1, "b": {"c": 1, "d": 2}}, "", ""),
    ("same-digits", DIGITS, "", ""),
    ("comments", {"n": 1}, "before", ""),
    ("no-comments", {"n": 1}, "before", ""),
    ("config", {"n": 1, "gone": 1}, "kept", ""),
    ("null", {"n": 1}, "", ""),
    ("pinned", {"port": 1}, "", ""),
    ("unpinned", {"port": 1}, "", "web@1"),
    ("to-the-newest", {"port": 1}, "", "web@1"),
    ("to-an-older", {"port": 1}, "", "web@2"),
    ("to-another-schema", {"port": 1}, "", "web@1"),
    ("config-of-a-pinned", {"port": 1}, "", "web@1"),
    ("made-again", {"n": 1}, "before", "web@3"),
    ("everything", {"port": 1}, "before", "web@1"),
]
AFTER: list[Item] = [
    ("same", {"n": 1}, "kept", ""),
    ("same-pinned", {"port": 1}, "kept", "web@1"),
    ("same-in-another-order", {"b": {"d": 2, "c": 1}, "a": 1}, "", ""),
    ("same-digits", DIGITS, "", ""),
    ("comments", {"n": 1}, "after", ""),
    ("no-comments", {"n": 1}, "", ""),
    ("config", {"n": 2}, "kept", ""),
    ("null", {"n": None}, "", ""),
    ("pinned", {"port": 1}, "", "web@1"),
    ("unpinned", {"port": 1}, "", ""),
    ("to-the-newest", {"port": 1}, "", "web"),
    ("to-an-older", {"port": 1}, "", "web@1"),
    ("to-another-schema", {"port": 1}, "", "small@1"),
    ("config-of-a-pinned", {"port": 2}, "", "web@1"),
    ("made-again", {"n": 2}, "after", ""),
    ("everything", {"port": 2}, "after", "small"),
    ("new", {}, "", ""),
    ("new-pinned", {"port": 1}, "new", "web"),
    ("new-pinned-to-an-older", {"port": 1}, "", "web@1"),
    ("new-deep", DEEP, "", ""),
    ("new-digits", DIGITS, "", ""),
]
REFUSED: list[Item] = [
    ("violating", {"port": "x"}, "", "web@1"),
    ("violating-the-newest", {"port": 11}, "", "small"),
    ("config-of-a-pinned", {"port": "x"}, "", "web@1"),
    ("unknown-schema", {}, "", "nothing"),
    ("unknown-version", {}, "", "web@9"),
    ("same", {"n": 1}, "kept", ""),
    ("comments", {"n": 1}, "after", ""),
    ("new", {}, "", ""),
]


def item_of(application: str, one: Item) -> ConfigurationItem:
    name, config, comments, pin = one
    schema, _, version = pin.partition("@")
    return ConfigurationItem(
        application=ApplicationRef(name=application),
        name=name,
        comments=comments,
        config=struct(config),
        schema=SchemaVersionRef(schema=schema, version=int(version or 0)) if pin else None,
    )


def writes_of(application: str, items: list[Item], *, upsert: bool = True) -> list[ConfigurationWrite]:
    made = [item_of(application, one) for one in items]
    return [ConfigurationWrite(upsert=one) if upsert else ConfigurationWrite(create=one) for one in made]


@pytest.fixture
async def prepared(service: Service, psql: Session) -> Service:
    """Create two applications with equal contents."""
    await create_schema(service, "web", PORT)
    await add_version(service, {**PORT, "title": "second"})
    await add_version(service, {"title": "third"})
    await create_schema(service, "small", SMALL)
    # The same name in another application is another configuration.
    await create_application(service, "other")
    await write(service, *writes_of("other", BEFORE[:3]))
    for side in SIDES:
        await create_application(service, side)
        await write(service, *writes_of(side, BEFORE))
        await psql.execute("DELETE FROM configurations WHERE application = $1 AND name = 'made-again'", side)
    return service


async def log_of(psql: Session, side: str) -> list[tuple[object, ...]]:
    """Return the log of an application's configurations, without ids, times and its name."""
    rows = await psql.fetch(
        """SELECT
            name, operation, version, previous_version, previous_application = application AS is_same, previous_name,
            comments, content::text, content_bytes, schema, schema_version, created_by, actor, reason, request_id
        FROM change_records WHERE kind = 'CONFIGURATION' AND application = $1 ORDER BY name, commit_id, version""",
        side,
    )
    return [tuple(row.values()) for row in rows]


async def configurations_of(service: Service, side: str) -> list[dict[str, Any]]:
    """Return the configurations as a caller sees them, without ids, times and the application's name."""
    found: list[Configuration] = [await get(service, one[0], side) for one in AFTER]
    own = {"id", "applicationId", "application", "revision", "createTime", "updateTime", "etag"}
    return [{name: value for name, value in MessageToDict(one).items() if name not in own} for one in found]


@pytest.mark.parametrize("mode", [ATOMIC, PER_ITEM])
async def test_an_upsert_comes_to_the_same_in_a_batch_and_in_an_import(
    prepared: Service, psql: Session, mode: ImportMode.ValueType
) -> None:
    assert await log_of(psql, "batch") == await log_of(psql, "import")
    count = len(await log_of(psql, "batch"))
    answer = await write(prepared, *writes_of("batch", AFTER), reason="synced")
    items = [item_of("import", one) for one in AFTER]
    result = result_of(await imported(prepared, *items, mode=mode, upsert=True, reason="synced"))
    assert (result.created_count, result.updated_count, result.unchanged_count) == (6, 11, 4)
    batch = await log_of(psql, "batch")
    assert (len(batch) - count, batch) == (17, await log_of(psql, "import"))
    await get(prepared, "new", "import", min_revision=max(result.revision, answer.revision))
    assert await configurations_of(prepared, "batch") == await configurations_of(prepared, "import")


@pytest.mark.parametrize("upsert", [True, False])
async def test_what_a_batch_refuses_an_import_refuses_for_the_same_reason(prepared: Service, upsert: bool) -> None:
    items = [item_of("import", one) for one in REFUSED]
    operation = await imported(prepared, *items, mode=PER_ITEM, upsert=upsert, validate_only=True)
    found = await items_of(prepared, operation)
    writes = writes_of("batch", REFUSED, upsert=upsert)
    assert [reason(one.error) for one in found] == [await refusal_of(prepared, one) for one in writes]


async def refusal_of(service: Service, one: ConfigurationWrite) -> str:
    """Return the reason for which a batch refuses a write; empty if it does not."""
    try:
        await write(service, one, validate_only=True)
    except AioRpcError as error:
        return reasons(error)[0]
    return ""


def reason(error: Status) -> str:
    info = ErrorInfo()
    return info.reason if any(detail.Unpack(info) for detail in error.details) else ""
