"""Texts that would be commands if they became a part of SQL, a path, a pattern or a format."""

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from configapi.v1.application_pb2 import Application
from configapi.v1.application_service_pb2 import UpdateApplicationRequest
from configapi.v1.audit_service_pb2 import ListChangesRequest
from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import (
    BatchWriteConfigurationsRequest,
    ConfigurationChangeItem,
    ConfigurationWrite,
    ListConfigurationVersionsRequest,
    WatchConfigurationsRequest,
)
from configsvc.api.services import SERVICES
from configsvc.domain.content import JsonObject
from tests.api.calls import (
    Connection,
    content,
    create,
    create_application,
    creation,
    export_request,
    get,
    key,
    list_request,
    patch,
)
from tests.doors.outcomes import Outcome, code_of, outcome_of
from tests.doors.proto_json import InexpressibleError
from tests.operations.operating import begin, ended, item
from tests.schemas.calls import create_schema, get_version
from tests.service import LIMIT_SECONDS, Service, struct

TEXTS = (
    "'; DROP TABLE configurations; --",
    '"; DROP TABLE configurations; --',
    "'); DELETE FROM applications; --",
    "' OR '1'='1",
    "x' UNION SELECT rolname, rolpassword FROM pg_authid --",
    "'||(SELECT pg_sleep(3))||'",
    "$$; DROP TABLE applications; $$",
    "$1",
    "/* comment */",
    "a -- b",
    "\\",
    "\\'; DROP TABLE schemas; --",
    "\\.",
    "\\N",
    "a\tb\nc\r\n\\.\nd",
    "%",
    "_%\\_",
    '{"a",NULL}',
    "{}",
    "NULL",
    "(1,2)",
    "E'\\x00'",
    "U&'\\0441'",
    "$.** ? (1 == 1)",
    '$."a" ? (@ like_regex "^(a+)+$")',
    '" || true || "',
    "set_config('configsvc.writer', 'nobody', false)",
    "SET configsvc.writer = 'nobody'",
    "{0.__class__}%s%(actor)s${IFS}",
    "../../etc/passwd",
    "pg_catalog.pg_class",
    "\u02bc; DROP TABLE applications; --",
)
# A selection for tests where each text costs hundreds of calls; the long form tries all.
CHOSEN = TEXTS if "CONFIGSVC_EXAMPLES" in os.environ else TEXTS[::5]
AT_ONCE = 4
METHODS = [method for service in SERVICES for method in service.methods]
NEVER = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE}

WEB: JsonObject = {"key": {"application": "shop", "name": "web"}}
ITEM: JsonObject = {"application": {"name": "shop"}, "name": "web", "config": {}}
# A good request of each method, so that a text in one field gets as far as possible. None of them changes anything.
TAKEN: dict[str, Any] = {
    "CreateApplication": {"name": "zoo"},
    "GetApplication": {"name": "shop"},
    "UpdateApplication": {"name": "shop", "application": {"comments": "new"}},
    "DeleteApplication": {"name": "shop", "force": True},
    "CreateConfiguration": {"application": {"name": "shop"}, "name": "api", "config": {}},
    "GetConfiguration": WEB,
    "BatchGetConfigurations": {"refs": [WEB]},
    "UpdateConfiguration": WEB | {"merge_patch": {"a": 3}},
    "DeleteConfiguration": WEB,
    "BatchWriteConfigurations": {"writes": [{"upsert": ITEM}]},
    "ListConfigurationVersions": WEB,
    "DiffConfigurationVersions": WEB | {"from_version": 1, "to_version": 2},
    "RollbackConfiguration": WEB | {"version": 1},
    "UndeleteConfiguration": WEB,
    "ImportConfigurations": {"items": [ITEM], "upsert": True, "create_applications": True},
    "CreateSchema": {"name": "queue", "document": {}},
    "GetSchema": {"name": "web"},
    "GetSchemaVersion": {"name": "web"},
    "CreateSchemaVersion": {"name": "web", "document": {"title": "web"}},
    "ListSchemaVersions": {"name": "web"},
    "CheckSchemaVersion": {"name": "web", "document": {"title": "web"}},
    "DeleteSchema": {"name": "web"},
    "ImportSchemas": {"schemas": [{"name": "queue", "document": {}}]},
    "MigrateConfigurations": {"schema": "web", "to_version": 1},
    "CreateRoleBinding": {"principal": "user:alice", "role": "ROLE_VIEWER", "application": {"name": "shop"}},
    "ListSources": {"repository": "repository"},
    "ListAppliedConfigurations": {"application": {"name": "shop"}},
    "ApplySource": {
        "application": {"name": "shop"},
        "source": {"repository": "repository", "commit": "commit"},
        "adopt": True,
        "writes": [{"upsert": ITEM}],
    },
    "ReleaseSource": {"application": {"name": "shop"}, "allow_missing": True},
    "AcquireSourceLease": {"repository": "repository", "holder": "holder", "duration": "5s"},
    "ReleaseSourceLease": {"repository": "repository", "holder": "holder"},
}


