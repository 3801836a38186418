"""Calls of the service: a channel, a deadline, retries that are safe, and errors as CliError."""

import os
import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

# Before grpc is imported: it writes to standard error whatever it thinks of the network.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
import grpc

from configsvc.cli import pb
from configsvc.cli.contexts import Context
from configsvc.cli.credentials import bearer_token
from configsvc.cli.failures import ADVICE, MISSING, CliError, ExitCode, advice_of

if TYPE_CHECKING:
    from configapi.v1.access_service_pb2_grpc import AccessServiceStub
    from configapi.v1.application_service_pb2_grpc import ApplicationServiceStub
    from configapi.v1.audit_service_pb2_grpc import AuditServiceStub
    from configapi.v1.configuration_service_pb2_grpc import ConfigurationServiceStub
    from configapi.v1.operation_service_pb2_grpc import OperationServiceStub
    from configapi.v1.schema_service_pb2_grpc import SchemaServiceStub
    from configapi.v1.server_service_pb2_grpc import ServerServiceStub
    from configapi.v1.source_service_pb2_grpc import SourceServiceStub

Answer = TypeVar("Answer")
Detail = TypeVar("Detail", bound="pb.Message")

DEFAULT_SECONDS = 30.0
# Enough for a restart of one of several servers. A service that is away is reported after about four seconds.
MAX_ATTEMPTS = 5
FIRST_DELAY_SECONDS = 0.25
LONGEST_RETRY_DELAY_SECONDS = 10.0
_OPTIONS = (
    # The service refuses pings closer than 10 s.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
)
_DETAILS = "grpc-status-details-bin"
# In place of texts that repeat what is listed.
_SUMMARIES = {
    "INVALID_REQUEST": "the request is invalid",
    "SCHEMA_VIOLATED": "the content violates its schema",
    "BATCH_FAILED": "writes failed, so none was made",
}
# The service writes APPLICATION:NAME. No name has a colon.
_KEY = re.compile(r"\b(configuration) ([\w.-]+):([\w./-]+)", re.ASCII)
_WRITE = re.compile(r"writes\[\d+\]")
# Errors of libraries and proxies after which the same call, which is a read or has a request_id, may succeed.
_TRANSIENT = ("UNAVAILABLE", "INTERNAL", "UNKNOWN", "CANCELLED", "ABORTED", "DATA_LOSS")


