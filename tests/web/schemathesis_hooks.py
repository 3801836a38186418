"""Hooks of schemathesis, which runs as a program of its own."""

from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(_context: Any, value: Any) -> bytes:
    """Return the body of an upload."""
    return str(value).encode()


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Poll watches: an event stream does not end."""
    if case.operation.definition.raw["operationId"].startswith("WatchConfigurations"):
        case.query = {**(case.query or {}), "wait": "0s"}
