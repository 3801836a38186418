"""A google.rpc.Status as grpcio ends a call with it: code, message and trailers."""

from dataclasses import dataclass

import grpc
from google.rpc.status_pb2 import Status

DETAILS_KEY = "grpc-status-details-bin"

_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The arguments of `ServicerContext.abort`."""

    code: grpc.StatusCode
    message: str
    trailing_metadata: tuple[tuple[str, bytes], ...]


def failure_of(status: Status) -> Failure:
    """Return the failure that carries a status, with its details, if it has any, in the trailers."""
    metadata = ((DETAILS_KEY, status.SerializeToString()),) if status.details else ()
    return Failure(code=_CODES[status.code], message=status.message, trailing_metadata=metadata)
