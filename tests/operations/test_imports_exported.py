"""Exports as input of imports, also of real schemas and configurations through the service."""

import pytest

from configapi.v1.application_service_pb2 import DeleteApplicationRequest
from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import ConfigurationItem, ExportConfigurationsRequest
from configapi.v1.schema_pb2 import CLOSING_AS_WRITTEN
from configapi.v1.schema_service_pb2 import SCHEMA_VERSION_MODE_PINNED
from configsvc.domain.content import JsonObject
from demo.files import CORPUS, valid_name
from tests.api.calls import create_application, pages
from tests.domain.jsonschema.corpus import configurations, documents, needs_corpus
from tests.operations.operating import ATOMIC, PER_ITEM, imported, item, metadata_of, result_of
from tests.schemas.calls import calls_of, create_schema, create_version
from tests.service import Service

OPEN: JsonObject = {"type": "object", "properties": {"port": {"type": "integer"}}}
APPLICATIONS = ("search", "shop")
# Its schema accepts the largest double, but no configuration may contain a number beyond 2^53-1.
BEYOND = "architectfx/architectfx.yaml"


async def exported(service: Service) -> list[ConfigurationItem]:
    stream = service.configurations.ExportConfigurations(ExportConfigurationsRequest())
    return [one async for message in stream for one in message.items]


async def stored(service: Service) -> list[Configuration]:
    """Return all configurations, without the fields that differ after a new creation."""
    found = [one for page in await pages(service, page_size=1000) for one in page.configurations]
    for one in found:
        for field in ("id", "application_id", "version", "revision", "create_time", "update_time", "etag"):
            one.ClearField(field)
    return found


async def wipe(service: Service, *applications: str) -> None:
    for name in applications:
        await service.applications.DeleteApplication(DeleteApplicationRequest(name=name, force=True))


@pytest.mark.parametrize("mode", [ATOMIC, PER_ITEM])
async def test_what_is_exported_wiped_and_imported_is_equal(service: Service, mode: int) -> None:
    await create_schema(service, "web", OPEN, closing=CLOSING_AS_WRITTEN)
    await create_version(service, {**OPEN, "title": "Web"}, mode=SCHEMA_VERSION_MODE_PINNED)
    items = [
        item(f"c{number}", {"port": number, "text": "é\n", "half": 0.5}, application=application)
        for application in APPLICATIONS
        for number in range(3)
    ]
    items += [
        item("pinned", {"port": 1}, application="shop", schema="web@1", comments="to the first"),
        item("newest", {"port": 2}, application="shop", schema="web"),
        item("empty", {}, application="shop"),
    ]
    result_of(await imported(service, *items, create_applications=True))
    before, taken = await stored(service), await exported(service)
    assert len(before) == len(taken) == len(items)
    await wipe(service, *APPLICATIONS)
    assert await stored(service) == []
    result = result_of(await imported(service, *taken, create_applications=True, mode=mode))
    assert result.created_count == len(items)
    assert await stored(service) == before
    assert await exported(service) == taken


@needs_corpus
@pytest.mark.timeout(240)
async def test_real_configurations_are_accepted_or_refused_exported_wiped_and_imported(service: Service) -> None:
    await create_application(service)
    for request in calls_of(CORPUS):
        await service.schemas.ImportSchemas(request)
    valid = await imported(service, *real_items("valid"), size=200)
    assert result_of(valid).created_count == 791
    refused = await imported(service, *real_items("invalid"), size=200, mode=PER_ITEM)
    assert metadata_of(refused).failed_count == metadata_of(refused).total_count == 343
    before, taken = await stored(service), await exported(service)
    await wipe(service, "shop")
    assert result_of(await imported(service, *taken, size=200, create_applications=True)).created_count == 791
    assert await stored(service) == before


def real_items(kind: str) -> list[ConfigurationItem]:
    return [
        item(valid_name(f"{schema}/{file}"), config, schema=schema)
        for schema in documents()
        for file, config in configurations(schema, kind)
        if f"{schema}/{file}" != BEYOND
    ]
