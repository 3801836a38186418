"""A client of the HTTP door with the methods of the generated stubs, so that tests run over both doors."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

import grpc
import httpx
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status
from grpc.aio import AioRpcError, Metadata

# Their messages are the details of errors.
from configapi.v1 import batch_failure_pb2 as _batch_failures  # noqa: F401  # pyright: ignore[reportUnusedImport]
from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON
from tests.doors.bindings import HttpRequest, bindings_of, headers_of, request_of
from tests.doors.calls import Call, StreamCall, UnaryCall, UploadCall
from tests.doors.proto_json import Tree, message_of, parsed, text_of, tree_of

# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
HTTP_STATUSES: dict[int, int] = {
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.UNAUTHENTICATED: 401,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
}
CODES = {code.value[0]: code for code in grpc.StatusCode}
EVENTS, LINES = "text/event-stream", "application/x-ndjson"

Received = Callable[[str, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpClient:
    """Stubs over HTTP. `received` is told the method and the size, as a message, of each answer."""

    http: httpx.AsyncClient
    received: Received = lambda _path, _size: None
    calls: set[Call] = field(default_factory=set[Call])

    def stub(self, service: ServiceDescriptor) -> Any:
        """Return an object with the methods of the service."""
        return type(service.name, (), {method.name: staticmethod(self.method(method)) for method in service.methods})

    def method(self, method: MethodDescriptor) -> Callable[..., Any]:
        """Return the function that calls a method, as the one of a stub."""

        def call(request: Any = None, *, timeout: float | None = None, metadata: Any = None, **_of_grpc: Any) -> Any:
            headers = headers_of(metadata)
            if method.client_streaming:
                made: Call = UploadCall(request, lambda all_: _within(timeout, self._upload(method, all_, headers)))
            elif method.server_streaming:
                made = StreamCall(lambda call: _within(timeout, self._stream(method, request, headers, call)))
            else:
                made = UnaryCall(_within(timeout, self._unary(method, request, headers)))
            self.calls.add(made)
            return made

        return call

    async def send(
        self, method: MethodDescriptor, request: HttpRequest, headers: Any = (), *, as_text: bool = False
    ) -> Message:
        """Send a request of a method that answers once. Return its response; raises AioRpcError."""
        response = await self.http.request(
            request.verb, request.target, content=request.body, headers=[*headers, *_headers_for(request)]
        )
        return self._answer(method, response, request.response_body, as_text=as_text)

    async def _unary(self, method: MethodDescriptor, message: Message, headers: Any) -> Message:
        return await self.send(method, request_of(method, message), headers, as_text=_wants_text(message))

    async def _upload(self, method: MethodDescriptor, messages: AsyncIterable[Message], headers: Any) -> Message:
        (rule,) = bindings_of(method)

        async def lines() -> AsyncGenerator[bytes]:
            async for message in messages:
                yield f"{text_of(tree_of(message))}\n".encode()

        response = await self.http.post(rule.post, content=lines(), headers=[*headers, ("content-type", LINES)])
        return self._answer(method, response, rule.response_body, as_text=False)

    async def _stream(self, method: MethodDescriptor, message: Message, headers: Any, call: StreamCall) -> None:
        request = request_of(method, message)
        async with self.http.stream(
            request.verb, request.target, content=request.body, headers=[*headers, *_headers_for(request)]
        ) as response:
            if response.status_code != HTTPStatus.OK:
                await response.aread()
                raise _error_of(response)
            call.opened(_metadata(response))
            trees = _EVENTS_OF[response.headers["content-type"].partition(";")[0]](response)
            async with contextlib.aclosing(trees):
                async for tree in trees:
                    answer = message_of(_kind(method), tree, as_text=_wants_text(message))
                    self.received(_path(method), answer.ByteSize())
                    await call.put(answer)

    def _answer(
        self, method: MethodDescriptor, response: httpx.Response, response_body: str, *, as_text: bool
    ) -> Message:
        if response.status_code != HTTPStatus.OK:
            raise _error_of(response)
        tree = parsed(response.text)
        if response_body:
            tree = {response_body: tree, **_of_headers(response)}
        answer = message_of(_kind(method), tree, as_text=as_text)
        self.received(_path(method), answer.ByteSize())
        return answer


@contextlib.asynccontextmanager
async def http_client(url: str, *, verify: Any = True) -> AsyncGenerator[HttpClient]:
    """Yield a client with connections of its own, whose calls end with it."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=None, limits=limits, trust_env=False, verify=verify) as http:
        client = HttpClient(http=http)
        try:
            yield client
        finally:
            for call in client.calls:
                call.cancel()
            await asyncio.gather(*(call.code() for call in client.calls), return_exceptions=True)


