"""Fuzzed requests of every RPC: each is answered, and no answer shows internals."""

import asyncio
import os
import random
import re
import signal
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from google.protobuf.struct_pb2 import Struct
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st

from configapi.v1.configuration_pb2 import Configuration
from tests.api.calls import create, create_application, get, patch
from tests.operations.operating import imported, item
from tests.process.running import serving
from tests.rpc.hostile import hostile_bytes
from tests.rpc.served import Answer, Method, send, served_methods
from tests.schemas.calls import create_schema
from tests.service import Service

# For each method and pass. The long form: CONFIGSVC_EXAMPLES=300 .venv/bin/pytest --timeout=3600 tests/rpc
EXAMPLES = int(os.environ.get("CONFIGSVC_EXAMPLES", "6"))
# The suite is reproducible; the long form tries new examples each time.
SEED = random.getrandbits(32) if "CONFIGSVC_EXAMPLES" in os.environ else 0
# A stream or a wait that is good is not waited for.
CALL_SECONDS = 0.3
# Growth allowed to the allocator and the caches of schemas and statements, once each method has been called.
GROWTH_BYTES = 64 * 1024 * 1024

NEVER = {
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.DATA_LOSS,
}
# Internals: Python, its files and exceptions, SQL and PostgreSQL's messages.
INSIDE = re.compile(
    r"Traceback|File \"|\.py\b|site-packages|/configsvc/|/usr/|<class|object at 0x|asyncpg|pydantic|Exception"
    r"|SELECT |INSERT |UPDATE |relation \"|column \"|syntax error at(?!.*jsonpath)|SQLSTATE"
)
PASSES = 2


async def stocked(service: Service) -> list[str]:
    """Create resources to ask for, also again after requests that deleted them; return the words that name them."""
    try:
        return words_of(await get(service, "web"))
    except grpc.aio.AioRpcError:
        await make_stock(service)
    return words_of(await get(service, "web"))


def words_of(found: Configuration) -> list[str]:
    return ["shop", "web", "a", found.id, found.application_id]


async def make_stock(service: Service) -> None:
    makings: Sequence[Coroutine[Any, Any, Any]] = (
        create_application(service, "shop"),
        create_schema(service, "web", {"type": "object"}),
        create(service, "web", {"a": 1}),
        patch(service, "web", {"a": [1, {"b": "c"}]}),
    )
    for making in makings:
        try:
            await making
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                raise


def judge(method: Method, requests: Sequence[bytes], answer: Answer) -> None:
    note(f"{method.path} {requests!r}: {answer}")
    assert answer.code not in NEVER, answer
    assert not INSIDE.search(answer.text)


def fuzzed(service: Service, method: Method, words: Sequence[str], turn: int, loop: asyncio.AbstractEventLoop) -> None:
    """Send the method its examples, in a thread, because hypothesis knows no event loops."""
    one = hostile_bytes(method, words)
    several = st.lists(one, max_size=3) if method.descriptor.client_streaming else st.lists(one, min_size=1, max_size=1)

    @seed(SEED + turn)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(several)
    def example(requests: list[bytes]) -> None:
        call = send(service, method, *requests, seconds=CALL_SECONDS)
        judge(method, requests, asyncio.run_coroutine_threadsafe(call, loop).result())

    example()


def memory_of(process_id: int) -> int:
    """Return the memory of a process and its children, in bytes."""
    process = psutil.Process(process_id)
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))


@pytest.mark.timeout(60 + EXAMPLES * 12)
async def test_no_bytes_whatever_are_an_internal_error_or_tell_of_the_inside(tmp_path: Path, database_url: str) -> None:
    loop = asyncio.get_running_loop()
    memory: list[int] = []
    async with serving(tmp_path, database_url) as (running, service):
        methods = await served_methods(service)
        await stocked(service)
        await imported(service, item("api", {"a": 1}))
        for turn in range(PASSES):
            for method in methods:
                words = await stocked(service)
                await asyncio.to_thread(fuzzed, service, method, words, turn, loop)
            memory.append(memory_of(running.process.pid))
        assert (await get(service, "web")).config != Struct()
        assert running.process.returncode is None
        running.signal(signal.SIGTERM)
        assert await running.exit_code() == 0
    assert "Traceback" not in running.text
    assert not running.events("internal error")
    assert memory[-1] - memory[0] < GROWTH_BYTES, memory