@pytest.fixture
async def stocked(service: Service) -> Service:
    """Return the service with an application named shop, its configuration web, and a schema."""
    await create_application(service, "shop")
    await create(service, "web", {"a": 1})
    await patch(service, "web", {"a": 2})
    await create_schema(service, "web", {"type": "object"})
    return service


def text_fields(message: Descriptor, above: tuple[Descriptor, ...] = ()) -> Iterator[tuple[FieldDescriptor, ...]]:
    """Yield the path of every field that contains text, however deep; a Struct counts as one, and so does a map."""
    for field in message.fields:
        inner = field.message_type
        if inner is None:
            if field.type == FieldDescriptor.TYPE_STRING:
                yield (field,)
        elif inner.full_name == "google.protobuf.Struct" or inner.GetOptions().map_entry:
            yield (field,)
        elif inner not in above:
            yield from ((field, *rest) for rest in text_fields(inner, (*above, inner)))


def put(message: Message, path: tuple[FieldDescriptor, ...], text: str) -> None:
    """Set the field at the path; a Struct or a map gets the text as key and value."""
    field, *rest = path
    value: Any = getattr(message, field.name)
    if rest:
        inner = (value[0] if len(value) else value.add()) if field.is_repeated else value
        put(inner, tuple(rest), text)
    elif field.message_type is not None and field.message_type.GetOptions().map_entry:
        value[text] = text
    elif field.message_type is not None:
        value.update({text: [text, {text: text}]})
    elif field.is_repeated:
        value[:] = [text]
    else:
        setattr(message, field.name, text)


def requests_with(method: MethodDescriptor, text: str) -> Iterator[tuple[str, Message]]:
    """Yield, for each text field of the method's request, a request that is good except for the text there."""
    for path in text_fields(method.input_type):
        request = ParseDict(TAKEN.get(method.name, {}), message_factory.GetMessageClass(method.input_type)())
        if "validate_only" in method.input_type.fields_by_name:
            ParseDict({"validate_only": True}, request)
        put(request, path, text)
        yield ".".join(field.name for field in path), request


