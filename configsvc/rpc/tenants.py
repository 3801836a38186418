"""Refusal of calls that name a tenant, as long as there are none: one day the name will decide what a call sees.

Otherwise, a client that names its tenant would be shown everything by a server that does not know tenants.
"""

import grpc

from configsvc.api.statuses import status_of
from configsvc.domain.errors import InvalidRequestError, Violation
from configsvc.rpc.credentials import Context
from configsvc.rpc.failures import failure_of
from configsvc.rpc.handlers import Requests, abort

TENANT_KEY = "x-configsvc-tenant"

_FAILURE = failure_of(
    status_of(
        InvalidRequestError(
            (Violation(field=TENANT_KEY, description="is reserved: this server has no tenants, so do not send it"),)
        )
    )
)


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
