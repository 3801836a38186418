"""The judges themselves: each accepts a good recording and finds the fault that it is there for."""

import copy
from collections.abc import Callable

import pytest

from configapi.v1.configuration_service_pb2 import ConfigurationEvent, WatchConfigurationsResponse
from tests.service import Service
from tests.storage.reading import Session, application, head
from tests.watch import validators
from tests.watch.changing import commit_one_by_one, fill
from tests.watch.history import History, read_history
from tests.watch.recording import Recording, recorded

Messages = list[WatchConfigurationsResponse]


def swap(messages: Messages) -> None:
    messages[-1], messages[-2] = messages[-2], messages[-1]


def repeat(messages: Messages) -> None:
    messages.append(copy.deepcopy(messages[-1]))


def skip(messages: Messages) -> None:
    del messages[-2]


def another_content(messages: Messages) -> None:
    messages[-1].events[0].configuration.config["number"] = 99


def another_actor(messages: Messages) -> None:
    messages[-1].events[0].actor = "nobody"


def another_type(messages: Messages) -> None:
    messages[-1].events[0].type = ConfigurationEvent.TYPE_UPDATED


def split(messages: Messages) -> None:
    """Split the commit of ten into two messages, without need."""
    index = next(index for index, message in enumerate(messages) if message.synced) + 1
    first, second = copy.deepcopy(messages[index]), copy.deepcopy(messages[index])
    del first.events[5:]
    del second.events[:5]
    first.more = True
    messages[index : index + 1] = [first, second]


def split_without_more(messages: Messages) -> None:
    split(messages)
    for message in messages:
        if not message.synced:
            message.more = message.events[0].type == ConfigurationEvent.TYPE_EXISTING


def early_bookmark(messages: Messages) -> None:
    messages.insert(-1, WatchConfigurationsResponse(revision=messages[-1].revision, epoch=messages[-1].epoch))


def shorter_snapshot(messages: Messages) -> None:
    del messages[0].events[0]


def synced_twice(messages: Messages) -> None:
    messages.append(WatchConfigurationsResponse(revision=messages[-1].revision, epoch=messages[-1].epoch, synced=True))


def another_epoch(messages: Messages) -> None:
    messages[-1].epoch = "1-1"


FAULTS: list[tuple[Callable[[Messages], None], Callable[[Recording, History], None]]] = [
    (swap, lambda recording, _: validators.ordered(recording)),
    (repeat, lambda recording, _: validators.unique(recording)),
    (skip, validators.reliable),
    (another_content, validators.reliable),
    (another_actor, validators.reliable),
    (another_type, validators.reliable),
    (split, validators.atomic),
    (split_without_more, validators.atomic),
    (early_bookmark, validators.bookmarkable),
    (shorter_snapshot, validators.snapshot),
    (synced_twice, lambda recording, _: validators.synced_once(recording)),
    (another_epoch, lambda recording, _: validators.one_epoch(recording)),
]


@pytest.mark.parametrize(("fault", "judge"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
async def test_a_judge_finds_the_fault_that_it_is_there_for(
    service: Service,
    psql: Session,
    database_url: str,
    fault: Callable[[Messages], None],
    judge: Callable[[Recording, History], None],
) -> None:
    await application(psql)
    await fill(psql, 3, prefix="first")
    async with recorded(service) as watch:
        await watch.until_synced()
        await fill(psql, 10)
        await commit_one_by_one(psql, 3)
        recording = await watch.until_revision(await head(psql))
    history = await read_history(database_url)
    validators.validate(recording, history)
    fault(recording.messages)
    with pytest.raises(AssertionError):
        judge(recording, history)
