"""The transports of gRPC that a service has. Tests here run on each; what grpcio does is what all others must do."""

from typing import Any

GRPCIO = "grpcio"
TRANSPORTS = (GRPCIO, "ngh2")


def on(transport: str) -> dict[str, Any]:
    """Return the settings of a service with this transport."""
    return {"transport": transport}
