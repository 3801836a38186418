"""The log of an agent on standard error: JSON lines, or text on a terminal."""

import json
import sys
from contextlib import suppress
from datetime import UTC, datetime

from configsvc.cli.output import paint, safe

_STYLES = {"error": "error", "warning": "changed", "info": "faint"}


def log(level: str, event: str, **fields: object) -> None:
    """Write a line. Fields that are empty are left out."""
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    kept = {name: value for name, value in fields.items() if value not in ("", [], None)}
    if sys.stderr.isatty():
        words = " ".join(f"{name}={value}" for name, value in kept.items())
        line = f"{now} {paint(level, _STYLES[level], sys.stderr)} {event} {safe(words)}".rstrip()
    else:
        line = json.dumps({"event": event, "level": level, "timestamp": now} | kept)
    # The agent works on if nobody reads its log.
    with suppress(OSError, ValueError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
