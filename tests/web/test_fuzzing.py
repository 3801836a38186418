"""Whatever arrives, nothing in the service breaks: no 500, no traceback, no hang."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from urllib.parse import quote

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from configsvc.api.services import SERVICES
from configsvc.web.routes import Routes
from tests.postgres import cloned_database
from tests.service import LIMIT_SECONDS, Service, running_service
from tests.web.raw_http import ask, connection

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(postgres_server: str, template_database: str) -> AsyncGenerator[Service]:
    """Yield a service for all tests of this module."""
    async with (
        cloned_database(postgres_server, template_database) as url,
        running_service(url, http_listen="127.0.0.1:0") as running,
    ):
        yield running


@pytest.fixture(autouse=True)
def quiet(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Check that nothing was logged as an error of ours, nor by a library."""
    yield
    out, err = capsys.readouterr()
    for word in ("internal error", "Traceback", "INTERNAL"):
        assert word not in out + err
    assert not caplog.records


# Pieces of requests, whole and broken, in any order.
PIECES = st.sampled_from(
    [
        *(b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"PRI", b"CONNECT", b" ", b"\t", b"\r\n", b"\n", b"\r", b"\0"),
        *(b" /health", b" /api/v1/applications", b" /api/v1/configurations:watch", b" *", b" http://[::1]:1/x", b" //"),
        *(
            b" HTTP/1.1\r\n",
            b" HTTP/1.0\r\n",
            b" HTTP/2.0\r\n",
            b"Host: localhost\r\n",
            b"host: [::1\r\n",
            b"%",
            b"%ff",
        ),
        *(b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n"),
        *(b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"ffffffffffffffff\r\n", b"1;a=b\r\nx\r\n", b"\r\n\r\n", b'{"name":"x"}'),
        *(b"Connection: upgrade\r\nUpgrade: h2c\r\n", b"Connection: close\r\n", b"Expect: 100-continue\r\n"),
        *(b"Origin: null\r\n", b"If-Match: \xff\r\n", b"Accept-Encoding: gzip;q=x\r\n", b"Last-Event-ID: \xe4\r\n"),
        b"GET /api/v1/applications HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /api/v1/applications HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n",
        b"POST /api/v1/applications HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"PUT /api/v1/applications/a/configurations/b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
    ]
)


@settings(max_examples=300)
@given(st.lists(st.one_of(PIECES, st.binary(max_size=20)), max_size=40), st.booleans())
async def test_any_bytes_get_answers_that_are_http_or_the_end_of_the_connection(
    served: Service, pieces: list[bytes], whole: bool
) -> None:
    with suppress(ConnectionError):
        async with connection(served.http_address) as raw, asyncio.timeout(LIMIT_SECONDS):
            for piece in [b"".join(pieces)] if whole else pieces:
                raw.send(piece)
                await raw.writer.drain()
            raw.writer.write_eof()
            answers = await raw.reader.read()
            assert not answers or answers.startswith(b"HTTP/1.1 ")
            assert b"HTTP/1.1 500" not in answers
    assert (await ask(served.http_address, "GET", "/health/live")).status == 200


ROUTES = [(route.verb, route.path) for route in Routes(SERVICES).all]
SEGMENTS = st.one_of(st.sampled_from(["shop", "a/b", "..", ".", "", "%", "%2F", "%ff", ":watch", "*", "0"]), st.text())
VALUES = st.one_of(
    st.text(), st.integers(-(2**70), 2**70).map(str), st.sampled_from(["true", "null", "1e999", "NaN", "\0", "\ud7ff"])
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
BODIES = st.one_of(st.none(), st.binary(max_size=50), JSON.map(lambda value: json.dumps(value).encode()))
NAMES = ["name", "config", "application", "page_size", "page_token", "filter", "request_id", "update_mask", "expect"]
FIELDS = sorted({field.name for s in SERVICES for m in s.methods for field in m.input_type.fields} | set(NAMES))
# Parts of JSON texts that no value of Python is written as: huge exponents, half characters and repeated members.
ODD = ["1e1000000000000000000", "-0.1E-1000000000000000000", "1e400", '"\\ud800"', '"\\udfff,a"', "null", "{}", "[]"]
ODD_NAMES = ['"\\ud800"', '"a\\udc00"', '"zz"', *map(json.dumps, FIELDS)]
MEMBERS = st.one_of(st.sampled_from(ODD_NAMES[:3]), st.sampled_from(ODD_NAMES))


def objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return texts of objects, whose members may be repeated."""
    members = st.tuples(MEMBERS, values).map(":".join)
    return st.lists(members, max_size=4).map(lambda texts: f"{{{','.join(texts)}}}")


TEXTS = st.recursive(
    st.one_of(st.sampled_from(ODD), JSON.map(json.dumps)),
    lambda inner: st.one_of(st.lists(inner, max_size=3).map(lambda texts: f"[{','.join(texts)}]"), objects(inner)),
    max_leaves=8,
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            *("If_Match", "If_None_Match", "Idempotency_Key", "X_Change_Request", "Traceparent", "Accept_Encoding"),
            *("Content_Type", "Content_Encoding", "Origin", "Authorization", "X_Forwarded_For", "Accept"),
            *("Last_Event_ID", "Range"),
        ]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=30),
    max_size=4,
)


@settings(max_examples=400)
@given(
    st.sampled_from(ROUTES),
    st.lists(SEGMENTS, min_size=4, max_size=4),
    st.lists(st.tuples(st.one_of(st.sampled_from(FIELDS), st.text(max_size=5)), VALUES), max_size=4),
    st.one_of(
        BODIES,
        st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4).map(lambda v: json.dumps(v).encode()),
        objects(TEXTS).map(str.encode),
    ),
    HEADERS,
    st.sampled_from(["", "", "", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND"]),
)
async def test_any_request_of_any_route_gets_an_answer_that_is_no_fault_of_ours(
    served: Service,
    route: tuple[str, str],
    segments: list[str],
    parameters: list[tuple[str, str]],
    body: bytes | None,
    headers: dict[str, str],
    other: str,
) -> None:
    verb, template = route
    left = iter(segments)
    path = "".join(
        part if index % 2 == 0 else quote(next(left), safe="/%:")
        for index, part in enumerate(template.replace("}", "{").split("{"))
    )
    query = "&".join(f"{quote(name)}={quote(value)}" for name, value in parameters)
    async with asyncio.timeout(LIMIT_SECONDS):
        status = await first_status(served, other or verb, f"{path}?{query}", body, headers)
    assert status < 500 or status in (501, 503), (verb, path, query, body, headers)


# Paths without variables, whose methods select configurations.
SELECTING = [
    (route.path, holder)
    for route in Routes(SERVICES).all
    for holder in ("selector", "selectors")
    if route.body == "*" and "{" not in route.path and holder in route.method.input_type.fields_by_name
]
SELECTED = ["names", "name_prefix", "application", "labels", "page_size", "selector", "instance", "start"]


@settings(max_examples=200)
@given(
    st.sampled_from(SELECTING),
    st.sampled_from(SELECTED),
    VALUES,
    TEXTS,
    st.sampled_from(["{}", "[{}]", "[{},{}]", "[[{}]]", ""]),
)
async def test_any_field_in_both_body_and_query_gets_an_answer_that_is_no_fault_of_ours(
    served: Service, selecting: tuple[str, str], name: str, value: str, text: str, held: str
) -> None:
    path, holder = selecting
    member = f'{{"{name}":{text}}}'
    body = f'{{"{holder}":{held.replace("{}", member)}}}' if held else member
    async with asyncio.timeout(LIMIT_SECONDS):
        target = f"{path}?{name}={quote(value)}"
        status = await first_status(served, "POST", target, body.encode(), {"Content-Type": "application/json"})
    assert status < 500 or status in (501, 503), (target, body)


async def first_status(served: Service, verb: str, target: str, body: bytes | None, headers: dict[str, str]) -> int:
    """Return the status of an answer, whose body may never end."""
    lines = [f"{verb} {target} HTTP/1.1", "Host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [] if body is None else [f"Content-Length: {len(body)}"]
    async with connection(served.http_address) as raw:
        raw.send("\r\n".join((*lines, "", "")).encode("latin-1"), body or b"")
        return (await raw.start())[0]
