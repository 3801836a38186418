"""The judges themselves: each accepts a good client and finds the fault that it is there for."""

import copy
from collections.abc import Callable

import pytest
from grpc import StatusCode

from configapi.v1.configuration_service_pb2 import WatchConfigurationsResponse
from tests.proxy import proxied_address
from tests.robustness import validators
from tests.robustness.clients import Client, End, Life, watch_of
from tests.robustness.followers import Sight, followers_of
from tests.robustness.readers import LatestRead
from tests.robustness.stage import following, watching
from tests.robustness.traffic import Outcome, Write
from tests.service import Service
from tests.storage.reading import Session, application, head
from tests.watch.changing import commit_one_by_one, fill
from tests.watch.history import History, read_history

Judge = Callable[[Life, History], None]
ULID = "0" * 26


def messages(life: Life, stream: int) -> list[WatchConfigurationsResponse]:
    return life.streams[stream].recording.messages


def index_of_events(life: Life, stream: int) -> int:
    """Return the index of the first change in a stream."""
    return next(index for index, message in enumerate(messages(life, stream)) if message.events and not message.more)


def going_back(life: Life) -> None:
    """Let the second stream begin before the end of the first."""
    messages(life, 1)[1].revision = 1


def twice(life: Life) -> None:
    """Let the second stream begin with the last message of the first."""
    messages(life, 1).insert(0, copy.deepcopy(messages(life, 0)[index_of_events(life, 0)]))


def hole(life: Life) -> None:
    """Remove something between the streams."""
    del messages(life, 1)[index_of_events(life, 1)]


def split(life: Life) -> None:
    """Split a small commit into two messages."""
    index = index_of_events(life, 0)
    first, second = (copy.deepcopy(messages(life, 0)[index]) for _ in range(2))
    del first.events[1:]
    del second.events[:1]
    first.more, first.resume_token = True, ""
    messages(life, 0)[index : index + 1] = [first, second]


def resumed_elsewhere(life: Life) -> None:
    life.streams[1].recording.request.resume_token += "1"


def resumed_from_its_beginning(life: Life) -> None:
    messages(life, 1)[0].revision -= 1


def token_inside_of_a_commit(life: Life) -> None:
    split(life)
    first = messages(life, 0)[index_of_events(life, 0) - 1]
    first.resume_token = f"{first.epoch}:{first.revision}"


def early_bookmark(life: Life) -> None:
    """Let a bookmark claim a later revision."""
    index = index_of_events(life, 1)
    later = messages(life, 1)[index]
    messages(life, 1).insert(index, bookmark(later.epoch, later.revision))


def bookmark_of_the_future(life: Life) -> None:
    messages(life, 1).append(bookmark(messages(life, 1)[-1].epoch, 99))


def bookmark(epoch: str, revision: int) -> WatchConfigurationsResponse:
    return WatchConfigurationsResponse(resume_token=f"{epoch}:{revision}", revision=revision, epoch=epoch)


def ended_with_ok(life: Life) -> None:
    life.streams[0].end = End(code=StatusCode.OK, reason="")


def ended_with_an_internal_error(life: Life) -> None:
    life.streams[0].end = End(code=StatusCode.INTERNAL, reason="INTERNAL")


FAULTS: list[tuple[Callable[[Life], None], Judge]] = [
    (going_back, validators.ordered),
    (twice, validators.unique),
    (hole, validators.reliable),
    (split, validators.atomic),
    (resumed_elsewhere, validators.resumable),
    (resumed_from_its_beginning, validators.resumable),
    (token_inside_of_a_commit, validators.resumable),
    (early_bookmark, validators.bookmarkable),
    (bookmark_of_the_future, validators.live_or_told),
    (ended_with_ok, validators.live_or_told),
    (ended_with_an_internal_error, validators.live_or_told),
]


