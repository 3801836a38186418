"""ExportConfigurations: everything in a selection, at one revision."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import grpc
import pytest
from grpc import StatusCode

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.configuration_service_pb2 import ExportConfigurationsRequest, ExportConfigurationsResponse
from configapi.v1.schema_pb2 import SchemaVersionRef
from configsvc.configurations import export as exporting
from tests.api.calls import SHOP, content, create, create_application, delete, failing, head, patch, refused
from tests.app.scraping import measured_service
from tests.configurations.reading import export, items
from tests.service import Service, running_service
from tests.storage.compacting import age, compact_once
from tests.storage.reading import Session

MIB = 1024 * 1024


async def test_an_export_is_all_configurations_in_order(shop: Service, psql: Session) -> None:
    await create_application(shop, "bank")
    for name in ("b", "a", "c"):
        await create(shop, name, {"name": name}, comments=f"it is {name}")
    await create(shop, "z", {}, application="bank")
    await psql.execute("INSERT INTO schemas (name) VALUES ('limits')")
    await psql.execute("INSERT INTO schema_versions (schema, document) VALUES ('limits', '{}')")
    await psql.execute("UPDATE configurations SET schema = 'limits' WHERE name = 'c'")
    messages = await export(shop)
    assert [(item.application.name, item.name, item.comments) for item in items(messages)] == [
        ("bank", "z", ""),
        ("shop", "a", "it is a"),
        ("shop", "b", "it is b"),
        ("shop", "c", "it is c"),
    ]
    assert [content(item.config) for item in items(messages)] == [{}, {"name": "a"}, {"name": "b"}, {"name": "c"}]
    assert [item.HasField("schema") for item in items(messages)] == [False, False, False, True]
    assert items(messages)[3].schema == SchemaVersionRef(schema="limits", version=1)
    assert {message.revision for message in messages} == {await head(shop)}


async def test_an_export_is_of_what_is_asked_for(shop: Service, psql: Session) -> None:
    await create_application(shop, "bank")
    for name in ("web/a", "web/b", "db"):
        await create(shop, name)
    await create(shop, "web/c", application="bank")
    await psql.execute("INSERT INTO schemas (name) VALUES ('limits')")
    await psql.execute("INSERT INTO schema_versions (schema, document) VALUES ('limits', '{}')")
    await psql.execute("UPDATE configurations SET schema = 'limits' WHERE name = 'db'")
    assert [item.name for item in items(await export(shop, application=SHOP))] == ["db", "web/a", "web/b"]
    assert [item.name for item in items(await export(shop, name_prefix="web/"))] == ["web/c", "web/a", "web/b"]
    for version, found in ((0, ["db"]), (1, ["db"]), (2, [])):
        ref = SchemaVersionRef(schema="limits", version=version)
        assert [item.name for item in items(await export(shop, schema=ref))] == found
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await export(shop, application=ApplicationRef(name="never"))


async def test_an_export_of_nothing_tells_its_revision(shop: Service) -> None:
    (message,) = await export(shop)
    assert message == ExportConfigurationsResponse(revision=1, epoch=message.epoch)
    assert message.epoch


async def test_an_export_shows_one_revision_while_others_write(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "PAGE_LIMIT", 2)
    for number in range(7):
        await create(shop, f"c{number}", {"n": 0})
    then = await head(shop)
    seen: list[ExportConfigurationsResponse] = []
    async for message in shop.configurations.ExportConfigurations(ExportConfigurationsRequest()):
        seen.append(message)
        if len(seen) == 1:
            for number in range(7):
                await patch(shop, f"c{number}", {"n": 1})
            await delete(shop, "c6")
            await create(shop, "c9")
    assert [item.name for item in items(seen)] == [f"c{number}" for number in range(7)]
    assert [content(item.config) for item in items(seen)] == [{"n": 0}] * 7
    assert {message.revision for message in seen} == {then}
    assert [item.name for item in items(await export(shop))] == [*(f"c{number}" for number in range(6)), "c9"]
    # And again, as of that revision.
    assert items(await export(shop, as_of_revision=then)) == items(seen)


async def test_messages_of_an_export_are_at_most_1_mib(shop: Service) -> None:
    for number in range(12):
        await create(shop, f"c{number:02}", {"text": "x" * 250_000})
    for number in range(12, 400):
        await create(shop, f"c{number:03}", {})
    messages = await export(shop)
    assert len(items(messages)) == 400
    assert len(messages) >= 3
    assert all(message.ByteSize() <= MIB + 100 for message in messages)


@pytest.mark.parametrize("transport", ["grpcio", "ngh2"])
async def test_a_client_that_does_not_read_holds_an_export_up_and_nothing_else(
    transport: str, shop: Service, psql: Session, database_url: str
) -> None:
    # The export waits in bounded memory, and without a connection.
    await psql.execute(
        """INSERT INTO configurations (application, name, config)
        SELECT 'shop', 'c' || n, jsonb_build_object('text', repeat('x', 250000)) FROM generate_series(100, 199) AS n"""
    )
    async with running_service(database_url, transport=transport) as service:
        stalled = [service.configurations.ExportConfigurations(ExportConfigurationsRequest()) for _ in range(20)]
        streams: list[AsyncIterator[ExportConfigurationsResponse]] = [aiter(call) for call in stalled]
        async with asyncio.timeout(30):
            await asyncio.gather(*(anext(stream) for stream in streams))
        await patch(service, "c150", {"text": ""})
        assert len(items(await export(service, name_prefix="c15"))) == 10
        async with asyncio.timeout(30):
            rest = [message async for message in streams[0]]
        assert len(items(rest)) > 90
        for call in stalled:
            call.cancel()


async def test_an_export_that_is_overtaken_by_compaction_says_so(
    shop: Service, database_url: str, psql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "PAGE_LIMIT_BYTES", 1)
    for number in range(60):
        await create(shop, f"c{number:02}", {"text": "x" * 200_000})
    then = await head(shop)
    stream = aiter(shop.configurations.ExportConfigurations(ExportConfigurationsRequest()))
    first = await anext(stream)
    await patch(shop, "c00", {"text": ""})
    await age(psql, up_to=await head(shop))
    await compact_once(database_url)
    with failing(StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED"):
        async for message in stream:
            assert message.revision == first.revision
    with failing(StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED"):
        await export(shop, as_of_revision=then)


async def test_an_export_takes_min_revision(shop: Service) -> None:
    created = await create(shop, "web")
    assert len(items(await export(shop, min_revision=created.revision))) == 1
    for field in ("min_revision", "as_of_revision"):
        with failing(StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN"):
            await export(shop, **{field: created.revision + 1})


async def test_an_export_ends_with_ok_and_is_counted(database_url: str) -> None:
    async with measured_service(database_url) as (service, metrics):
        call = service.configurations.ExportConfigurations(ExportConfigurationsRequest())
        assert [message async for message in call]
        assert await call.code() is grpc.StatusCode.OK
        method = "ConfigurationService/ExportConfigurations"
        await metrics.until("configsvc_calls_total", 1, method=method, code="OK")


async def test_faults_of_an_export_are_reported(shop: Service) -> None:
    fields = ("application.name", "name_prefix", "names[0]", "schema.schema", "contains_json", "json_path")
    async with refused(shop, *(f"selector.{field}" for field in fields), "as_of_revision", "epoch", "format"):
        await export(
            shop,
            application=ApplicationRef(name="-"),
            name_prefix="?",
            names=["?"],
            schema=SchemaVersionRef(schema="-"),
            contains_json="[]",
            json_path="$",
            as_of_revision=-1,
            epoch="x" * 101,
            format=cast("Any", 7),
        )
