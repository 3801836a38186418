"""Health of the server (grpc.health.v1). A watcher that does not read delays nobody else."""

import asyncio
from collections.abc import Iterable

import grpc
from grpc_health.v1.health_pb2 import (
    DESCRIPTOR,
    HealthCheckRequest,
    HealthCheckResponse,
    HealthListRequest,
    HealthListResponse,
)

from configsvc.limits.bodies import Bodies
from configsvc.rpc.credentials import Context
from configsvc.rpc.library_services import LibraryStreams, Write, unary_handler

SERVICE = DESCRIPTOR.services_by_name["Health"].full_name


class Health:
    """The health of the server, which all its services share. The empty name stands for the server itself."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = ("", *services)
        self._status: HealthCheckResponse.ServingStatus = HealthCheckResponse.NOT_SERVING
        self._changed = asyncio.Event()

    def set_serving(self, serving: bool) -> None:
        """Change the health, and wake those who watch it."""
        self._status = HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING
        self._changed.set()
        self._changed = asyncio.Event()

    async def check(self, request: HealthCheckRequest, context: Context) -> HealthCheckResponse:
        """Answer with the current health. The protocol has NOT_FOUND, without details, for an unknown service."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return HealthCheckResponse(status=self._status)

    async def list(self, _request: HealthListRequest, _context: Context) -> HealthListResponse:
        """Answer with the health of each service."""
        return HealthListResponse(
            statuses={service: HealthCheckResponse(status=self._status) for service in self._services}
        )

    async def watch(self, request: HealthCheckRequest, write: Write) -> None:
        """Write the health now and at each change. A client that reads slowly gets only the newest."""
        written = None
        while True:
            changed = self._changed
            known = request.service in self._services
            status = self._status if known else HealthCheckResponse.SERVICE_UNKNOWN
            if status != written:
                await write(HealthCheckResponse(status=status))
                written = status
            else:
                await changed.wait()

    def handlers(self, streams: LibraryStreams, bodies: Bodies) -> grpc.GenericRpcHandler:
        """Return the handlers of the service."""
        handlers = {
            "Check": unary_handler(self.check, HealthCheckRequest, bodies),
            "List": unary_handler(self.list, HealthListRequest, bodies),
            "Watch": streams.stream_handler(self.watch, HealthCheckRequest),
        }
        return grpc.method_handlers_generic_handler(SERVICE, handlers)
