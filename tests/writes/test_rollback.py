"""RollbackConfiguration: a new version with an earlier content, and restored deletions."""

import asyncio
import uuid
from typing import Any

import grpc
import pytest
from grpc import StatusCode

from configapi.v1.application_pb2 import Application
from configapi.v1.application_service_pb2 import DeleteApplicationRequest, UpdateApplicationRequest
from configapi.v1.change_pb2 import CHANGE_TYPE_CREATED, CHANGE_TYPE_UPDATED
from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import RollbackConfigurationRequest, UndeleteConfigurationRequest
from configapi.v1.schema_pb2 import SchemaVersionRef
from tests.api.calls import content, create, create_application, delete, failing, get, head, key, refused, update
from tests.configurations.reading import get_at, rename, rewrite, versions
from tests.service import Service, error_info_of, running_service, violations_of
from tests.storage.compacting import age, compact_once
from tests.storage.reading import Session

LIMIT = '{"type": "object", "properties": {"n": {"type": "integer", "maximum": %d}}}'


async def roll_back(service: Service, **fields: Any) -> Configuration:
    """Roll a configuration back, shop's web by default."""
    if not {"id", "key"} & fields.keys():
        fields["key"] = key("web")
    response = await service.configurations.RollbackConfiguration(RollbackConfigurationRequest(**fields))
    return response.configuration


async def undelete(service: Service, **fields: Any) -> Configuration:
    """Undelete a configuration, shop's web by default."""
    if not {"id", "key"} & fields.keys():
        fields["key"] = key("web")
    response = await service.configurations.UndeleteConfiguration(UndeleteConfigurationRequest(**fields))
    return response.configuration


async def add_schema_version(psql: Session, maximum: int) -> None:
    await psql.execute("INSERT INTO schemas (name) VALUES ('limits') ON CONFLICT DO NOTHING")
    await psql.execute(
        "INSERT INTO schema_versions (schema, document) VALUES ('limits', $1::text::jsonb)", LIMIT % maximum
    )


async def test_a_rollback_is_a_new_version_with_the_old_content(shop: Service) -> None:
    created = await create(shop, "web", {"n": 1}, comments="one")
    await rewrite(shop, "web", {"m": 2})
    await update(shop, "web", configuration=Configuration(comments="two"))
    rolled = await roll_back(shop, version=1, reason="it was better")
    assert (rolled.id, rolled.version, content(rolled.config), rolled.comments) == (created.id, 4, {"n": 1}, "one")
    assert rolled == await get(shop, "web")
    assert rolled.revision == await head(shop)
    (newest, *_) = await versions(shop)
    assert (newest.type, newest.origin.reason) == (CHANGE_TYPE_UPDATED, "it was better")


async def test_a_rollback_leaves_the_name_as_it_is(shop: Service) -> None:
    created = await create(shop, "web", {"n": 1})
    await rename(shop, "web", "site")
    await rewrite(shop, "site", {"n": 2})
    for ref, number in (({"id": created.id}, 1), ({"key": key("site")}, 3), ({"key": key("web")}, 1)):
        rolled = await roll_back(shop, version=number, **ref)
        assert (rolled.name, content(rolled.config)) == ("site", {"n": 2 if number == 3 else 1})


async def test_a_rollback_to_what_is_there_makes_no_version(shop: Service) -> None:
    await create(shop, "web", {"n": 1})
    await rewrite(shop, "web", {"n": 2})
    third = await rewrite(shop, "web", {"n": 1})
    before = await head(shop)
    for number in (1, 3):
        assert await roll_back(shop, version=number) == third
    assert await head(shop) == before


async def test_a_deleted_configuration_is_restored(shop: Service) -> None:
    created = await create(shop, "web", {"n": 1}, comments="one")
    await rewrite(shop, "web", {"n": 2})
    await delete(shop, "web")
    restored = await undelete(shop, reason="a mistake")
    assert (restored.id, restored.name, restored.version) == (created.id, "web", 4)
    assert (content(restored.config), restored.comments) == ({"n": 2}, "one")
    assert restored == await get(shop, "web") == await get_at(shop, id=created.id, version=4)
    (newest, *_) = await versions(shop)
    assert (newest.type, newest.origin.reason) == (CHANGE_TYPE_CREATED, "a mistake")
    await delete(shop, "web")
    again = await roll_back(shop, id=created.id, version=1)
    assert (again.version, content(again.config)) == (6, {"n": 1})


