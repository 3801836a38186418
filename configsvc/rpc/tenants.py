"""Refusal of calls that name a tenant: see `configsvc.api.tenants`."""

import grpc

from configsvc.api.statuses import status_of
from configsvc.api.tenants import TENANT_KEY, TENANT_REFUSED
from configsvc.rpc.credentials import Context
from configsvc.rpc.exchanges import Requests, abort
from configsvc.rpc.failures import failure_of

_FAILURE = failure_of(status_of(TENANT_REFUSED))


class RefusedTenants(grpc.GenericRpcHandler):
    """The first handler that gRPC asks for each call, of any method: it takes those that name a tenant.

    gRPC has read the metadata for it anyway; reading them again would take microseconds of every call.
    """

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        for key, _ in handler_call_details.invocation_metadata or ():
            if key == TENANT_KEY:
                return _REFUSAL
        return None


async def _refuse(_: Requests, context: Context) -> None:
    await abort(context, _FAILURE)


_REFUSAL: "grpc.RpcMethodHandler[bytes, bytes]" = grpc.stream_stream_rpc_method_handler(_refuse)
