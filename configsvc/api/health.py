"""Health of the server (grpc.health.v1). A watcher that does not read delays nobody else."""

import asyncio
from collections.abc import Iterable, Mapping

from google.protobuf.message import Message
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status
from grpc_health.v1.health_pb2 import (
    DESCRIPTOR,
    HealthCheckRequest,
    HealthCheckResponse,
    HealthListRequest,
    HealthListResponse,
)

from configsvc.api.exchanges import Handler
from configsvc.api.library_services import LibraryStreams, Write, unary_handler
from configsvc.limits.bodies import Bodies

SERVICE = DESCRIPTOR.services_by_name["Health"].full_name

# The protocol has it without details.
_UNKNOWN_SERVICE = Status(code=Code.NOT_FOUND, message="unknown service")


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

    async def check(self, request: HealthCheckRequest) -> Message:
        """Answer with the current health; with a status for an unknown service."""
        if request.service not in self._services:
            return _UNKNOWN_SERVICE
        return HealthCheckResponse(status=self._status)

    async def list(self, _request: HealthListRequest) -> HealthListResponse:
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

    def handlers(self, streams: LibraryStreams, bodies: Bodies) -> Mapping[str, Handler]:
        """Return the handlers of the service by the names of its methods."""
        return {
            "Check": unary_handler(self.check, HealthCheckRequest, bodies),
            "List": unary_handler(self.list, HealthListRequest, bodies),
            "Watch": streams.stream_handler(self.watch, HealthCheckRequest),
        }
