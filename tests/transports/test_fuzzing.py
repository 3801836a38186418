"""Random frames and bytes end their own connection at most: others are served, and no defect shows."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configapi.v1.application_service_pb2 import ListApplicationsRequest
from tests.rpc.raw_http2 import PREFACE, frame
from tests.service import LIMIT_SECONDS, Service
from tests.transports import paths
from tests.transports.raw import begin, block, call, data, prefixed, raw_connection, request_fields, tcp
from tests.transports.raw import settings as settings_frame
from tests.transports.sizes import EXAMPLES

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.usefixtures("no_defect"),
    pytest.mark.timeout(3600 if EXAMPLES > 100 else 60),
]
fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES < 100,
    suppress_health_check=(HealthCheck.function_scoped_fixture, HealthCheck.too_slow),
)

STREAMS = st.sampled_from((0, 1, 1, 1, 3, 3, 5, 2, 7, 2**31 - 1))
PATHS = st.sampled_from((paths.GET, paths.CREATE, paths.WATCH, paths.IMPORT, paths.REFLECTION, paths.CHECK, "/a/b"))
HEADER_NAMES = st.sampled_from(
    (":method", ":path", "te", "content-type", "content-length", "grpc-timeout", "grpc-encoding", "x-a-bin", "X", "")
)
HEADER_VALUES = st.sampled_from(("", "POST", "gzip", "1n", "1S", "7", "\n", "ä", "x" * 5000)) | st.text(max_size=5)
BLOCKS = st.one_of(
    PATHS.map(lambda path: block(request_fields(path))),
    st.builds(
        lambda path, more: block([*request_fields(path), *more]),
        PATHS,
        st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=4),
    ),
    st.binary(max_size=40),
)
MESSAGES = st.one_of(
    st.binary(max_size=30),
    st.builds(prefixed, st.binary(max_size=30), st.sampled_from((0, 1, 2)), st.sampled_from((None, 0, 5, 2**32 - 1))),
)
PAYLOADS = st.one_of(BLOCKS, MESSAGES, st.sampled_from((0, 1, 4, 5, 6, 8, 9, 100)).map(bytes), st.binary(max_size=20))
FRAMES = st.one_of(
    st.builds(frame, st.integers(0, 11), st.integers(0, 255), STREAMS, PAYLOADS),
    st.builds(frame, st.just(1), st.sampled_from((4, 5, 0)), STREAMS, BLOCKS),
    st.builds(frame, st.just(0), st.sampled_from((0, 1)), STREAMS, MESSAGES),
    st.builds(begin, STREAMS, PATHS),
    st.builds(call, STREAMS, PATHS, st.binary(max_size=20)),
)


async def check(service: Service, sent: bytes, *, after_settings: bool) -> None:
    """Send bytes and close this side; check that the server closes its own, and serves others."""
    async with raw_connection(service.address) if after_settings else tcp(service.address) as raw:
        raw.send(sent)
        raw.half_close()
        async with asyncio.timeout(LIMIT_SECONDS):
            await raw.until_closed()
        assert raw.closed
    await service.applications.ListApplications(ListApplicationsRequest())


@fuzzed
@given(frames=st.lists(FRAMES, min_size=1, max_size=12))
async def test_random_frames_do_no_harm(served: Service, frames: list[bytes]) -> None:
    await check(served, b"".join(frames), after_settings=True)


@fuzzed
@given(sent=st.binary(min_size=1, max_size=200))
async def test_random_bytes_do_no_harm(served: Service, sent: bytes) -> None:
    await check(served, sent, after_settings=True)


@fuzzed
@given(
    frames=st.lists(FRAMES, min_size=1, max_size=6),
    start=st.integers(0, 400),
    size=st.integers(0, 20),
    replaced=st.binary(max_size=20),
)
async def test_good_beginnings_that_are_damaged_do_no_harm(
    served: Service, frames: list[bytes], start: int, size: int, replaced: bytes
) -> None:
    good = PREFACE + settings_frame() + call(1, paths.LIST, b"") + b"".join(frames) + data(1, b"x")
    await check(served, good[:start] + replaced + good[start + size :], after_settings=False)
