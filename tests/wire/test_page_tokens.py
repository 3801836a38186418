"""Page tokens that were made up, altered, or issued for another request."""

import base64
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from configsvc.domain.content import JsonObject
from configsvc.wire.page_tokens import page_token, with_epoch
from tests.api.calls import create, create_application, failing, patch
from tests.operations.operating import imported, item
from tests.rpc.served import Answer, Method, send, served_methods
from tests.schemas.calls import create_schema, create_version
from tests.service import Service, error_info_of

INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT
OUT_OF_RANGE = grpc.StatusCode.OUT_OF_RANGE
# Statuses that a list may return for a page beyond the present or retained data.
ENDS = {grpc.StatusCode.OK, INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.NOT_FOUND}
ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
HUGE = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A list with several pages: its method, a request, its rows, and the token of its second page."""

    method: Method
    request: JsonObject
    rows: frozenset[bytes]
    token: str

    def with_token(self, token: str) -> Message:
        return ParseDict({"page_token": token} | self.request, self.method.new_request())


async def page(service: Service, method: Method, request: Message) -> tuple[Answer, frozenset[bytes], str]:
    """Return the status of the call, its rows, and the token of the next page."""
    answer = await send(service, method, request.SerializeToString())
    if not answer.messages:
        return answer, frozenset(), ""
    shown: Any = method.answered(answer.messages[0])
    (rows,) = (field.name for field in shown.DESCRIPTOR.fields if field.is_repeated and field.message_type)
    return answer, frozenset(one.SerializeToString() for one in getattr(shown, rows)), shown.next_page_token


async def listing(service: Service, method: Method, request: JsonObject) -> Listing:
    found, rows, token = await page(service, method, ParseDict({"page_size": 1} | request, method.new_request()))
    assert found.code is grpc.StatusCode.OK, (method.path, found)
    _, everything, _ = await page(service, method, ParseDict(request, method.new_request()))
    assert rows <= everything
    return Listing(method=method, request=request, rows=everything, token=token)


@pytest.fixture
async def listings(service: Service) -> list[Listing]:
    """Return every list of the contract, over a database with several of everything."""
    for application in ("bank", "shop"):
        await create_application(service, application)
        for name in ("api", "web"):
            await create(service, name, {"a": 1}, application)
    await patch(service, "web", {"a": 2})
    await create_schema(service, "queue")
    await create_schema(service, "web", {"type": "object"})
    await create_version(service, {"type": "object", "title": "web"})
    operations = [await imported(service, item(f"i{number}"), item("j"), upsert=True) for number in range(2)]
    needed: dict[str, JsonObject] = {
        "ListConfigurationVersions": {"key": {"application": "shop", "name": "web"}},
        "ListSchemaVersions": {"name": "web"},
        "ListOperationItems": {"operation": operations[0].name},
        "ListAppliedConfigurations": {"application": {"name": "shop"}},
    }
    lists = [method for method in await served_methods(service) if "page_token" in method.request.fields_by_name]
    return [await listing(service, method, needed.get(method.descriptor.name, {})) for method in lists]


def altered(token: str) -> Iterator[str]:
    """Yield the token, damaged in many ways."""
    chance = random.Random(0)
    alphabet = "ABCXYZabcxyz0189-_=+/ \n\0é٣"
    for _ in range(20):
        place = chance.randrange(len(token))
        yield token[:place] + chance.choice(alphabet) + token[place + 1 :]
        yield token[:place]
        yield token[place:]
        yield token[:place] + token[chance.randrange(len(token)) :]
    yield from (token * 2, f" {token}", f"{token}\n", token.rstrip("=") + "=" * 5, "A" * 1_000_000)


def retold(token: str) -> Iterator[str]:
    """Yield tokens that say something else in the same form."""
    held, epoch = says(token), epoch_of(token)
    yield from (token.partition(".")[0], token.rpartition(".")[0], token.replace(".", ".1", 1))
    yield from (with_epoch(text, epoch) for text in texts_about(held))


def texts_about(held: dict[str, Any]) -> Iterator[str]:
    for member in held:
        for other in (None, True, -1, 0, HUGE, HUGE + 1, 10**400, 1.5, "", "\0", "ä", "x" * 300, [], {}, [[]], [None]):
            yield encoded(json.dumps(held | {member: other}))
        yield encoded(json.dumps({name: value for name, value in held.items() if name != member}))
    yield encoded(json.dumps(held | {"more": 1}))
    for text in ("", "null", "NaN", "1e999", '"\\ud800"', "[" * 100_000, '{"revision":' * 10_000, '{"after": NaN}'):
        yield encoded(text)


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def says(token: str) -> Any:
    """Return the meaning of a token, without the unused bits of base64, the spaces of JSON, and its epoch."""
    return json.loads(base64.urlsafe_b64decode(token.partition(".")[0]))


def epoch_of(token: str) -> str:
    return token.split(".")[1]


def forged(one: Listing) -> Iterator[str]:
    """Yield tokens with a correct digest: it has no key, so anybody can make one."""
    held: dict[str, Any] = says(one.token)
    request: Any = one.with_token("")
    places = [0, 1, HUGE, "0", "a/b", "z" * 256, "..", "--", "_"]
    for after in (*[[place] * len(held["after"]) for place in places], [], [0] * 9, ["a"] * 9, held["after"]):
        for revision in (0, 1, held["revision"], held["revision"] + 1, HUGE):
            for resource_id in {None, held["resource_id"], ULID}:
                token = page_token(request, revision=revision, resource_id=resource_id, after=tuple(after))
                yield with_epoch(token, epoch_of(one.token))


async def test_every_page_token_that_was_not_given_out_for_the_request_is_refused(
    service: Service, listings: list[Listing]
) -> None:
    assert sum(bool(one.token) for one in listings) >= 8
    tokens = {one.token for one in listings if one.token}
    for one in listings:
        foreign = tokens - {one.token}
        spoilt = [*altered(one.token), *retold(one.token)] if one.token else []
        for token in filter(None, (*foreign, *spoilt)):
            answer, rows, _ = await page(service, one.method, one.with_token(token))
            assert answer.code is INVALID_ARGUMENT or says(token) == says(one.token), (one.method.path, token, answer)
            assert rows <= one.rows


async def test_a_page_token_that_was_computed_shows_nothing_that_the_list_does_not_show(
    service: Service, listings: list[Listing]
) -> None:
    for one in listings:
        for token in dict.fromkeys(forged(one)) if one.token else ():
            answer, rows, _ = await page(service, one.method, one.with_token(token))
            assert answer.code in ENDS, (one.method.path, says(token), answer)
            assert rows <= one.rows, (one.method.path, says(token))


async def test_a_page_token_of_another_epoch_is_refused_by_every_list(
    service: Service, listings: list[Listing]
) -> None:
    with_tokens = [one for one in listings if one.token]
    assert len(with_tokens) >= 8
    for one in with_tokens:
        token = with_epoch(one.token.partition(".")[0], f"1{epoch_of(one.token)}")
        with failing(OUT_OF_RANGE, "EPOCH_CHANGED") as caught:
            await service.channel.unary_unary(one.method.path)(one.with_token(token).SerializeToString())
        assert error_info_of(caught.value).metadata["current_epoch"] == epoch_of(one.token)
