"""Sources: what a repository owns is kept with what it writes, in one transaction, and nothing else is touched."""

import asyncio
from typing import Any

import pytest
import pytest_asyncio
from grpc import StatusCode
from grpc.aio import AioRpcError
from structlog.testing import capture_logs
from ulid import ULID

from configapi.v1.application_pb2 import Application, ApplicationRef
from configapi.v1.application_service_pb2 import DeleteApplicationRequest, UpdateApplicationRequest
from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import (
    ConfigurationChangeItem,
    ConfigurationDeletionItem,
    ConfigurationWrite,
    DeleteConfigurationRequest,
    UndeleteConfigurationRequest,
    UpdateConfigurationRequest,
)
from configapi.v1.selector_pb2 import ConfigurationSelector, Precondition
from configapi.v1.source_pb2 import Source
from configapi.v1.source_service_pb2 import (
    ApplySourceRequest,
    ListAppliedConfigurationsRequest,
    ListSourcesRequest,
    ReleaseSourceRequest,
)
from tests.api.calls import create, create_application, failing, get, head, key, names
from tests.api.sources import PATH, REPOSITORY, apply, marks, revision, source_of, sources
from tests.service import Service, error_info_of, reason_of, struct, violations_of
from tests.writes.batches import creation, deletion, failures_of, item, reasons, upsert

pytestmark = pytest.mark.asyncio(loop_scope="module")

ABORTED, FAILED = StatusCode.ABORTED, StatusCode.FAILED_PRECONDITION


@pytest_asyncio.fixture(loop_scope="module")
async def shop(shared_service: Service) -> str:
    """Return the name of a new application."""
    return (await create_application(shared_service, f"shop-{ULID()}")).name


def of(application: str, name: str, **config: Any) -> ConfigurationWrite:
    return upsert(name, config, application=application)


def change_of(configuration_id: str, **fields: Any) -> ConfigurationWrite:
    return ConfigurationWrite(update=ConfigurationChangeItem(id=configuration_id, **fields))


def deletion_of(configuration_id: str, **fields: Any) -> ConfigurationWrite:
    return ConfigurationWrite(deletion=ConfigurationDeletionItem(id=configuration_id, **fields))


async def delete(service: Service, configuration_id: str) -> None:
    await service.configurations.DeleteConfiguration(DeleteConfigurationRequest(id=configuration_id))


async def release(service: Service, application: str, **fields: Any) -> bool:
    request = ReleaseSourceRequest(application=ApplicationRef(name=application), **fields)
    return (await service.sources.ReleaseSource(request)).changed


async def test_an_application_gets_its_source_with_the_first_writes(shared_service: Service, shop: str) -> None:
    applied = await apply(shared_service, shop, of(shop, "web", n=1), of(shop, "api", n=1), reason="first")
    assert [one.configuration.name for one in applied.outcomes] == ["web", "api"]
    assert applied.changed
    assert applied.revision == await head(shared_service)
    source = applied.source
    assert (source.application, source.repository, source.path, source.commit) == (shop, REPOSITORY, PATH, "c1")
    assert (source.version, source.applied_count, source.applied_by) == (1, 2, "anonymous")
    assert source.etag
    assert source == await source_of(shared_service, shop)
    assert await marks(shared_service, shop) == {
        one.configuration.id: (one.configuration.name, 1) for one in applied.outcomes
    }


async def test_every_configuration_that_a_write_creates_changes_or_finds_is_marked_with_its_version(
    shared_service: Service, shop: str
) -> None:
    first = await apply(shared_service, shop, of(shop, "web", n=1), of(shop, "api", n=1))
    second = await apply(
        shared_service,
        shop,
        *(of(shop, "web", n=2), of(shop, "api", n=1), of(shop, "new", n=1)),
        commit="c2",
        expected_etag=first.source.etag,
    )
    assert [one.changed for one in second.outcomes] == [True, False, True]
    assert sorted((await marks(shared_service, shop)).values()) == [("api", 1), ("new", 1), ("web", 2)]
    assert (second.source.version, second.source.commit) == (2, "c2")
    assert second.source.etag != first.source.etag