async def test_it_is_restored_into_the_application_that_was_renamed_meanwhile(shop: Service) -> None:
    await create(shop, "web", {"n": 1})
    await delete(shop, "web")
    renaming = UpdateApplicationRequest(name="shop", application=Application(name="store"))
    await shop.applications.UpdateApplication(renaming)
    restored = await undelete(shop)
    assert (restored.application, restored.name) == ("store", "web")


async def test_nothing_is_restored_without_its_application(shop: Service) -> None:
    created = await create(shop, "web", {"n": 1})
    await shop.applications.DeleteApplication(DeleteApplicationRequest(name="shop", force=True))
    # A new configuration of the same name has its own history.
    await create_application(shop, "shop")
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND") as caught:
        await undelete(shop)
    assert f"application {created.application_id}" in (caught.value.details() or "")


async def test_nothing_is_restored_whose_name_is_taken(shop: Service) -> None:
    created = await create(shop, "web", {"n": 1})
    await delete(shop, "web")
    await create(shop, "web", {"n": 2})
    with failing(StatusCode.ALREADY_EXISTS, "RESOURCE_EXISTS"):
        await undelete(shop, id=created.id)


async def test_a_rollback_takes_expected_version(shop: Service) -> None:
    await create(shop, "web", {"n": 1})
    await rewrite(shop, "web", {"n": 2})
    with failing(StatusCode.ABORTED, "VERSION_MISMATCH") as caught:
        await roll_back(shop, version=1, expected_version=1)
    assert error_info_of(caught.value).metadata["current_version"] == "2"
    await roll_back(shop, version=1, expected_version=2)
    await delete(shop, "web")
    with failing(StatusCode.ABORTED, "VERSION_MISMATCH") as caught:
        await roll_back(shop, version=1, expected_version=3)
    assert error_info_of(caught.value).metadata["current_version"] == "4"
    assert (await roll_back(shop, version=1, expected_version=4)).version == 5


