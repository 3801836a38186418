from grpc import StatusCode

from configapi.v1.schema_pb2 import CLOSING_AS_WRITTEN, SCHEMA_VIEW_BASIC
from configapi.v1.schema_service_pb2 import DeleteSchemaRequest, GetSchemaRequest
from tests.api.calls import Connection, content, failing, head, refused
from tests.schemas.calls import (
    AT_MOST_10,
    REPLICAS,
    add_version,
    create_schema,
    delete_schema,
    get_schema,
    get_version,
    pin,
    schema_names,
    version_pages,
)
from tests.service import Service


async def test_a_schema_is_created_with_its_first_version_and_read_by_name_and_id(service: Service) -> None:
    created = await create_schema(service, comments="of the web", reason="first")
    assert (created.name, created.comments, created.latest_version, created.version) == ("web", "of the web", 1, 1)
    assert created.revision == 1
    assert [(addition.pointer, addition.keyword) for addition in created.additions] == [("", "additionalProperties")]
    created.ClearField("additions")
    assert await get_schema(service) == created
    assert await service.schemas.GetSchema(GetSchemaRequest(id=created.id)) == created
    version = await get_version(service)
    assert content(version.document) == {**REPLICAS, "additionalProperties": False}
    assert (version.schema, version.version, version.revision, version.created_by) == ("web", 1, 1, "anonymous")
    assert version.create_time == created.create_time