class Connection:
    """A channel to the service of a context, with a stub for each of its services."""

    def __init__(self, name: str, context: Context, timeout_seconds: float | None, say: Callable[[str], None]) -> None:
        self.context = context
        self._timeout_seconds = timeout_seconds
        # Of --timeout.
        self._end = time.monotonic() + (timeout_seconds or 0)
        self._say = say
        self._name = name
        self._token: str | None = None
        self._channel = _channel(context)

    @property
    def applications(self) -> "ApplicationServiceStub":
        return self._stub("configapi.v1.application_service_pb2_grpc", "ApplicationServiceStub")

    @property
    def configurations(self) -> "ConfigurationServiceStub":
        return self._stub("configapi.v1.configuration_service_pb2_grpc", "ConfigurationServiceStub")

    @property
    def schemas(self) -> "SchemaServiceStub":
        return self._stub("configapi.v1.schema_service_pb2_grpc", "SchemaServiceStub")

    @property
    def access(self) -> "AccessServiceStub":
        return self._stub("configapi.v1.access_service_pb2_grpc", "AccessServiceStub")

    @property
    def audit(self) -> "AuditServiceStub":
        return self._stub("configapi.v1.audit_service_pb2_grpc", "AuditServiceStub")

    @property
    def items(self) -> "OperationServiceStub":
        return self._stub("configapi.v1.operation_service_pb2_grpc", "OperationServiceStub")

    @property
    def server(self) -> "ServerServiceStub":
        return self._stub("configapi.v1.server_service_pb2_grpc", "ServerServiceStub")

    @property
    def sources(self) -> "SourceServiceStub":
        return self._stub("configapi.v1.source_service_pb2_grpc", "SourceServiceStub")

    @property
    def operations(self) -> Any:
        # Its package has no types.
        return self._stub("google.longrunning.operations_pb2_grpc", "OperationsStub")

    def _stub(self, module: str, name: str) -> Any:
        # Each module has the messages of its service alone: importing all of them takes a quarter of a second.
        from importlib import import_module  # noqa: PLC0415

        return getattr(import_module(module), name)(self._channel)

    def call(self, method: Callable[..., Answer], request: "pb.Message", seconds: float = DEFAULT_SECONDS) -> Answer:
        """Return the answer of a unary method, after retries that are safe: reads, and writes with a request_id. The
        call may take that long, unless --timeout limits the command. Raises CliError.
        """
        end = time.monotonic() + seconds if self._timeout_seconds is None else self._end
        try:
            return self._attempts(method, request, end)
        except CliError as failure:
            # A token that has expired since it was read. The service has done nothing.
            if failure.reason != "UNAUTHENTICATED" or not self._read_another_token():
                raise
        return self._attempts(method, request, end)

    def _attempts(self, method: Callable[..., Answer], request: "pb.Message", end: float) -> Answer:
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return method(request, timeout=max(end - time.monotonic(), 0.001), metadata=self.metadata())
            except grpc.RpcError as error:
                self._wait_for_retry(failure_of(error, self.context), error, attempt, end)
        raise AssertionError

    def _read_another_token(self) -> bool:
        before, self._token = self._token, None
        self.metadata()
        return self._token != before

    def _wait_for_retry(self, failure: CliError, error: grpc.RpcError, attempt: int, end: float) -> None:
        delay = _retry_delay(error, attempt)
        if delay is None or attempt == MAX_ATTEMPTS or time.monotonic() + delay > end:
            raise failure from None
        if attempt == 1:
            self._say(f"{failure.text}; trying again")
        time.sleep(delay)

    def stream(self, method: Callable[..., Any], request: "pb.Message") -> Iterator[Any]:
        """Yield the messages of a stream, which is begun again until the first one is there. It may take as long as it
        takes, unless --timeout is given. Raises CliError.
        """

        def begin(request: Any, **options: Any) -> tuple[Any, Any]:
            call = method(request, timeout=self._timeout_seconds, metadata=options["metadata"])
            return call, next(call)

        call, first = self.call(begin, request)
        yield first
        yield from self.translated(call)

    def translated(self, call: Any) -> Iterator[Any]:
        """Yield the messages of a stream. Raises CliError."""
        try:
            yield from call
        except grpc.RpcError as error:
            raise failure_of(error, self.context) from None

    def extend(self) -> None:
        """Begin the time of --timeout again: a person took the rest, or an operation, whose limit it is."""
        self._end = time.monotonic() + (self._timeout_seconds or 0)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return the metadata of a call. Raises CliError."""
        if self._token is None:
            self._token = bearer_token(self._name, self.context)
        return (("authorization", f"Bearer {self._token}"),) if self._token else ()

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


def _channel(context: Context) -> grpc.Channel:
    options = [*_OPTIONS, ("grpc.enable_http_proxy", int(not context.local))]
    if not context.tls:
        return grpc.insecure_channel(context.target, options)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_bytes_of(context.ca_file),
        private_key=_bytes_of(context.key_file),
        certificate_chain=_bytes_of(context.cert_file),
    )
    return grpc.secure_channel(context.target, credentials, options)


def _bytes_of(path: str) -> bytes | None:
    try:
        return Path(path).expanduser().read_bytes() if path else None
    except OSError as error:
        raise CliError(f"cannot read {path}: {error.strerror}", ExitCode.USAGE) from None


def _retry_delay(error: grpc.RpcError, attempt: int) -> float | None:
    """Return the seconds to wait before the same call; None if it would fail again."""
    status = _status_of(error)
    retry = _unpacked(status, pb.RetryInfo())
    if retry is not None:
        asked = retry.retry_delay.ToMilliseconds() / 1000
        return None if asked > LONGEST_RETRY_DELAY_SECONDS else asked + random.uniform(0, FIRST_DELAY_SECONDS)  # noqa: S311
    if _unpacked(status, pb.ErrorInfo()) is None and error.code().name in _TRANSIENT:
        return random.uniform(0.5, 1) * FIRST_DELAY_SECONDS * 2**attempt  # noqa: S311
    return None


def failure_of(error: grpc.RpcError, context: Context) -> CliError:
    """Return an error of gRPC as an error of the command line."""
    code, status = error.code().name, _status_of(error)
    info = _unpacked(status, pb.ErrorInfo()) or pb.ErrorInfo()
    if info.reason:
        return failure_of_status(status)
    advice = advice_of(code, "")
    return CliError(_unexplained(code, error.details() or "", context), advice.code, hint=advice.hint)


def failure_of_status(status: "pb.Status") -> CliError:
    """Return the error of an operation."""
    info = _unpacked(status, pb.ErrorInfo()) or pb.ErrorInfo()
    advice = advice_of("", info.reason)
    violations = (_unpacked(status, pb.BadRequest()) or pb.BadRequest()).field_violations
    text = _SUMMARIES.get(info.reason, "") if violations else ""
    return CliError(
        text + _count_of_others(status.message) if text else readable(status.message),
        advice.code,
        details=details_of(status),
        hint=_hint_for_missing(status) if info.reason == "RESOURCE_NOT_FOUND" else advice.hint,
        reason=info.reason,
        metadata=dict(info.metadata),
    )


def _hint_for_missing(status: "pb.Status") -> str:
    missing = _unpacked(status, pb.ResourceInfo()) or pb.ResourceInfo()
    return MISSING.get(missing.resource_type, ADVICE["RESOURCE_NOT_FOUND"].hint)


def _unexplained(code: str, text: str, context: Context) -> str:
    if code == "UNAVAILABLE":
        return f"{context.server} does not respond: {_cause(text)}"
    if code == "DEADLINE_EXCEEDED":
        return f"{context.server} has not answered in time"
    return f"{code.lower().replace('_', ' ')}, from a library or a proxy: {text}"


def _cause(text: str) -> str:
    # The last cause of a chain, without the addresses that were tried.
    return text.rsplit(": ", maxsplit=1)[-1]


def readable(text: str) -> str:
    """Return a text of the service with keys as the command line writes them."""
    return _KEY.sub(r"\1 \2/\3", text)


def _count_of_others(text: str) -> str:
    found = re.search(r"(\d+) more than the details list$", text)
    return f"; {found[1]} more faults than these" if found else ""


def details_of(status: "pb.Status") -> list[str]:
    """Return what an error lists, a line each."""
    faults = (_unpacked(status, pb.BadRequest()) or pb.BadRequest()).field_violations
    writes = (_unpacked(status, pb.BatchFailure()) or pb.BatchFailure()).failures
    obstacles = (_unpacked(status, pb.PreconditionFailure()) or pb.PreconditionFailure()).violations
    # Mostly all that failed, and in more detail.
    listed = {found[0] for fault in faults if (found := _WRITE.match(fault.field))}
    return [
        *(f"{readable_field(fault.field)}: {fault.description}" for fault in faults),
        *(
            f"{field}: {readable(write.message)}"
            for write in writes
            if (field := f"writes[{write.index}]") not in listed
        ),
        *(readable(found.subject) for found in obstacles if found.subject not in status.message),
    ]


def readable_field(field: str) -> str:
    """Return the JSON Pointer of a fault inside of a content, and the name of any other field."""
    for prefix in (
        "config_json",
        "config",
        "configuration.config_json",
        "configuration.config",
        "document_json",
        "document",
    ):
        if field == prefix:
            return "the content"
        if field.startswith(f"{prefix}/"):
            return field.removeprefix(prefix)
    return field


def _status_of(error: grpc.RpcError) -> "pb.Status":
    trailers: dict[Any, Any] = dict(cast("Any", error.trailing_metadata() or ()))
    return pb.Status.FromString(trailers.get(_DETAILS, b""))


def _unpacked(status: "pb.Status", detail: Detail) -> Detail | None:
    return next((detail for packed in status.details if packed.Unpack(detail)), None)
