"""The part of a call that every transport shares: who may make it, what is counted and what is logged."""

import logging
import time
from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status
from ulid import ULID

from configsvc.access.admission import Admission
from configsvc.access.caller import Caller
from configsvc.api.draining import Drain
from configsvc.api.permissions import Needed, needed_for
from configsvc.api.statuses import internal_status, reason_of, status_of
from configsvc.domain.access import Identity
from configsvc.domain.credentials import Credentials
from configsvc.domain.errors import ConfigsvcError
from configsvc.domain.peers import host_of
from configsvc.offload.threads import LargeAnswers
from configsvc.telemetry.calls import CallMetrics, InFlight
from configsvc.telemetry.logs import trace_of
from configsvc.telemetry.refusals import DENIALS, Kind, Refusals, level_of

log = structlog.get_logger()

# An encoded response: its resource, the same object while it is cached, and the rest.
Encoded = tuple[bytes, bytes]
UnaryMethod = Callable[[Any, Caller], Awaitable[Message | Encoded]]
Write = Callable[[bytes], Awaitable[None]]
Offer = Callable[[bytes], bool]
# Returns the current epoch; raises EpochChangedError if it is not the expected one (empty: any).
EpochFor = Callable[[str], str]
UploadMethod = Callable[[AsyncIterable[bytes], Caller], Awaitable[Message]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Two ways to send a message on a stream.

    `write` waits until the client can take more. `offer` never waits: it takes the message whole and returns True, or
    leaves it. `offer` is None where the transport can't tell without waiting.
    """

    write: Write
    offer: Offer | None


StreamMethod = Callable[[Any, Caller, Writer], Awaitable[None]]


class Call:
    """One call in progress. `peer` and `trace_id` are asked only when a line is logged: that costs microseconds."""

    __slots__ = ("actor", "peer", "request", "started", "trace_id")

    def __init__(self, peer: Callable[[], str], trace_id: Callable[[], str]) -> None:
        self.peer = peer
        self.trace_id = trace_id
        self.started = time.perf_counter()
        self.request: object = None
        # Empty until the caller is identified.
        self.actor = ""

    @property
    def seconds(self) -> float:
        """The duration so far."""
        return time.perf_counter() - self.started

    def identified(self, identity: Identity) -> None:
        """Note who makes the call."""
        self.actor = identity.principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Methods:
    """Everything that the methods of a server share."""

    admission: Admission
    metrics: CallMetrics
    in_flight: InFlight
    drain: Drain
    refusals: Refusals
    epoch_for: EpochFor
    large: LargeAnswers

    def of(self, descriptor: MethodDescriptor) -> "Method":
        """Return the method that the descriptor declares. Raises KeyError if it declares no permission."""
        name = f"{descriptor.containing_service.name}/{descriptor.name}"
        changes_something = "request_id" in descriptor.input_type.fields_by_name
        return Method(name, self, needed_for(descriptor), changes_something=changes_something)


class Method:
    """One method of a service: admits its calls, counts and logs them. Contents are never logged."""

    def __init__(self, name: str, shared: Methods, needed: Needed, *, changes_something: bool) -> None:
        self.in_flight = shared.in_flight
        self.changes_something = changes_something
        self.revocable = shared.admission.revocable
        self._name = name
        self._drain = shared.drain
        self._admit = shared.admission.admit
        self._needed = needed
        self._metrics = shared.metrics.of(name)
        self._refused = shared.metrics.refused
        self._refusals = shared.refusals
        self._level = logging.INFO if changes_something else logging.DEBUG
        # Asked once: a line that nobody wants costs the calls nothing.
        self._logs_success = log.is_enabled_for(self._level)

    async def admit(self, call: Call, credentials: Credentials) -> Caller:
        """Return the caller. Raises PermissionDeniedError, ShuttingDownError, and what `Admission.admit` raises."""
        if self._drain.begun:
            await self._drain.refused()
        caller = await self._admit(credentials, call.identified)
        self._needed.check(caller)
        return caller

    def succeed(self, call: Call) -> None:
        """Count, time and perhaps log a call that was answered once."""
        self._metrics.codes["OK"] += 1
        self._metrics.observe(time.perf_counter() - call.started)
        if self._logs_success:
            self._log(self._level, "OK", call, call_id=str(ULID()))

    def end_stream(self, call: Call) -> None:
        """Count and log a stream that ended by itself."""
        self._end("OK", call)

    def observe(self, call: Call) -> None:
        """Time a call that failed."""
        self._metrics.observe(call.seconds)

    def fail(self, error: BaseException, call: Call, *, gone: bool) -> Status | None:
        """Count and log a call that failed; return its status, or None if there is nobody to tell.

        `gone` is true where the transport lost the caller before the error.
        """
        call_id = str(ULID())
        if isinstance(error, ConfigsvcError):
            return self._refuse(error, call, call_id)
        if isinstance(error, Exception) and not gone:
            # The text of a database error may quote contents, so only its kind and place are logged.
            self._end("INTERNAL", call, call_id=call_id, error=type(error).__name__)
            log.error("internal error", call_id=call_id, trace=trace_of(error))
            return internal_status(call_id)
        if call.actor:
            self._end("CANCELLED", call, call_id=call_id)
        else:
            # A stranger can do this without end.
            self._log_refusal("CANCELLED", call, "", call_id=call_id)
        return None

    def _refuse(self, error: ConfigsvcError, call: Call, call_id: str) -> Status:
        status = status_of(error)
        code = Code.Name(status.code)
        self._refused[code, reason_of(error)] += 1
        # The message quotes nothing but names from the request.
        denied = {"denied": status.message} if code in DENIALS else {}
        self._log_refusal(code, call, _cause(error), call_id=call_id, **denied)
        return status

    def _end(self, code: str, call: Call, **more: str) -> None:
        self._metrics.count(code)
        self._log(logging.INFO, code, call, **more)

    def _log_refusal(self, code: str, call: Call, reason: str, **more: str) -> None:
        self._metrics.count(code)
        who = call.actor or host_of(call.peer())
        if self._refusals.should_log(Kind(method=self._name, code=code, reason=reason, who=who)):
            self._log(level_of(code), code, call, reason=reason, **more)

    def _log(self, level: int, code: str, call: Call, **more: str) -> None:
        if trace_id := call.trace_id():
            more["trace_id"] = trace_id
        log.log(
            level,
            "call",
            method=self._name,
            code=code,
            duration_ms=round(call.seconds * 1000, 3),
            caller=call.actor,
            peer=call.peer(),
            request_id=getattr(call.request, "request_id", "")[:36],
            **more,
        )


def revocable(method: Method, answer: UnaryMethod) -> UnaryMethod:
    """Return the method for calls that may outlast the roles of their callers."""

    async def answer_while_allowed(request: Any, caller: Caller) -> Message | Encoded:
        with method.revocable(caller) as revocable_caller:
            return await answer(request, revocable_caller)

    return answer_while_allowed


def _cause(error: ConfigsvcError) -> str:
    name = type(error).__name__
    return f"{name} from {type(error.__cause__).__name__}" if error.__cause__ else name
