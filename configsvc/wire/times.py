"""Timestamps to datetimes and back, and durations."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from configsvc.domain.errors import Violations

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NANOS = 1_000_000_000


def timestamp(time: datetime) -> Timestamp:
    """Return the message of a time."""
    message = Timestamp()
    fill_timestamp(message, time)
    return message


def fill_timestamp(message: Timestamp, time: datetime) -> None:
    """Set a Timestamp, usually a field of a message, to a time."""
    # PostgreSQL's infinity comes without a zone, as the last time of Python.
    since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH
    message.seconds = since.days * 86_400 + since.seconds
    message.nanos = since.microseconds * 1000


def duration(seconds: float) -> Duration:
    """Return the message of a duration."""
    message = Duration()
    message.FromNanoseconds(round(seconds * _NANOS))
    return message


def time_from(message: Timestamp, field: str, violations: Violations) -> datetime:
    """Return the time to the microsecond, the precision of the database's clock."""
    if 0 <= message.nanos < _NANOS:
        with suppress(OverflowError):
            return _EPOCH + timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)
    violations.add(field, "is not a time between the years 1 and 9999")
    return _EPOCH
