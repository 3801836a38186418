"""Requests from HTTP to messages: the variables of the path, the parameters of the query, and the body.

Everything that the contract does not have is refused, as over gRPC.
"""

import json
from collections.abc import Iterable, Mapping
from typing import cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from configsvc.domain.errors import InvalidRequestError, Violation, Violations
from configsvc.web.json_fill import TEXTS, Json, JsonObject, fill, is_object
from configsvc.web.templates import decoded

MAX_PARAMETERS = 1000


def parsed_body(data: bytes) -> Json:
    """Return the JSON value of a body. Raises InvalidRequestError."""
    try:
        return json.loads(data.decode(), object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise _invalid("body", "is not UTF-8") from error
    except RecursionError as error:
        raise _invalid("body", "is nested too deep") from error
    except ValueError as error:
        raise _invalid("body", f"is not JSON: {error}") from error


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the member {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return found


def parsed_query(query: bytes) -> list[tuple[str, str]]:
    """Return the parameters of a query. Raises InvalidRequestError."""
    pieces = [piece for piece in query.split(b"&") if piece]
    if len(pieces) > MAX_PARAMETERS:
        raise _invalid("query", f"has {len(pieces)} parameters: at most {MAX_PARAMETERS} are allowed")
    try:
        pairs = [piece.decode("ascii").replace("+", " ").partition("=") for piece in pieces]
        return [(decoded(name), decoded(value)) for name, _, value in pairs]
    except UnicodeDecodeError as error:
        raise _invalid("query", "is not UTF-8, percent-encoded") from error


def filled(
    message: Message, variables: Mapping[str, str], parameters: Iterable[tuple[str, str]], body: JsonObject
) -> None:
    """Set the fields of a new message from a request. Raises InvalidRequestError or UnsupportedFieldError."""
    merged, descriptor = dict(body), cast("Descriptor", message.DESCRIPTOR)
    with Violations() as violations:
        for name, text in (*variables.items(), *parameters):
            _put(merged, descriptor, name, text, violations)
        fill(message, merged, violations)


def _put(merged: JsonObject, descriptor: Descriptor, name: str, text: str, violations: Violations) -> None:
    """Put the text of a parameter in the place that its dotted name says."""
    field = _field_at(descriptor, name)
    if field is None:
        violations.add(name[:100], "is not a parameter of this method")
        return
    *above, last = name.split(".")
    for part in above:
        inner: Json = merged.setdefault(part, {})
        if not is_object(inner):
            violations.add(name, "is both in the body and a parameter")
            return
        merged = inner
    if field.is_repeated:
        merged.setdefault(last, []).append(_value(field, text))
    elif last in merged:
        violations.add(name, "is there more than once")
    else:
        merged[last] = _value(field, text)


def _field_at(descriptor: Descriptor | None, name: str) -> FieldDescriptor | None:
    """Return the field with a dotted name that a parameter can hold."""
    *above, last = name.split(".")
    for part in above:
        field = descriptor.fields_by_name.get(part) if descriptor else None
        if field is None or field.is_repeated:
            return None
        descriptor = field.message_type
    field = descriptor.fields_by_name.get(last) if descriptor else None
    return field if field is not None and _is_scalar(field) else None


def _is_scalar(field: FieldDescriptor) -> bool:
    return field.message_type is None or field.message_type.full_name in TEXTS


def _value(field: FieldDescriptor, text: str) -> Json:
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return {"true": True, "false": False}.get(text, text)
    return text


def _invalid(field: str, description: str) -> InvalidRequestError:
    return InvalidRequestError((Violation(field=field, description=description),))