async def _within(timeout: float | None, work: Coroutine[Any, Any, Any]) -> Any:
    """Do the work; what fails in it is an AioRpcError."""
    try:
        async with asyncio.timeout(timeout):
            return await work
    except TimeoutError as error:
        raise AioRpcError(grpc.StatusCode.DEADLINE_EXCEEDED, Metadata(), Metadata(), "Deadline Exceeded") from error
    except httpx.TransportError as error:
        raise AioRpcError(grpc.StatusCode.UNAVAILABLE, Metadata(), Metadata(), repr(error)) from error


def _headers_for(request: HttpRequest) -> list[tuple[str, str]]:
    return [("content-type", request.content_type)] if request.body is not None else []


def _wants_text(message: Any) -> bool:
    return getattr(message, "format", None) == CONTENT_FORMAT_JSON


def _kind(method: MethodDescriptor) -> type[Message]:
    return message_factory.GetMessageClass(method.output_type)


def _path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def _of_headers(response: httpx.Response) -> Tree:
    """Return the fields of a response that are headers where a bare resource is the body."""
    names = {"revision": "x-configsvc-revision", "epoch": "x-configsvc-epoch", "changed": "x-configsvc-changed"}
    found: Tree = {name: response.headers[header] for name, header in names.items() if header in response.headers}
    return found | ({"changed": parsed(found["changed"])} if "changed" in found else {})


def _metadata(response: httpx.Response) -> Metadata:
    # Two answers are alike whenever they were sent.
    return Metadata(*((name, value) for name, value in response.headers.items() if name != "date"))


def _error_of(response: httpx.Response) -> AioRpcError:
    assert response.headers["content-type"] == "application/json", (response, response.text[:1000])
    error = _error(parsed(response.text), _metadata(response))
    assert response.status_code == HTTP_STATUSES[Code.Value(error.code().name)], (response, error)
    return error


def _error(tree: Tree, metadata: Metadata) -> AioRpcError:
    status = message_of(Status, tree, as_text=False)
    metadata.add("grpc-status-details-bin", status.SerializeToString())
    return AioRpcError(CODES[status.code], Metadata(), metadata, status.message)


async def _lines(response: httpx.Response) -> AsyncGenerator[Tree]:
    """Yield the messages of JSON lines. Raises the error that ends them."""
    async for line in response.aiter_lines():
        tree = parsed(line)
        if set(tree) == {"error"}:
            raise _error(tree["error"], Metadata())
        yield tree


async def _events(response: httpx.Response) -> AsyncGenerator[Tree]:
    """Yield the messages of server-sent events. Raises the error that ends them."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            # All data is on one line.
            assert name not in fields or not name, (fields, line)
            fields[name] = value.removeprefix(" ")
            continue
        if "data" in fields:
            tree = cast("Tree", parsed(fields["data"]))
            if fields.get("event") == "error":
                raise _error(tree, Metadata())
            assert fields.get("id", "") == tree.get("resume_token", "")
            yield tree
        fields = {}


_EVENTS_OF = {EVENTS: _events, LINES: _lines}
