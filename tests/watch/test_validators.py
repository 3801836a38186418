"""The judges themselves: each accepts a good recording and finds the fault that it is there for."""

import copy
from collections.abc import Callable

import pytest

from configapi.v1.change_pb2 import CHANGE_TYPE_UPDATED
from configapi.v1.configuration_service_pb2 import EFFECT_REMOVE, WatchConfigurationsResponse
from tests.service import Service
from tests.storage.reading import Session, application, head
from tests.watch import validators
from tests.watch.changing import commit_one_by_one, fill
from tests.watch.history import History, read_history
from tests.watch.recording import Recording, is_existing, recorded

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
    messages[-1].events[0].origin.actor = "nobody"


def another_change(messages: Messages) -> None:
    messages[-1].events[0].change = CHANGE_TYPE_UPDATED


def another_effect(messages: Messages) -> None:
    messages[-1].events[0].effect = EFFECT_REMOVE


def another_previous_key(messages: Messages) -> None:
    messages[-1].events[0].previous_key.name = "other"


def split(messages: Messages) -> None:
    """Split the commit of ten into two messages, without need."""
    index = next(index for index, message in enumerate(messages) if message.synced) + 1
    first, second = copy.deepcopy(messages[index]), copy.deepcopy(messages[index])
    del first.events[5:]
    del second.events[:5]
    first.more, first.resume_token = True, ""
    messages[index : index + 1] = [first, second]


def split_without_more(messages: Messages) -> None:
    split(messages)
    for message in messages:
        if message.events and not is_existing(message.events[0]):
            message.more, message.resume_token = False, f"{message.epoch}:{message.revision}"


def early_bookmark(messages: Messages) -> None:
    last = messages[-1]
    messages.insert(-1, bookmark(last.epoch, last.revision))


def bookmark(epoch: str, revision: int) -> WatchConfigurationsResponse:
    return WatchConfigurationsResponse(resume_token=f"{epoch}:{revision}", revision=revision, epoch=epoch)


def shorter_snapshot(messages: Messages) -> None:
    del messages[1].events[0]


def opened_twice(messages: Messages) -> None:
    messages.append(copy.deepcopy(messages[0]))


def opened_late(messages: Messages) -> None:
    messages[0], messages[1] = messages[1], messages[0]


def token_in_the_snapshot(messages: Messages) -> None:
    messages[1].resume_token = f"{messages[1].epoch}:{messages[1].revision}"


def token_at_once(messages: Messages) -> None:
    messages[0].resume_token = f"{messages[0].epoch}:{messages[0].revision}"


def commit_without_token(messages: Messages) -> None:
    messages[-1].resume_token = ""


def token_of_another_revision(messages: Messages) -> None:
    messages[-1].resume_token = f"{messages[-1].epoch}:{messages[-1].revision - 1}"


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
    (another_change, validators.reliable),
    (another_effect, validators.reliable),
    (another_previous_key, validators.reliable),
    (split, validators.atomic),
    (split_without_more, validators.atomic),
    (early_bookmark, validators.bookmarkable),
    (shorter_snapshot, validators.snapshot),
    (opened_twice, lambda recording, _: validators.opened_first(recording)),
    (opened_late, lambda recording, _: validators.opened_first(recording)),
    (token_in_the_snapshot, lambda recording, _: validators.tokens(recording)),
    (token_at_once, lambda recording, _: validators.tokens(recording)),
    (commit_without_token, lambda recording, _: validators.tokens(recording)),
    (token_of_another_revision, lambda recording, _: validators.tokens(recording)),
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
