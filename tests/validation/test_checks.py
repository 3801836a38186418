"""Slow schemas, which delay only the callers that use them."""

import asyncio

import pytest
from grpc import StatusCode

from configapi.v1.schema_pb2 import CLOSING_AS_WRITTEN
from configsvc.domain.content import JsonObject, JsonValue
from configsvc.validation import checks
from tests.api.calls import create, create_application, failing, get
from tests.schemas.calls import check_version, create_schema
from tests.service import POLL_SECONDS, Service, violations_of
from tests.writes.schemas import pin

LIMIT = "$schema: takes more than 1 s to validate against its schema"
TEXTS: JsonObject = {"a": ["a" * 600 for _ in range(400)]}


LOOKING: list[JsonValue] = [{"not": {"pattern": f"(?!z).*b{number}"}} for number in range(500)]
# Each text is tried against all patterns, by backtracking: more than 10 s.
HOSTILE: JsonObject = {"properties": {"a": {"items": {"allOf": LOOKING}}}}
# The estimate is as high, but each text matches the first schema at once.
SLOW: JsonObject = {"properties": {"a": {"items": {"anyOf": [{"maxLength": 600}, *LOOKING]}}}}


@pytest.fixture(autouse=True)
def short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "CPU_SECONDS", 0.3)


async def test_a_config_that_takes_too_long_is_refused_and_holds_nobody_up(service: Service) -> None:
    await create_application(service)
    await create_schema(service, "hostile", HOSTILE, closing=CLOSING_AS_WRITTEN)
    await create_schema(service, "slow", SLOW, closing=CLOSING_AS_WRITTEN)
    await create(service, "other", config={"a": 1})

    async def write() -> None:
        with failing(StatusCode.INVALID_ARGUMENT, "SCHEMA_VIOLATED") as caught:
            await create(service, "web", config=TEXTS, schema=pin("hostile"))
        assert violations_of(caught.value) == {"config": LIMIT}

    writing = asyncio.create_task(write())
    await create(service, "more", config={"a": 1})
    assert not writing.done()
    while not writing.done():
        assert (await get(service, "other")).version == 1
        await asyncio.sleep(POLL_SECONDS)
    await writing
    # A slow check that ends in time is accepted, and does not affect the next.
    assert (await create(service, "web", config=TEXTS, schema=pin("slow"))).version == 1
    assert (await create(service, "api", config={"a": []}, schema=pin("hostile"))).version == 1
    checked = await check_version(service, HOSTILE, "slow")
    assert checked.offender_count == 1