async def test_a_rollback_with_a_request_id_is_done_once(shop: Service) -> None:
    await create(shop, "web", {"n": 1})
    await delete(shop, "web")
    request_id = str(uuid.uuid4())
    answers = await asyncio.gather(*(undelete(shop, request_id=request_id) for _ in range(3)))
    assert {answer.version for answer in answers} == {3}
    await rewrite(shop, "web", {"n": 2})
    # The configuration exists again, so the same call without its request_id would fail.
    assert await undelete(shop, request_id=request_id) == answers[0]
    with failing(StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED"):
        await undelete(shop, request_id=request_id, reason="other")
    assert (await get(shop, "web")).version == 4


async def test_validate_only_rolls_nothing_back(shop: Service) -> None:
    await create(shop, "web", {"n": 1})
    await rewrite(shop, "web", {"n": 2})
    before = await head(shop)
    shown = await roll_back(shop, version=1, validate_only=True)
    assert (shown.version, shown.revision, content(shown.config)) == (3, 0, {"n": 1})
    await delete(shop, "web")
    shown = await undelete(shop, validate_only=True)
    assert (shown.version, shown.revision, content(shown.config)) == (4, 0, {"n": 2})
    assert await head(shop) == before + 1
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await get(shop, "web")


async def test_a_version_that_is_missing_is_not_rolled_back_to(shop: Service, database_url: str, psql: Session) -> None:
    created = await create(shop, "web", {"n": 1})
    await delete(shop, "web")
    await undelete(shop)
    # Version 2 is a deletion, which has no content.
    for number in (2, 4):
        with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
            await roll_back(shop, version=number)
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await roll_back(shop, key=key("never"), version=1)
    await age(psql, up_to=await head(shop))
    await compact_once(database_url)
    with failing(StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED"):
        await roll_back(shop, id=created.id, version=1)


async def test_a_rollback_needs_a_version_to_go_back_to(shop: Service) -> None:
    await create(shop, "web", {"n": 1})
    async with refused(shop, "version"):
        await roll_back(shop)
    await delete(shop, "web")
    async with refused(shop, "version"):
        await roll_back(shop)
    async with refused(shop, "ref", "version", "expected_version", "request_id"):
        await shop.configurations.RollbackConfiguration(
            RollbackConfigurationRequest(version=-1, expected_version=-1, request_id="x")
        )


async def test_a_rollback_is_validated_against_the_newest_version_of_its_schema(shop: Service, psql: Session) -> None:
    limits = SchemaVersionRef(schema="limits")
    await add_schema_version(psql, 10)
    await create(shop, "web", {"n": 9}, schema=limits)
    await rewrite(shop, "web", {"n": 3})
    await update(shop, "web", configuration=Configuration(), update_mask={"paths": ["schema"]})
    await rewrite(shop, "web", {"n": 1000})
    await add_schema_version(psql, 5)
    before = await head(shop)
    with failing(StatusCode.INVALID_ARGUMENT, "SCHEMA_VIOLATED") as caught:
        await roll_back(shop, version=1)
    assert list(violations_of(caught.value)) == ["config/n"]
    assert await head(shop) == before
    rolled = await roll_back(shop, version=2)
    assert rolled.schema == SchemaVersionRef(schema="limits", version=2)
    assert content(rolled.config) == {"n": 3}
    unpinned = await roll_back(shop, version=4)
    assert not unpinned.HasField("schema")
    assert content(unpinned.config) == {"n": 1000}


async def test_a_restored_configuration_is_validated_too(shop: Service, psql: Session) -> None:
    await add_schema_version(psql, 10)
    created = await create(shop, "web", {"n": 9}, schema=SchemaVersionRef(schema="limits"))
    await rewrite(shop, "web", {"n": 4})
    await delete(shop, "web")
    await add_schema_version(psql, 5)
    with failing(StatusCode.INVALID_ARGUMENT, "SCHEMA_VIOLATED"):
        await roll_back(shop, id=created.id, version=1)
    restored = await undelete(shop)
    assert restored.schema == SchemaVersionRef(schema="limits", version=2)


async def test_a_schema_that_is_gone_is_reported(shop: Service, psql: Session) -> None:
    await add_schema_version(psql, 10)
    await create(shop, "web", {"n": 9}, schema=SchemaVersionRef(schema="limits"))
    await update(shop, "web", configuration=Configuration(), update_mask={"paths": ["schema"]})
    await psql.execute("DELETE FROM schemas")
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND") as caught:
        await roll_back(shop, version=1)
    assert "schema limits" in (caught.value.details() or "")


async def test_of_those_who_restore_the_same_at_once_one_does(shop: Service, database_url: str) -> None:
    await create(shop, "web", {"n": 1})
    await delete(shop, "web")
    async with running_service(database_url) as other:
        attempts = [undelete(service) for service in (shop, other) for _ in range(4)]
        outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    restored = [outcome for outcome in outcomes if isinstance(outcome, Configuration)]
    codes = {outcome.code() for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)}
    assert len(restored) == 1
    assert codes == {StatusCode.ALREADY_EXISTS}
    assert (await get(shop, "web")).version == 3


@pytest.mark.parametrize("deleted", [False, True])
async def test_a_rollback_and_other_writers_lose_nothing(shop: Service, deleted: bool) -> None:
    await create(shop, "web", {"n": 0})
    for number in range(1, 4):
        await rewrite(shop, "web", {"n": number})
    if deleted:
        await delete(shop, "web")
        await roll_back(shop, version=1)
    await asyncio.gather(
        *(roll_back(shop, version=number % 4 + 1) for number in range(8)),
        *(rewrite(shop, "web", {"n": 10 + number}) for number in range(8)),
    )
    listed = [one.configuration.version for one in await versions(shop)]
    assert listed == list(range(len(listed), 0, -1))


# Undelete


async def test_what_is_not_deleted_is_not_undeleted(shop: Service) -> None:
    created = await create(shop, "web", {"n": 1})
    for ref in ({"id": created.id}, {"key": key("web")}):
        with failing(StatusCode.ALREADY_EXISTS, "RESOURCE_EXISTS"):
            await undelete(shop, **ref)
        with failing(StatusCode.ALREADY_EXISTS, "RESOURCE_EXISTS"):
            await undelete(shop, validate_only=True, **ref)
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await undelete(shop, key=key("never"))
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await undelete(shop, id="01M80Y39MN6J0VZYNBCVJN0JQ5")
    async with refused(shop, "ref", "request_id"):
        await shop.configurations.UndeleteConfiguration(UndeleteConfigurationRequest(request_id="x"))


async def test_an_undeletion_restores_the_last_name(shop: Service) -> None:
    created = await create(shop, "web", {"n": 1})
    await rename(shop, "web", "site")
    await delete(shop, "site")
    await create(shop, "web", {"n": 2})
    restored = await undelete(shop, id=created.id)
    assert (restored.id, restored.name, content(restored.config)) == (created.id, "site", {"n": 1})


async def test_an_undeletion_whose_content_is_compacted_is_refused(
    shop: Service, database_url: str, psql: Session
) -> None:
    created = await create(shop, "web", {"n": 1})
    await delete(shop, "web")
    await age(psql, up_to=await head(shop))
    await compact_once(database_url)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await undelete(shop, id=created.id)
    assert caught.value.code() in {StatusCode.NOT_FOUND, StatusCode.OUT_OF_RANGE}
