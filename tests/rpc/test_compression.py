"""Answers are compressed for clients that offer gzip, where that is worth its time."""

import gzip

import pytest
from google.protobuf.message import Message

from configapi.v1.configuration_service_pb2 import GetConfigurationRequest, WatchConfigurationsRequest
from configsvc.domain.content import JsonObject, JsonValue
from configsvc.rpc.compression import LEAST_BYTES, MOST_BYTES
from tests.api.calls import create, get, key
from tests.rpc.raw_http2 import DATA, call, connection
from tests.service import Service, struct

GET = "/configapi.v1.ConfigurationService/GetConfiguration"
WATCH = "/configapi.v1.ConfigurationService/WatchConfigurations"
WINDOW = 2**20


def config_of(size: int) -> JsonObject:
    return {f"member{number}": f"value {number % 7}" for number in range(size // 40)}


async def first_data(service: Service, path: str, request: Message, offered: str) -> bytes:
    """Return the first bytes of an answer: whether it is compressed, its size, and its beginning."""
    async with connection(service.address, window=WINDOW) as raw:
        raw.send(call(1, path, request.SerializeToString(), {"grpc-accept-encoding": offered} if offered else {}))
        return await raw.until(DATA, 1)


async def test_an_answer_is_compressed_for_a_client_that_offers_gzip(shop: Service) -> None:
    created = await create(shop, "web", config_of(64 * 1024))
    request = GetConfigurationRequest(key=key("web"))
    for offered in ("gzip", "identity, deflate, gzip", "identity,gzip"):
        data = await first_data(shop, GET, request, offered)
        flag, size = data[0], int.from_bytes(data[1:5])
        assert (flag, data[5:7]) == (1, b"\x1f\x8b")
        assert size < created.ByteSize() / 5
        assert created.id.encode() in gzip.decompress(data[5 : 5 + size])
    assert (await get(shop, "web")).config == struct(config_of(64 * 1024))


async def test_an_answer_is_sent_as_it_is_to_a_client_that_does_not_offer_gzip(shop: Service) -> None:
    await create(shop, "web", config_of(64 * 1024))
    for offered in ("", "identity", "br, zstd"):
        assert (await first_data(shop, GET, GetConfigurationRequest(key=key("web")), offered))[0] == 0


@pytest.mark.parametrize("size", [400, LEAST_BYTES // 2, MOST_BYTES])
async def test_small_and_very_large_answers_are_sent_as_they_are(shop: Service, size: int) -> None:
    config: JsonObject = {"a": "x" * (size - 100), "b": list[JsonValue]([0]) * (20 if size == MOST_BYTES else 1)}
    await create(shop, "web", config)
    assert (await first_data(shop, GET, GetConfigurationRequest(key=key("web")), "gzip"))[0] == 0


async def test_the_messages_of_a_watch_are_sent_as_they_are(shop: Service) -> None:
    await create(shop, "web", config_of(64 * 1024))
    async with connection(shop.address, window=WINDOW) as raw:
        request = WatchConfigurationsRequest().SerializeToString()
        raw.send(call(1, WATCH, request, {"grpc-accept-encoding": "gzip"}))
        received = b""
        seen = 0
        while len(received) < LEAST_BYTES:
            await raw.until(DATA, 1)
            data = [payload for kind, stream, payload in raw.frames if (kind, stream) == (DATA, 1)]
            raw.frames.clear()
            received += b"".join(data)
            seen += 1
        assert received[0] == 0
        assert b"member9" in received