@pytest.mark.parametrize(("fault", "judge"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
async def test_a_judge_finds_the_fault_that_it_is_there_for(
    service: Service, psql: Session, database_url: str, fault: Callable[[Life], None], judge: Judge
) -> None:
    await application(psql)
    async with proxied_address(service.address) as (proxy, address):
        client = Client([address], watch_of())
        async with watching([client]):
            await fill(psql, 2)
            await client.until_revision(await head(psql))
            await proxy.drop()
            await commit_one_by_one(psql, 2)
            await client.until_revision(await head(psql))
    history = await read_history(database_url)
    (life,) = client.lives
    assert len(life.streams) > 1
    validators.judge(life, history)
    fault(life)
    with pytest.raises(AssertionError):
        judge(life, history)


def another_version(sight: Sight) -> None:
    sight.versions[next(iter(sight.versions))] += 1


def one_too_many(sight: Sight) -> None:
    sight.versions["other"] = 1


def one_too_few(sight: Sight) -> None:
    del sight.versions[next(iter(sight.versions))]


@pytest.mark.parametrize("fault", [another_version, one_too_many, one_too_few])
async def test_a_view_that_is_not_the_state_of_the_database_is_found(
    service: Service, psql: Session, database_url: str, fault: Callable[[Sight], None]
) -> None:
    await application(psql)
    (follower, *_) = followers_of([service.address])
    async with following([follower]):
        await fill(psql, 2)
        await follower.until_revision(await head(psql))
    history = await read_history(database_url)
    validators.right(follower.sights, follower.selectors, history)
    fault(follower.sights[-1])
    with pytest.raises(AssertionError):
        validators.right(follower.sights, follower.selectors, history)


def test_memory_that_grows_is_found() -> None:
    validators.bounded(before=10, after=20, limit=10)
    with pytest.raises(AssertionError):
        validators.bounded(before=10, after=21, limit=10)


@pytest.mark.parametrize(
    ("outcome", "revisions"),
    [(Outcome.DONE, []), (Outcome.DONE, [1, 2]), (Outcome.REFUSED, [1]), (Outcome.UNKNOWN, [1, 2])],
)
def test_a_write_that_was_lost_doubled_or_made_in_spite_of_its_answer_is_found(
    outcome: Outcome, revisions: list[int]
) -> None:
    right = [Write(marker="a", outcome=Outcome.DONE), Write(marker="b", outcome=Outcome.REFUSED), Write(marker="c")]
    validators.answered(right, {"a": [1]})
    with pytest.raises(AssertionError):
        validators.answered([Write(marker="d", outcome=outcome)], {"d": revisions})


def test_a_change_that_was_taken_back_is_found() -> None:
    with pytest.raises(AssertionError):
        validators.answered([], {"taken back a": [1]})


def latest_read(*, floor: int, ceiling: int, revision: int | None, version: int = 0) -> LatestRead:
    shown = (ULID, version) if revision is not None else None
    return LatestRead(application="shop", name="web", floor=floor, ceiling=ceiling, revision=revision, shown=shown)


async def test_a_latest_read_that_is_stale_or_wrong_is_found(psql: Session, database_url: str) -> None:
    await application(psql)
    created = "INSERT INTO configurations (id, application, name, config) VALUES ($1, 'shop', 'web', '{}')"
    await psql.execute(created, ULID)
    await psql.execute("UPDATE configurations SET comments = 'changed'")
    history = await read_history(database_url)

    validators.latest([latest_read(floor=2, ceiling=3, revision=2, version=1)], history)
    validators.latest([latest_read(floor=3, ceiling=3, revision=3, version=2)], history)
    validators.latest([latest_read(floor=1, ceiling=3, revision=None)], history)
    for wrong in (
        latest_read(floor=3, ceiling=3, revision=2, version=1),
        latest_read(floor=2, ceiling=3, revision=3, version=1),
        latest_read(floor=2, ceiling=2, revision=3, version=2),
        latest_read(floor=2, ceiling=3, revision=None),
    ):
        with pytest.raises(AssertionError):
            validators.latest([wrong], history)