async def test_a_deletion_removes_the_mark(shared_service: Service, shop: str) -> None:
    first = await apply(shared_service, shop, of(shop, "web"), of(shop, "api"))
    web = first.outcomes[0].configuration.id
    second = await apply(shared_service, shop, deletion_of(web), commit="c2", expected_etag=first.source.etag)
    assert second.outcomes[0].changed
    assert second.source.applied_count == 1
    assert [name for name, _ in (await marks(shared_service, shop)).values()] == ["api"]


async def test_a_deletion_by_name_removes_the_mark_of_what_others_have_deleted(
    shared_service: Service, shop: str
) -> None:
    first = await apply(shared_service, shop, of(shop, "web"), of(shop, "api"))
    web, api = (one.configuration.id for one in first.outcomes)
    await delete(shared_service, web)
    await shared_service.configurations.UpdateConfiguration(
        UpdateConfigurationRequest(id=api, configuration=Configuration(name="renamed"))
    )
    deletions = [
        ConfigurationWrite(deletion=ConfigurationDeletionItem(key=key(name, shop), allow_missing=True))
        for name in ("web", "api")
    ]
    second = await apply(shared_service, shop, *deletions, commit="c2", expected_etag=first.source.etag)
    assert not second.changed
    # What was renamed by hand exists, and is still the source's.
    assert (await marks(shared_service, shop)).keys() == {api}


async def test_a_source_that_applies_what_is_there_already_stays_as_it_is(shared_service: Service, shop: str) -> None:
    first = await apply(shared_service, shop, of(shop, "web", n=1))
    again = await apply(shared_service, shop, of(shop, "web", n=1), expected_etag=first.source.etag)
    assert again.source == first.source
    assert not again.changed
    assert again.revision == 0
    other = await apply(shared_service, shop, commit="c2", expected_etag=first.source.etag)
    assert (other.source.version, other.source.commit, other.changed) == (2, "c2", False)


async def test_another_source_of_an_application_is_refused_whatever_it_sets(shared_service: Service, shop: str) -> None:
    owner = await apply(shared_service, shop, of(shop, "web", n=1))
    for other in (revision(path="elsewhere"), revision(repository="https://other.example.com/configs.git")):
        options: list[dict[str, Any]] = [
            {},
            {"adopt": True},
            {"expected_etag": owner.source.etag},
            {"validate_only": True},
        ]
        for fields in options:
            with failing(FAILED, "SOURCE_MISMATCH") as caught:
                await apply(shared_service, shop, of(shop, "web", n=2), source=other, **fields)
            assert dict(error_info_of(caught.value).metadata) == {
                "repository": REPOSITORY,
                "path": PATH,
                "commit": "c1",
            }
    assert await source_of(shared_service, shop) == owner.source
    assert (await get(shared_service, "web", shop)).version == 1


async def test_a_source_that_has_changed_meanwhile_is_a_conflict(shared_service: Service, shop: str) -> None:
    for adopt in (False, True):
        with failing(ABORTED, "VERSION_MISMATCH") as caught:
            await apply(shared_service, shop, of(shop, "web", n=1), expected_etag="unknown", adopt=adopt)
        assert error_info_of(caught.value).metadata["current_version"] == "0"
    first = await apply(shared_service, shop, of(shop, "web", n=1))
    second = await apply(shared_service, shop, of(shop, "web", n=2), commit="c2", expected_etag=first.source.etag)
    for etag in ("", first.source.etag):
        with failing(ABORTED, "VERSION_MISMATCH") as caught:
            await apply(shared_service, shop, of(shop, "web", n=3), commit="c3", expected_etag=etag)
        assert error_info_of(caught.value).metadata["current_version"] == "2"
    assert await source_of(shared_service, shop) == second.source
    assert (await get(shared_service, "web", shop)).version == 2


