"""The moment that a request wants to see, and the epoch that it expects."""

from typing import Any

from google.protobuf.message import Message

from configsvc.domain.errors import Violations
from configsvc.domain.models import AtRevision, AtTime, Moment, Now
from configsvc.wire import fields
from configsvc.wire.times import time_from

MAX_EPOCH_LENGTH = 100


def moment(request: Message, violations: Violations) -> Moment:
    """Return the moment that the request wants to see, from its oneof `moment`."""
    name = request.WhichOneof("moment")
    value: Any = getattr(request, name) if name else None
    match name:
        case None:
            return Now(min_revision=0, latest=False)
        case "min_revision":
            return Now(min_revision=fields.non_negative(value, name, violations), latest=False)
        case "latest":
            if not value:
                violations.add("latest", "is false: must be true, or not be set")
            return Now(min_revision=0, latest=True)
        case "as_of_revision":
            revision = fields.non_negative(value, name, violations)
            return AtRevision(revision=revision) if revision else Now(min_revision=0, latest=False)
        case "as_of_time":
            return AtTime(time=time_from(value, name, violations))
        case _:
            raise AssertionError(f"not a moment of a list: {name}")


def epoch(value: str, violations: Violations, *, field: str = "epoch") -> str:
    """Return the epoch that a request expects; empty: any."""
    if len(value) > MAX_EPOCH_LENGTH:
        violations.add(field, "was not issued by this service")
    return value
