"""Refusal of fields that this server does not know: an old server must not drop a new client's precondition."""

from functools import cache

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from configsvc.domain.errors import MAX_VIOLATIONS, UnsupportedFieldError, Violation

# Contents are large, and their messages will have no more fields.
_CONTENTS = frozenset(
    {"google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue", "google.protobuf.Any"}
)


def refuse_unknown_fields(request: Message) -> None:
    """Check that a request has no unknown field, except in contents. Raises UnsupportedFieldError."""
    found: list[Violation] = []
    _collect(request, "", found)
    if found:
        raise UnsupportedFieldError(tuple(found[:MAX_VIOLATIONS]))


def _collect(message: Message, path: str, found: list[Violation]) -> None:
    unknown = UnknownFieldSet(message)
    if len(unknown):
        numbers = sorted({field.field_number for field in unknown})
        found += (_violation(path, message.DESCRIPTOR.name, number) for number in numbers)
    for name, is_repeated in _nested(message.DESCRIPTOR):
        if is_repeated:
            for index, item in enumerate(getattr(message, name)):
                _collect(item, f"{path}{name}[{index}].", found)
        elif message.HasField(name):
            _collect(getattr(message, name), f"{path}{name}.", found)


@cache
def _nested(descriptor: Descriptor) -> tuple[tuple[str, bool], ...]:
    """Return the fields with messages of ours, and whether they are repeated. Maps have values without fields."""
    return tuple(
        (field.name, field.is_repeated)
        for field in descriptor.fields
        if field.message_type
        and field.message_type.full_name not in _CONTENTS
        and not field.message_type.GetOptions().map_entry
    )


def _violation(path: str, message: str, number: int) -> Violation:
    description = (
        f"field number {number} of {message} is not known to this server: it is older than the client. "
        "Upgrade the server, or do not set the field"
    )
    return Violation(field=f"{path}{number}", description=description, reason="UNSUPPORTED_FIELD")