async def test_an_application_with_configurations_is_taken_only_to_adopt_it(shared_service: Service, shop: str) -> None:
    await create(shared_service, "web", {"n": 1}, application=shop)
    for writes in ((), (of(shop, "new"),)):
        with failing(FAILED, "SOURCE_NOT_ADOPTED"):
            await apply(shared_service, shop, *writes)
    assert await source_of(shared_service, shop) is None
    adopted = await apply(shared_service, shop, of(shop, "web", n=1), adopt=True)
    # What is as it should be is taken without a new version.
    assert not adopted.changed
    assert [*(await marks(shared_service, shop)).values()] == [("web", 1)]


async def test_what_exists_without_a_mark_is_neither_changed_nor_deleted(shared_service: Service, shop: str) -> None:
    first = await apply(shared_service, shop, of(shop, "own", n=1))
    foreign = [await create(shared_service, name, {"n": 1}, application=shop) for name in ("web", "api", "same")]
    writes = (
        of(shop, "own", n=2),
        of(shop, "web", n=2),
        deletion_of(foreign[1].id),
        of(shop, "same", n=1),
        change_of(foreign[0].id, configuration=Configuration(name="other")),
    )
    for fields in ({}, {"validate_only": True}):
        with failing(FAILED, "BATCH_FAILED") as caught:
            await apply(shared_service, shop, *writes[:4], commit="c2", expected_etag=first.source.etag, **fields)
        assert reasons(caught.value) == dict.fromkeys((1, 2, 3), "SOURCE_NOT_ADOPTED")
        refused = failures_of(caught.value)[0].message
        assert refused == f"configuration {shop}:web exists already, and no source owns it: set adopt to take it"
    with failing(FAILED, "BATCH_FAILED") as caught:
        await apply(shared_service, shop, writes[4], commit="c2", expected_etag=first.source.etag)
    assert reasons(caught.value) == {0: "SOURCE_NOT_ADOPTED"}
    assert (await get(shared_service, "own", shop)).version == 1
    assert await source_of(shared_service, shop) == first.source
    adopted = await apply(shared_service, shop, *writes[:4], commit="c2", adopt=True, expected_etag=first.source.etag)
    assert [one.changed for one in adopted.outcomes] == [True, True, True, False]
    assert sorted((await marks(shared_service, shop)).values()) == [("own", 2), ("same", 1), ("web", 2)]


async def test_a_mark_outlives_a_deletion_and_a_rename_by_hand(shared_service: Service, shop: str) -> None:
    applied = await apply(shared_service, shop, of(shop, "web", n=1), of(shop, "api", n=1))
    web, api = (one.configuration.id for one in applied.outcomes)
    await delete(shared_service, web)
    await shared_service.configurations.UpdateConfiguration(
        UpdateConfigurationRequest(id=api, configuration=Configuration(name="renamed"))
    )
    assert await marks(shared_service, shop) == {web: ("web", 1), api: ("api", 1)}
    # One that gets the name by hand is another configuration.
    await create(shared_service, "web", {"n": 1}, application=shop)
    with failing(FAILED, "BATCH_FAILED") as caught:
        await apply(shared_service, shop, of(shop, "web", n=2), expected_etag=applied.source.etag, commit="c2")
    assert reasons(caught.value) == {0: "SOURCE_NOT_ADOPTED"}
    # The renamed one is still the source's.
    back = await apply(
        shared_service,
        shop,
        change_of(api, configuration=Configuration(name="api")),
        expected_etag=applied.source.etag,
        commit="c2",
    )
    assert await marks(shared_service, shop) == {web: ("web", 1), api: ("api", 3)}
    assert back.source.applied_count == 2


async def test_what_was_deleted_by_hand_and_undeleted_is_still_owned(shared_service: Service, shop: str) -> None:
    applied = await apply(shared_service, shop, of(shop, "web", n=1))
    web = applied.outcomes[0].configuration.id
    await delete(shared_service, web)
    await shared_service.configurations.UndeleteConfiguration(UndeleteConfigurationRequest(id=web))
    again = await apply(shared_service, shop, of(shop, "web", n=2), commit="c2", expected_etag=applied.source.etag)
    assert await marks(shared_service, shop) == {web: ("web", 4)}
    assert again.source.applied_count == 1