async def state_of(database: Connection) -> list[Any]:
    """Return everything that a command could have changed: relations, functions, roles, settings and all rows except
    those of operations, which also keep failed attempts, and of leases, which have no dry run.
    """
    catalogue = await database.fetch(
        """SELECT 'relation', relname::text, relkind::text, relowner::text FROM pg_class
            WHERE relnamespace = 'public'::regnamespace
        UNION SELECT 'column', attrelid::regclass::text, attname, atttypid::text FROM pg_attribute
            WHERE attrelid >= 16384 AND attnum > 0
        UNION SELECT 'function', proname, md5(prosrc), proowner::text FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace
        UNION SELECT 'trigger', tgname, tgrelid::regclass::text, tgenabled::text FROM pg_trigger
        UNION SELECT 'role', rolname, rolsuper::text, rolconfig::text FROM pg_roles
        UNION SELECT 'setting', setdatabase::text, setrole::text, setconfig::text FROM pg_db_role_setting
        ORDER BY 1, 2, 3, 4"""
    )
    tables = await database.fetch(
        """SELECT tablename FROM pg_tables WHERE schemaname = 'public'
        AND tablename !~ '^(operation|pgqueuer|source_leases)' ORDER BY tablename"""
    )
    rows = [
        (name, await database.fetchval(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {name} AS t"))
        for (name,) in tables
    ]
    return [*map(tuple, catalogue), *rows]


@pytest.mark.timeout(120)
async def test_no_text_in_any_field_of_any_request_is_taken_for_a_command(stocked: Service, psql: Connection) -> None:
    before = await state_of(psql)
    text_fields_asked = sum(len(list(text_fields(method.input_type))) for method in METHODS)
    assert text_fields_asked > 100
    turns = asyncio.Semaphore(AT_ONCE)

    async def tried(method: MethodDescriptor, request: Message) -> Outcome:
        async with turns, asyncio.timeout(LIMIT_SECONDS):
            try:
                return await outcome_of(stocked, method, request)
            except InexpressibleError:
                # There is no such path.
                return grpc.StatusCode.NOT_FOUND

    for method in METHODS:
        asked = [(text, *one) for text in CHOSEN for one in requests_with(method, text)]
        answers = await asyncio.gather(*(tried(method, request) for _, _, request in asked))
        bad = [
            (path, text, answer)
            for (text, path, _), answer in zip(asked, answers, strict=True)
            if code_of(answer) in NEVER
        ]
        assert not bad, (method.full_name, bad[0])
    assert await state_of(psql) == before


async def test_every_text_is_kept_and_found_again_as_it_is(stocked: Service) -> None:
    texts: JsonObject = {text: [text, {text: text}] for text in TEXTS}
    everything = struct(texts)
    for number, text in enumerate(TEXTS):
        made = await create(stocked, f"c{number}", {text: [text, {text: text}]}, comments=text, reason=text)
        assert (content(made.config), made.comments) == ({text: [text, {text: text}]}, text)
        assert await get(stocked, made.name) == made
        found = await stocked.configurations.ListConfigurations(list_request(contains=struct({text: [{text: text}]})))
        assert [one.name for one in found.configurations] == [made.name]
    await everywhere(stocked, texts)
    (versions,) = (
        await stocked.configurations.ListConfigurationVersions(ListConfigurationVersionsRequest(key=key("c0"))),
    )
    assert [one.origin.reason for one in versions.versions] == [TEXTS[0]]
    changes = await stocked.audit.ListChanges(ListChangesRequest(page_size=1000))
    assert {change.origin.reason for change in changes.changes} >= set(TEXTS)
    async for exported in stocked.configurations.ExportConfigurations(export_request(name_prefix="all/")):
        assert all(one.config == everything for one in exported.items)
    async for watched in stocked.configurations.WatchConfigurations(WatchConfigurationsRequest()):
        if watched.events:
            assert {event.configuration.comments for event in watched.events} >= set(TEXTS)
            break


async def everywhere(service: Service, texts: JsonObject) -> None:
    """Write the texts in every possible way, and read them back."""
    comments = "\t".join(TEXTS)[:1024]
    await create(service, "all/patched", {}, comments=comments)
    await patch(service, "all/patched", texts)
    update = UpdateApplicationRequest(name="shop", application=Application(comments=comments), reason=comments)
    assert (await service.applications.UpdateApplication(update)).application.comments == comments
    change = ConfigurationChangeItem(key=key("all/patched"), configuration=Configuration(comments="new"))
    writes = [
        ConfigurationWrite(create=item("all/batch", texts, comments=comments)),
        ConfigurationWrite(update=change),
    ]
    await service.configurations.BatchWriteConfigurations(BatchWriteConfigurationsRequest(writes=writes))
    operation = await begin(service, item("all/imported", texts, comments=comments), reason=comments)
    assert (await ended(service, operation)).HasField("response")
    for name in ("all/patched", "all/batch", "all/imported"):
        found = await get(service, name)
        assert content(found.config) == texts
        assert found.comments == ("new" if name == "all/patched" else comments)
    await create_schema(
        service, "texts", {"title": comments, "enum": [texts], "examples": list(TEXTS)}, reason=comments
    )
    document = content((await get_version(service, "texts")).document)
    assert (document["title"], document["examples"]) == (comments, list(TEXTS))
    await service.configurations.CreateConfiguration(creation("all/pinned", texts))
