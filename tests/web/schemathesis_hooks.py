"""Hooks of schemathesis, which runs as a program of its own."""

from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(_context: Any, value: Any) -> bytes:
    """Return the body of an upload."""
    return str(value).encode()