async def test_marks_can_be_released_without_a_deletion(shared_service: Service, shop: str) -> None:
    applied = await apply(shared_service, shop, of(shop, "kept", n=1), of(shop, "gone", n=1), of(shop, "web", n=1))
    kept, gone, web = (one.configuration.id for one in applied.outcomes)
    await delete(shared_service, gone)
    released = await apply(
        shared_service,
        shop,
        deletion_of(gone, allow_missing=True),
        of(shop, "web", n=1),
        released_ids=[kept, web, str(ULID())],
        expected_etag=applied.source.etag,
    )
    # Releases come before the marks of the writes, and a deletion of what is gone removes the mark, too.
    assert await marks(shared_service, shop) == {web: ("web", 1)}
    assert (released.source.version, released.changed) == (2, False)
    assert (await get(shared_service, "kept", shop)).version == 1
    with failing(FAILED, "BATCH_FAILED") as caught:
        await apply(shared_service, shop, of(shop, "kept", n=2), expected_etag=released.source.etag)
    assert reasons(caught.value) == {0: "SOURCE_NOT_ADOPTED"}


async def test_writes_reach_no_other_application(shared_service: Service, shop: str) -> None:
    other = (await create_application(shared_service, f"other-{ULID()}")).name
    foreign = await create(shared_service, "web", {"n": 1}, application=other)
    with failing(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as caught:
        await apply(shared_service, shop, of(shop, "web"), of(other, "web"), deletion("web"), adopt=True)
    assert violations_of(caught.value).keys() == {"writes[1]", "writes[2]"}
    elsewhere = ConfigurationWrite(upsert=item("new"))
    elsewhere.upsert.application.id = foreign.application_id
    with failing(FAILED, "BATCH_FAILED") as caught:
        await apply(shared_service, shop, change_of(foreign.id, merge_patch=struct({"n": 2})), elsewhere, adopt=True)
    assert reasons(caught.value) == dict.fromkeys((0, 1), "RESOURCE_NOT_FOUND")
    nothing = await apply(shared_service, shop, deletion_of(foreign.id, allow_missing=True), adopt=True)
    assert not nothing.outcomes[0].changed
    assert await names(shared_service, application=ApplicationRef(name=other)) == ["web"]


async def test_a_source_that_fails_leaves_nothing(shared_service: Service, shop: str) -> None:
    with failing(FAILED, "BATCH_FAILED") as caught:
        await apply(shared_service, shop, of(shop, "web"), deletion_of(str(ULID())))
    assert reasons(caught.value) == {1: "RESOURCE_NOT_FOUND"}
    assert await source_of(shared_service, shop) is None
    first = await apply(shared_service, shop, of(shop, "web", n=1))
    since = await head(shared_service)
    await create(shared_service, "late", application=shop)
    selector = ConfigurationSelector(application=ApplicationRef(name=shop))
    conditions = [Precondition(selector=selector, unchanged_since=since)]
    with failing(ABORTED, "PRECONDITION_FAILED"):
        await apply(
            shared_service,
            shop,
            of(shop, "web", n=2),
            commit="c2",
            expected_etag=first.source.etag,
            preconditions=conditions,
        )
    assert await source_of(shared_service, shop) == first.source
    assert [*(await marks(shared_service, shop)).values()] == [("web", 1)]


async def test_a_validate_only_call_answers_as_if_done_and_keeps_nothing(shared_service: Service, shop: str) -> None:
    tried = await apply(shared_service, shop, of(shop, "web", n=1), validate_only=True)
    assert (tried.changed, tried.revision, tried.source.etag, tried.source.version) == (True, 0, "", 1)
    assert tried.source.applied_count == 1
    assert await source_of(shared_service, shop) is None
    first = await apply(shared_service, shop, of(shop, "web", n=1))
    same = await apply(shared_service, shop, of(shop, "web", n=1), validate_only=True, expected_etag=first.source.etag)
    assert same.source == first.source
    assert await release(shared_service, shop, validate_only=True)
    assert await source_of(shared_service, shop) == first.source


async def test_a_call_with_the_same_request_id_returns_the_first_answer(shared_service: Service, shop: str) -> None:
    ids = [str(ULID()) for _ in range(2)]
    first = await apply(shared_service, shop, of(shop, "web", n=1), request_id=ids[0])
    second = await apply(
        shared_service, shop, of(shop, "web", n=2), commit="c2", expected_etag=first.source.etag, request_id=ids[1]
    )
    assert await apply(shared_service, shop, of(shop, "web", n=1), request_id=ids[0]) == first
    repeated = await apply(
        shared_service, shop, of(shop, "web", n=2), commit="c2", expected_etag=first.source.etag, request_id=ids[1]
    )
    assert repeated == second
    with failing(FAILED, "REQUEST_ID_REUSED"):
        await apply(shared_service, shop, of(shop, "web", n=3), request_id=ids[0])
    third = str(ULID())
    assert await release(shared_service, shop, request_id=third)
    assert await release(shared_service, shop, request_id=third)
    assert await apply(shared_service, shop, of(shop, "web", n=1), request_id=ids[0]) == first
    assert await source_of(shared_service, shop) is None


async def test_of_many_that_apply_at_once_exactly_one_does(shared_service: Service, shop: str) -> None:
    async def attempt(commit: str, etag: str) -> Source | str:
        try:
            return (await apply(shared_service, shop, of(shop, commit), commit=commit, expected_etag=etag)).source
        except AioRpcError as error:
            return reason_of(error)

    etag = ""
    for turn in range(3):
        answers = await asyncio.gather(*(attempt(f"c{turn}-{number}", etag) for number in range(8)))
        (winner,) = [one for one in answers if isinstance(one, Source)]
        assert {one for one in answers if isinstance(one, str)} <= {"VERSION_MISMATCH", "WRITE_CONFLICT"}
        assert await source_of(shared_service, shop) == winner
        etag = winner.etag
    assert len(await names(shared_service, application=ApplicationRef(name=shop))) == len(
        await marks(shared_service, shop)
    )


async def test_a_released_source_leaves_its_configurations_to_be_adopted_by_another(
    shared_service: Service, shop: str
) -> None:
    first = await apply(shared_service, shop, of(shop, "web", n=1))
    with failing(ABORTED, "VERSION_MISMATCH"):
        await release(shared_service, shop, expected_etag="another")
    assert await release(shared_service, shop, expected_etag=first.source.etag)
    assert await source_of(shared_service, shop) is None
    assert await marks(shared_service, shop) == {}
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await release(shared_service, shop)
    assert not await release(shared_service, shop, allow_missing=True)
    other = revision(path="elsewhere")
    with failing(FAILED, "SOURCE_NOT_ADOPTED"):
        await apply(shared_service, shop, of(shop, "web", n=1), source=other)
    taken = await apply(shared_service, shop, of(shop, "web", n=1), source=other, adopt=True)
    assert taken.source.version == 1
    # The same number of another source.
    assert taken.source.etag != first.source.etag
    with failing(FAILED, "SOURCE_MISMATCH"):
        await apply(shared_service, shop, of(shop, "web", n=1), expected_etag=first.source.etag)


async def test_who_takes_and_releases_an_application_is_logged_once(shared_service: Service, shop: str) -> None:
    ids = [str(ULID()) for _ in range(2)]
    with capture_logs() as lines:
        await apply(shared_service, shop, of(shop, "web", n=1), validate_only=True)
        first = await apply(shared_service, shop, of(shop, "web", n=1), request_id=ids[0])
        await apply(shared_service, shop, of(shop, "web", n=1), request_id=ids[0])
        await apply(shared_service, shop, commit="c2", expected_etag=first.source.etag)
        await release(shared_service, shop, validate_only=True)
        await release(shared_service, shop, request_id=ids[1])
        await release(shared_service, shop, request_id=ids[1])
        await release(shared_service, shop, allow_missing=True)
    logged = [line for line in lines if line["event"].startswith("source ")]
    what = {
        "application": shop,
        "application_id": first.source.application_id,
        "repository": REPOSITORY,
        "path": PATH,
        "caller": "anonymous",
        "log_level": "info",
    }
    assert logged == [
        what | {"event": "source taken", "commit": "c1", "request_id": ids[0]},
        what | {"event": "source released", "commit": "c2", "request_id": ids[1]},
    ]


async def test_a_source_follows_its_application_to_a_new_name_and_ends_with_it(
    shared_service: Service, shop: str
) -> None:
    first = await apply(shared_service, shop, of(shop, "web", n=1))
    new = f"new-{ULID()}"
    await shared_service.applications.UpdateApplication(
        UpdateApplicationRequest(name=shop, application=Application(name=new))
    )
    found = await source_of(shared_service, new)
    assert found is not None
    assert (found.application, found.etag) == (new, first.source.etag)
    again = await apply(shared_service, new, of(new, "web", n=2), commit="c2", expected_etag=first.source.etag)
    assert again.source.version == 2
    await shared_service.applications.DeleteApplication(DeleteApplicationRequest(name=new, force=True))
    for made in (shop, new):
        with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
            await source_of(shared_service, made)
    await create_application(shared_service, new)
    assert await source_of(shared_service, new) is None
    assert await marks(shared_service, new) == {}


async def test_sources_are_found_by_repository_and_path_page_by_page(shared_service: Service) -> None:
    repository = f"git@git.example.com:{ULID()}.git"
    made = [(await create_application(shared_service, f"app-{ULID()}")).name for _ in range(4)]
    for number, name in enumerate(made):
        source = revision(repository=repository, path="" if number else "one")
        await apply(shared_service, name, source=source)
    assert [one.application for one in await sources(shared_service, repository=repository)] == made
    assert [one.application for one in await sources(shared_service, repository=repository, path="")] == made[1:]
    assert [one.application for one in await sources(shared_service, repository=repository, path="one")] == made[:1]
    found: list[str] = []
    token = ""
    while token or not found:
        request = ListSourcesRequest(repository=repository, page_size=3, page_token=token)
        page = await shared_service.sources.ListSources(request)
        found += [one.application for one in page.sources]
        token = page.next_page_token
    assert found == made


async def test_marks_are_listed_page_by_page_with_the_etag_of_the_source(shared_service: Service, shop: str) -> None:
    applied = await apply(shared_service, shop, *(of(shop, f"c{number}") for number in range(5)))
    found: list[str] = []
    token = ""
    while token or not found:
        request = ListAppliedConfigurationsRequest(application=ApplicationRef(name=shop), page_size=2, page_token=token)
        page = await shared_service.sources.ListAppliedConfigurations(request)
        assert page.source_etag == applied.source.etag
        found += [one.id for one in page.applied_configurations]
        token = page.next_page_token
    assert found == sorted(one.configuration.id for one in applied.outcomes)


@pytest.mark.parametrize(
    ("fields", "faults"),
    [
        ({"source": None}, {"source", "source.repository", "source.commit"}),
        ({"source": revision("")}, {"source.commit"}),
        ({"source": revision("a\nb")}, {"source.commit"}),
        ({"source": revision(path="a" * 1025)}, {"source.path"}),
        ({"source": revision(repository="https://user:secret@git.example.com/a.git")}, {"source.repository"}),
        ({"source": revision(repository="https://token@git.example.com/a.git")}, {"source.repository"}),
        ({"source": revision(repository="ssh://user:secret@git.example.com/a.git")}, {"source.repository"}),
        ({"released_ids": ["web"]}, {"released_ids[0]"}),
        ({"released_ids": [str(ULID())] * 1001}, {"released_ids"}),
        ({"writes": [creation("web")] * 1001}, {"writes"}),
        ({"application": None}, {"application"}),
    ],
)
async def test_a_request_that_can_never_succeed_is_refused_with_its_faults(
    shared_service: Service, fields: dict[str, Any], faults: set[str]
) -> None:
    given: dict[str, Any] = {"application": ApplicationRef(name="shop"), "source": revision()}
    request = ApplySourceRequest(**given | fields)
    with failing(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as caught:
        await shared_service.sources.ApplySource(request)
    assert violations_of(caught.value).keys() == faults
    assert "secret" not in str(violations_of(caught.value))
