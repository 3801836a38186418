"""Bounds of the cache's memory."""

import tracemalloc

import pytest

from configsvc.configurations.cache import Answer, Cache
from configsvc.domain.models import IdRef, KeyRef

MEBIBYTE = 1024 * 1024


def answer(number: int, size: int, *, shown_revision: int = 1, name: str | None = None) -> Answer:
    return Answer(
        id=f"01K{number:023}",
        application_id=f"01J{number:023}",
        application=f"application-{number % 7}",
        name=name or f"configuration-{number}",
        text=None,
        struct=b"x" * size,
        shown_revision=shown_revision,
    )


def test_it_holds_no_more_than_its_bytes_and_keeps_what_was_used_last() -> None:
    cache = Cache(MEBIBYTE)
    kept = answer(0, 600)
    cache.put(kept)
    for number in range(1, 5000):
        cache.put(answer(number, 600))
        assert cache.get(IdRef(id=kept.id)) is kept
        assert cache.bytes <= MEBIBYTE
    assert 500 < len(cache) < 1000
    assert cache.get(KeyRef(application="application-1", name="configuration-1")) is None


def test_what_does_not_fit_is_not_kept() -> None:
    cache = Cache(1000)
    cache.put(answer(1, 2000))
    assert (len(cache), cache.bytes) == (0, 0)


def test_another_configuration_of_the_same_name_takes_its_place() -> None:
    cache = Cache(MEBIBYTE)
    old, new = answer(1, 10, name="web"), answer(8, 10, name="web")
    cache.put(old)
    cache.put(new)
    assert cache.get(IdRef(id=old.id)) is None
    assert cache.get(KeyRef(application=new.application, name="web")) is new
    assert cache.bytes == new.memory_bytes


@pytest.mark.parametrize("size", [50, 650, 20_000])
def test_the_estimate_of_its_memory_is_honest(size: int) -> None:
    cache = Cache(1024 * MEBIBYTE)
    tracemalloc.start()
    try:
        for number in range(5000):
            cache.put(answer(number, size))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken <= cache.bytes <= taken * 1.5
