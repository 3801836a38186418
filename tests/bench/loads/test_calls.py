import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from bench.loads.calls import call_again


def error(code: StatusCode, *details: RetryInfo) -> grpc.aio.AioRpcError:
    status = Status()
    for detail in details:
        packed = Any()
        packed.Pack(detail)
        status.details.append(packed)
    trailing = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing)


async def test_a_call_is_repeated_as_long_as_its_error_asks_for_that() -> None:
    answers = [error(StatusCode.ABORTED, RetryInfo()), error(StatusCode.UNAVAILABLE, RetryInfo()), b"answer"]

    async def call() -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, bytes):
            return answer
        raise answer

    assert await call_again(call) == b"answer"


@pytest.mark.parametrize("raised", [error(StatusCode.ABORTED), error(StatusCode.INTERNAL, RetryInfo())])
async def test_any_other_error_ends_the_calls(raised: grpc.aio.AioRpcError) -> None:
    async def call() -> bytes:
        raise raised

    with pytest.raises(grpc.aio.AioRpcError):
        await call_again(call)
