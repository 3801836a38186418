"""What writes expect of their configuration: a version, none, an etag; and what they do if there is none."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode
from grpc.aio import AioRpcError

from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import (
    ConfigurationChangeItem,
    ConfigurationItem,
    ConfigurationWrite,
    UpdateConfigurationRequest,
)
from configsvc.storage import configuration_writes
from tests.api.calls import SHOP, Connection, content, create, delete, failing, get, head, names, patch, refused
from tests.service import Service, error_info_of, reason_of, running_service, struct
from tests.writes.batches import change, creation, deletion, failures_of, reasons, upsert, write
from tests.writes.requests import creating, deleting, rolling_back, undeleting, updating
from tests.writes.schemas import REPLICAS, make_schema, pin

MISMATCH = (StatusCode.ABORTED, "VERSION_MISMATCH")
WRITERS = 64


def current_version(error: AioRpcError) -> int:
    return int(error_info_of(error).metadata["current_version"])


# Versions


async def test_a_version_that_is_not_expected_is_no_check(shop: Service) -> None:
    await create(shop, "web", {"n": 1})
    assert not UpdateConfigurationRequest().HasField("expected_version")
    assert (await updating(shop, merge_patch=struct({"n": 2}))).configuration.version == 2


@pytest.mark.parametrize("expected", [1, 3, 2**62])
async def test_every_write_is_refused_if_the_version_is_another_one(shop: Service, expected: int) -> None:
    await create(shop, "web", {"n": 1})
    await patch(shop, "web", {"n": 2})
    before = await head(shop)
    for call in (
        updating(shop, merge_patch=struct({"n": 3}), expected_version=expected),
        updating(shop, merge_patch=struct({"n": 2}), expected_version=expected),
        deleting(shop, expected_version=expected),
        deleting(shop, expected_version=expected, allow_missing=True),
        rolling_back(shop, version=1, expected_version=expected),
        updating(shop, merge_patch=struct({"n": 3}), expected_version=expected, validate_only=True),
    ):
        with failing(*MISMATCH) as caught:
            await call
        assert current_version(caught.value) == 2
        assert "the current version is 2" in (caught.value.details() or "")
    for one in (
        upsert("web", {"n": 3}, expected_version=expected),
        change("web", merge_patch=struct({"n": 3}), expected_version=expected),
        deletion("web", expected_version=expected),
    ):
        with failing(StatusCode.FAILED_PRECONDITION, "BATCH_FAILED") as caught:
            await write(shop, creation("other"), one)
        (failure,) = failures_of(caught.value)
        assert (failure.index, failure.current_version, reasons(caught.value)) == (1, 2, {1: "VERSION_MISMATCH"})
    assert await head(shop) == before


async def test_zero_means_that_the_configuration_must_not_exist(shop: Service) -> None:
    await create(shop, "web", {"n": 1})
    for call in (
        updating(shop, merge_patch=struct({"n": 2}), expected_version=0),
        deleting(shop, expected_version=0),
        deleting(shop, expected_version=0, allow_missing=True),
        rolling_back(shop, version=1, expected_version=0),
    ):
        with failing(*MISMATCH) as caught:
            await call
        assert current_version(caught.value) == 1
    with failing(StatusCode.FAILED_PRECONDITION, "BATCH_FAILED") as caught:
        await write(shop, upsert("web", {"n": 2}, expected_version=0), creation("web2", expected_version=0))
    assert reasons(caught.value) == {0: "VERSION_MISMATCH"}
    with failing(StatusCode.FAILED_PRECONDITION, "BATCH_FAILED") as caught:
        await write(shop, creation("web", {"n": 2}, expected_version=0))
    (failure,) = failures_of(caught.value)
    assert (reasons(caught.value), failure.current_version) == ({0: "VERSION_MISMATCH"}, 1)
    made = await write(shop, upsert("new", {}, expected_version=0), creation("new2", expected_version=0))
    assert [outcome.configuration.version for outcome in made.outcomes] == [1, 1]
    deleted = await delete(shop, "web")
    assert deleted == await head(shop)
    assert (await rolling_back(shop, version=1, expected_version=0)).configuration.version == 3


async def test_an_upsert_that_expects_a_version_creates_nothing(shop: Service) -> None:
    with failing(StatusCode.FAILED_PRECONDITION, "BATCH_FAILED") as caught:
        await write(shop, upsert("web", {}, expected_version=3))
    (failure,) = failures_of(caught.value)
    assert (reasons(caught.value), failure.current_version) == ({0: "VERSION_MISMATCH"}, 0)
    assert await names(shop) == []


async def test_a_missing_configuration_is_not_found_whatever_is_expected(shop: Service) -> None:
    expectations: list[dict[str, Any]] = [{}, {"expected_version": 0}, {"expected_version": 7}]
    for expected in expectations:
        for call in (
            updating(shop, merge_patch=struct({}), **expected),
            deleting(shop, **expected),
            rolling_back(shop, version=1, **expected),
        ):
            with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
                await call


async def test_impossible_expectations_are_refused(shop: Service) -> None:
    await create(shop, "web")
    for call in (
        updating(shop, merge_patch=struct({}), expected_version=-1),
        deleting(shop, expected_version=-1),
        rolling_back(shop, version=1, expected_version=-1),
    ):
        async with refused(shop, "expected_version"):
            await call
    async with refused(shop, "writes[0].upsert.expected_version", "writes[1].create.expected_version"):
        await write(shop, upsert("a", expected_version=-1), creation("b", expected_version=-1))


# Etags


async def test_an_etag_is_that_of_one_version_alone(shop: Service) -> None:
    seen = [(await create(shop, "web", {"n": 1})).etag, (await create(shop, "api", {"n": 1})).etag]
    seen.append((await patch(shop, "web", {"n": 2})).etag)
    seen.append((await rolling_back(shop, version=1)).configuration.etag)
    await delete(shop, "web")
    seen.append((await undeleting(shop)).configuration.etag)
    await delete(shop, "web")
    # Made again it has version 1 once more.
    seen.append((await create(shop, "web", {"n": 1})).etag)
    assert len(set(seen) - {""}) == len(seen) == 6
    assert (await get(shop, "web")).etag == seen[-1]
    assert (await updating(shop, merge_patch=struct({"n": 1}))).configuration.etag == seen[-1]
    batch = await write(shop, upsert("web", {"n": 1}), upsert("api", {"n": 5}))
    assert batch.outcomes[0].configuration.etag == seen[-1]
    assert batch.outcomes[1].configuration.etag == (await get(shop, "api")).etag


async def test_an_etag_that_is_carried_back_must_be_the_current_one(shop: Service) -> None:
    first = await create(shop, "web", {"n": 1})
    first.config.CopyFrom(struct({"n": 2}))
    mask = FieldMask(paths=["config"])
    second = (await updating(shop, configuration=first, update_mask=mask)).configuration
    assert second.version == 2
    before = await head(shop)
    stale: list[Any] = [
        updating(shop, configuration=first, update_mask=mask),
        updating(shop, configuration=Configuration(etag=first.etag), merge_patch=struct({"n": 2})),
        deleting(shop, expected_etag=first.etag),
        deleting(shop, expected_etag="x"),
        deleting(shop, expected_etag=first.etag, allow_missing=True),
        rolling_back(shop, version=1, expected_etag=first.etag),
        deleting(shop, expected_etag=first.etag, expected_version=2),
        deleting(shop, expected_etag=second.etag, expected_version=1),
    ]
    for call in stale:
        with failing(*MISMATCH) as caught:
            await call
        assert current_version(caught.value) == 2
    with failing(StatusCode.FAILED_PRECONDITION, "BATCH_FAILED") as caught:
        await write(
            shop,
            ConfigurationWrite(update=ConfigurationChangeItem(id=first.id, configuration=first, update_mask=mask)),
            creation("other"),
        )
    assert [failure.current_version for failure in failures_of(caught.value)] == [2]
    with failing(StatusCode.FAILED_PRECONDITION, "BATCH_FAILED"):
        await write(shop, deletion("web", expected_etag=first.etag))
    assert await head(shop) == before
    third = (await rolling_back(shop, version=1, expected_etag=second.etag)).configuration
    third.comments = "new"
    fourth = await write(
        shop,
        ConfigurationWrite(
            update=ConfigurationChangeItem(
                id=third.id, configuration=third, update_mask=FieldMask(paths=["comments"]), expected_version=3
            )
        ),
    )
    await deleting(shop, expected_etag=fourth.outcomes[0].configuration.etag, expected_version=4)
    assert await names(shop) == []


async def test_the_etag_of_a_configuration_that_was_deleted_and_made_again_fails(shop: Service) -> None:
    old = await create(shop, "web", {"n": 1})
    await delete(shop, "web")
    new = await create(shop, "web", {"n": 1})
    assert (old.version, new.version) == (1, 1)
    with failing(*MISMATCH):
        await deleting(shop, expected_etag=old.etag)
    with failing(*MISMATCH):
        await updating(shop, configuration=Configuration(etag=old.etag), merge_patch=struct({"n": 2}))
    await deleting(shop, expected_etag=new.etag)


async def test_the_etag_of_a_deletion_lets_a_rollback_restore_it(shop: Service) -> None:
    made = await create(shop, "web", {"n": 1})
    await delete(shop, "web")
    with failing(*MISMATCH):
        await rolling_back(shop, version=1, expected_etag=made.etag)
    with failing(*MISMATCH):
        await rolling_back(shop, version=1, expected_etag=made.etag, expected_version=0)
    assert (await rolling_back(shop, version=1, expected_version=2)).changed


async def test_etags_of_groups_and_of_other_processes_are_the_same(shop: Service, database_url: str) -> None:
    async with running_service(database_url) as other:
        made = await asyncio.gather(*(create(shop, f"c{number}") for number in range(20)))
        for one in made:
            found = await get(other, one.name, min_revision=one.revision)
            assert found == one
            await deleting(other, one.name, expected_etag=one.etag)


async def test_a_change_in_sql_changes_the_etag(shop: Service, psql: Connection) -> None:
    made = await create(shop, "web", {"n": 1})
    await psql.execute("UPDATE configurations SET comments = 'by hand'")
    with failing(*MISMATCH) as caught:
        await deleting(shop, expected_etag=made.etag)
    assert current_version(caught.value) == 2
    found = await get(shop, "web", min_revision=await head(shop))
    await deleting(shop, expected_etag=found.etag)


async def test_the_time_of_a_commit_is_asked_for_only_by_a_batch_with_an_etag(
    shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    get_versions = configuration_writes.get_versions

    async def counted(*arguments: Any, **fields: Any) -> Any:
        asked.append(arguments)
        return await get_versions(*arguments, **fields)

    made = await create(shop, "web", {"n": 1})
    monkeypatch.setattr(configuration_writes, "get_versions", counted)
    made = await patch(shop, "web", {"n": 2}, expected_version=1)
    await write(shop, change("web", merge_patch=struct({"n": 3})))
    assert len(asked) == 0
    made = await get(shop, "web")
    await updating(shop, configuration=Configuration(etag=made.etag), merge_patch=struct({"n": 4}))
    assert len(asked) == 0
    made = await get(shop, "web")
    await write(shop, change("web", configuration=Configuration(etag=made.etag), merge_patch=struct({"n": 5})))
    assert len(asked) == 1


@pytest.mark.parametrize("kind", ["etag", "version", "both kinds of calls"])
async def test_of_many_at_once_with_the_same_expectation_exactly_one_wins(
    shop: Service, database_url: str, kind: str
) -> None:
    made = await create(shop, "web", {"n": 0})
    expectation: dict[str, Any] = {"expected_version": 1} if kind == "version" else {}

    async def attempt(service: Service, number: int) -> Any:
        new = struct({"n": number})
        if kind == "both kinds of calls" and number % 2:
            item = ConfigurationChangeItem(
                id=made.id, merge_patch=new, configuration=Configuration(etag=made.etag), **expectation
            )
            return await write(service, ConfigurationWrite(update=item))
        etag = "" if kind == "version" else made.etag
        return await updating(service, merge_patch=new, configuration=Configuration(etag=etag), **expectation)

    async with running_service(database_url) as other:
        attempts = [attempt((shop, other)[number % 3 == 0], number) for number in range(1, WRITERS + 1)]
        answers = await asyncio.gather(*attempts, return_exceptions=True)
    errors = [answer for answer in answers if isinstance(answer, AioRpcError)]
    assert len(errors) == WRITERS - 1
    assert {reason_of(error) for error in errors} <= {"VERSION_MISMATCH", "BATCH_FAILED", "WRITE_CONFLICT"}
    assert (await get(shop, "web")).version == 2


# Missing configurations


async def test_an_update_creates_what_is_missing_if_it_may(shop: Service, psql: Connection) -> None:
    await make_schema(psql, "web", REPLICAS)
    new = Configuration(config=struct({"replicas": 1}), comments="new", schema=pin("web"))
    made = await updating(shop, configuration=new, allow_missing=True)
    assert (made.changed, made.configuration.version, made.revision) == (True, 1, await head(shop))
    assert (content(made.configuration.config), made.configuration.comments) == ({"replicas": 1}, "new")
    assert made.configuration.schema == pin("web", 1)
    again = await updating(shop, configuration=new, allow_missing=True)
    assert (again.changed, again.configuration) == (False, made.configuration)
    batch = await write(
        shop,
        change("web", configuration=Configuration(comments="newer"), allow_missing=True),
        change("api", configuration=Configuration(config=struct({})), allow_missing=True, expected_version=0),
    )
    assert [outcome.configuration.version for outcome in batch.outcomes] == [2, 1]


async def test_an_update_that_may_create_is_validated_like_a_creation(shop: Service, psql: Connection) -> None:
    await make_schema(psql, "web", REPLICAS)
    bad = Configuration(config=struct({"replicas": 0}), schema=pin("web"))
    with failing(StatusCode.INVALID_ARGUMENT, "SCHEMA_VIOLATED"):
        await updating(shop, configuration=bad, allow_missing=True)
    with failing(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as caught:
        await updating(shop, configuration=Configuration(comments="no content"), allow_missing=True)
    assert "configuration.config" in (caught.value.details() or "")
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND") as caught:
        await updating(
            shop,
            key={"application": "nowhere", "name": "web"},
            configuration=Configuration(config=struct({})),
            allow_missing=True,
        )
    assert "application nowhere" in (caught.value.details() or "")
    expectations: list[dict[str, Any]] = [
        {"expected_version": 1, "configuration": Configuration(config=struct({}))},
        {"configuration": Configuration(config=struct({}), etag="x")},
    ]
    for expectation in expectations:
        with failing(*MISMATCH) as caught:
            await updating(shop, allow_missing=True, **expectation)
        assert current_version(caught.value) == 0
    assert await names(shop) == []


async def test_an_update_that_may_create_names_the_configuration_by_key_and_has_no_name_and_no_patch(
    shop: Service,
) -> None:
    made = await create(shop, "web", {})
    whole = Configuration(config=struct({}))
    async with refused(shop, "id"):
        await updating(shop, id=made.id, configuration=whole, allow_missing=True)
    async with refused(shop, "configuration.name"):
        await updating(shop, configuration=Configuration(name="web", config=struct({})), allow_missing=True)
    async with refused(shop, "configuration.name"):
        await updating(
            shop,
            configuration=Configuration(name="web", config=struct({})),
            update_mask=FieldMask(paths=["*"]),
            allow_missing=True,
        )
    async with refused(shop, "merge_patch"):
        await updating(shop, merge_patch=struct({}), allow_missing=True)
    async with refused(shop, "json_patch_json"):
        await updating(shop, json_patch_json="[]", allow_missing=True)
    async with refused(shop, "writes[0].update.merge_patch"):
        await write(shop, change("web", merge_patch=struct({}), allow_missing=True))


async def test_a_deletion_of_nothing_succeeds_if_it_may(shop: Service) -> None:
    before = await head(shop)
    expectations: list[dict[str, Any]] = [
        {},
        {"expected_version": 0},
        {"expected_version": 7},
        {"expected_etag": "x"},
    ]
    for fields in expectations:
        gone = await deleting(shop, allow_missing=True, **fields)
        assert (gone.changed, gone.revision) == (False, 0)
    gone = await deleting(shop, id="01M80Y39MN6J0VZYNBCVJN0JQ5", allow_missing=True)
    assert not gone.changed
    gone = await deleting(shop, key={"application": "nowhere", "name": "web"}, allow_missing=True)
    assert not gone.changed
    assert await head(shop) == before
    await create(shop, "web")
    gone = await deleting(shop, allow_missing=True)
    assert (gone.changed, gone.revision) == (True, await head(shop))


async def test_of_many_that_create_what_is_missing_at_once_one_does_and_the_others_update(
    shop: Service, database_url: str
) -> None:
    async with running_service(database_url) as other:
        answers = await asyncio.gather(
            *(
                updating(
                    (shop, other)[number % 2],
                    configuration=Configuration(config=struct({"n": number})),
                    allow_missing=True,
                )
                for number in range(16)
            )
        )
    assert sorted(answer.configuration.version for answer in answers) == list(range(1, 17))
    assert len({answer.configuration.id for answer in answers}) == 1


async def test_of_many_that_expect_nothing_at_once_exactly_one_creates_it(shop: Service, database_url: str) -> None:
    async def attempt(service: Service, number: int) -> Any:
        new = struct({"n": number})
        if number % 2:
            item = ConfigurationItem(application=SHOP, name="web", config=new, expected_version=0)
            return await write(service, ConfigurationWrite(upsert=item))
        return await updating(service, configuration=Configuration(config=new), allow_missing=True, expected_version=0)

    async with running_service(database_url) as other:
        attempts = [attempt((shop, other)[number % 3 == 0], number) for number in range(32)]
        answers = await asyncio.gather(*attempts, return_exceptions=True)
    errors = [answer for answer in answers if isinstance(answer, AioRpcError)]
    assert len(errors) == 31
    assert {reason_of(error) for error in errors} <= {"VERSION_MISMATCH", "BATCH_FAILED", "WRITE_CONFLICT"}
    assert (await get(shop, "web")).version == 1


# A model


@dataclass(slots=True)
class Model:
    """One name, as the contract says that writes see and leave it."""

    version: int = 0
    etag: str = ""
    value: int = 0
    etags: list[str] = field(default_factory=lambda: ["", "x"])

    @property
    def exists(self) -> bool:
        return self.version > 0

    def mismatches(self, expected: dict[str, Any]) -> bool:
        version, etag = expected.get("version"), expected.get("etag", "")
        return (version is not None and version != self.version) or (etag not in ("", self.etag))

    def expected_of_update(self, expected: dict[str, Any], *, allow_missing: bool) -> str:
        if not self.exists and not allow_missing:
            return "RESOURCE_NOT_FOUND"
        return "VERSION_MISMATCH" if self.mismatches(expected) else ""

    def expected_of_deletion(self, expected: dict[str, Any], *, allow_missing: bool) -> str:
        if not self.exists:
            return "" if allow_missing else "RESOURCE_NOT_FOUND"
        return "VERSION_MISMATCH" if self.mismatches(expected) else ""

    def set(self, configuration: Configuration) -> None:
        self.version, self.etag = configuration.version, configuration.etag
        self.etags.append(self.etag)


@pytest.mark.parametrize("seed", range(4))
async def test_writes_do_what_a_model_of_one_name_says(shop: Service, seed: int) -> None:
    chance, model = Random(seed), Model()
    for step in range(60):
        expected: dict[str, Any] = {}
        if chance.random() < 0.6:
            expected["version"] = chance.choice([0, model.version, model.version, max(model.version - 1, 1)])
        if chance.random() < 0.4:
            expected["etag"] = chance.choice([model.etag, chance.choice(model.etags)])
        case = (seed, step, expected, model)
        await _delete_step(shop, chance, model, expected, case) if chance.random() < 0.3 else await _update_step(
            shop, chance, model, expected, case
        )


async def _update_step(service: Service, chance: Random, model: Model, expected: dict[str, Any], case: object) -> None:
    allow_missing, value, in_batch = chance.random() < 0.6, chance.randrange(3), chance.random() < 0.4
    fields: dict[str, Any] = {"expected_version": expected["version"]} if "version" in expected else {}
    new = Configuration(config=struct({"n": value}), etag=expected.get("etag", ""))
    one = change("web", configuration=new, allow_missing=allow_missing, **fields)
    single = updating(service, configuration=new, allow_missing=allow_missing, **fields)
    reason, changed = await _outcome(service, one, single, in_batch=in_batch)
    assert reason == model.expected_of_update(expected, allow_missing=allow_missing), case
    if not reason:
        assert changed == (not model.exists or value != model.value), case
        model.value = value
        model.set(await get(service, "web"))


async def _delete_step(service: Service, chance: Random, model: Model, expected: dict[str, Any], case: object) -> None:
    allow_missing, in_batch = chance.random() < 0.6, chance.random() < 0.4
    fields: dict[str, Any] = {"expected_version": expected["version"]} if "version" in expected else {}
    fields |= {"expected_etag": expected.get("etag", ""), "allow_missing": allow_missing}
    single = deleting(service, **fields)
    reason, changed = await _outcome(service, deletion("web", **fields), single, in_batch=in_batch)
    assert reason == model.expected_of_deletion(expected, allow_missing=allow_missing), case
    if not reason:
        assert changed == model.exists, case
        model.version, model.etag = 0, ""


async def _outcome(
    service: Service, one: ConfigurationWrite, single: Coroutine[Any, Any, Any], *, in_batch: bool
) -> tuple[str, bool]:
    """Make the write, alone or in a batch; return the reason of its error, if any, and whether it changed something."""
    try:
        if in_batch:
            single.close()
            return "", (await write(service, one)).outcomes[0].changed
        return "", (await single).changed
    except AioRpcError as error:
        return (reasons(error)[0] if in_batch else reason_of(error)), False


async def test_a_creation_still_fails_if_the_name_is_taken(shop: Service) -> None:
    await create(shop, "web")
    with failing(StatusCode.ALREADY_EXISTS, "RESOURCE_EXISTS"):
        await creating(shop, config=struct({}))
    expectations: list[dict[str, Any]] = [{}, {"expected_version": 1}]
    for fields in expectations:
        with failing(StatusCode.FAILED_PRECONDITION, "BATCH_FAILED") as caught:
            await write(shop, creation("web", **fields))
        assert reasons(caught.value) == {0: "RESOURCE_EXISTS"}
    with failing(StatusCode.FAILED_PRECONDITION, "BATCH_FAILED") as caught:
        await write(shop, creation("new", expected_version=1))
    assert (reasons(caught.value), failures_of(caught.value)[0].current_version) == ({0: "VERSION_MISMATCH"}, 0)
