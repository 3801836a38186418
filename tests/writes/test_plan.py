"""The plan: the effect of one transaction's writes on the present rows."""

import pytest

from configsvc.domain.content import JsonValue, encode_json
from configsvc.domain.models import NameRef, Origin, WriteContext
from configsvc.domain.scope import Everything
from configsvc.domain.stored_json import Content
from configsvc.domain.writes import Creation, Owner, RetryNextGroup
from configsvc.writes import plan as module
from configsvc.writes.plan import GROUP_LIMIT_BYTES, NO_PINS, Plan

SHOP = Owner(id="01M80Y39MN6J0VZYNBCVJN0JQ5", name="shop")
ORIGIN = Origin(peer="", change_request="")
CONTEXT = WriteContext(
    actor="anonymous",
    origin=ORIGIN,
    reason="",
    request_id="",
    fingerprint=b"",
    validate_only=False,
    scope=Everything(),
)


def creations(count: int, text: str) -> list[Creation]:
    return [
        Creation(
            application=NameRef(name="shop"),
            name=f"c{number}",
            comments="",
            config=Content({"text": text}),
            schema=None,
            context=CONTEXT,
        )
        for number in range(count)
    ]


def planned(writes: list[Creation]) -> Plan:
    plan = Plan(writes, limit_bytes=GROUP_LIMIT_BYTES)
    for index in range(len(writes)):
        plan.add(index, SHOP, NO_PINS)
    return plan


def test_what_waits_for_a_later_batch_is_not_encoded_in_each_before(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[JsonValue] = []

    def counted(value: JsonValue) -> str:
        encoded.append(value)
        return encode_json(value)

    monkeypatch.setattr(module, "encode_json", counted)
    plan = planned(creations(200, "x" * (GROUP_LIMIT_BYTES // 4)))
    assert len(plan.insertions) == 3
    assert list(plan.outcomes.values()) == [RetryNextGroup()] * 197
    assert len(encoded) == 4


def test_the_size_of_a_batch_is_counted_in_bytes() -> None:
    assert len(planned(creations(200, "€" * (GROUP_LIMIT_BYTES // 12))).insertions) == 3
