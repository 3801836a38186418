"""The trace that a call belongs to, by the header `traceparent` (https://www.w3.org/TR/trace-context/)."""

import re
from collections.abc import Iterable

TRACE_KEY = "traceparent"
# Later versions may have more fields. An ID of zeros is none.
_TRACE_PARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[ -~]{1,256})?"
)


def trace_id_of(headers: Iterable[str | bytes]) -> str:
    """Return the ID of the trace, given the values of the header; empty if there is no valid one."""
    values = list(headers)
    if len(values) != 1 or not isinstance(values[0], str):
        return ""
    found = _TRACE_PARENT.fullmatch(values[0])
    return found[1] if found else ""
