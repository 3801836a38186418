"""One call of any method, over either door."""

from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from tests.service import Service, method_of

Outcome = grpc.StatusCode | grpc.aio.AioRpcError


async def outcome_of(service: Service, method: MethodDescriptor, request: Message, metadata: Any = ()) -> Outcome:
    """Return OK, also for a stream that has begun, or the error."""
    call = method_of(service, method)(iter([request]) if method.client_streaming else request, metadata=metadata)
    try:
        await (call.read() if method.server_streaming else call)
    except grpc.aio.AioRpcError as error:
        return error
    finally:
        call.cancel()
    return grpc.StatusCode.OK


def code_of(outcome: Outcome) -> grpc.StatusCode:
    return outcome.code() if isinstance(outcome, grpc.aio.AioRpcError) else outcome
