"""Requests from HTTP to messages: the variables of the path, the parameters of the query, and the body.

Everything that the contract does not have is refused, as over gRPC.
"""

from collections.abc import Iterable
from typing import cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from configsvc.domain.errors import InvalidRequestError, UnsupportedFieldError, Violation, Violations
from configsvc.web.json_fill import TEXTS, fill
from configsvc.web.json_reader import (
    Json,
    JsonObject,
    JsonText,
    Reader,
    add_unknown,
    field_named,
    is_content,
    is_list,
    is_object,
)
from configsvc.web.templates import decoded

# More than the 1,000 names that a selector can have.
MAX_PARAMETERS = 2000
# Parameters may leave out the names of these fields.
_IMPLIED = ("key", "selector", "selectors")
# A parameter that stands for one of these messages is its name.
_NAMES = {"configapi.v1.ApplicationRef": "name", "configapi.v1.SchemaVersionRef": "schema"}
_TWICE = "is both in the body and a parameter"

Parameters = Iterable[tuple[str, str]]


class RequestReader:
    """Reads one request into a message, and collects the faults of all its parts."""

    def __init__(self, message: Message) -> None:
        self._message = message
        self._descriptor = cast("Descriptor", message.DESCRIPTOR)
        self._values: JsonObject = {}
        self._violations = Violations()
        self._unknown = Violations()

    def set_text(self, *names: str, text: str) -> None:
        """Set a field that holds JSON, by its path, to a text."""
        *above, last = names
        values = self._values
        for name in above:
            values = values.setdefault(name, {})
        values[last] = JsonText(text)

    def read_json(self, text: str, field: str) -> None:
        """Read the JSON text of a field of the message, or of the message itself if it is empty."""
        descriptor = self._descriptor.fields_by_name[field].message_type if field else self._descriptor
        assert descriptor is not None
        try:
            value = Reader(text, self._violations, self._unknown).read(descriptor, f"{field}." if field else "")
        except RecursionError as error:
            raise invalid("body", "is nested too deep") from error
        except ValueError as error:
            raise invalid("body", f"is not JSON: {error}") from error
        if not is_object(value):
            raise invalid("body", "must be a JSON object")
        self._values = {field: value} if field else value

    def read_parameters(self, parameters: Parameters, *, implied: bool) -> None:
        """Read the parameters of a path or a query. `implied`: they may leave out what `_IMPLIED` names."""
        for name, text in parameters:
            place = self._place(name, _IMPLIED if implied else ())
            if place is None:
                add_unknown(self._unknown, self._descriptor, "", name)
            else:
                self._put(name, *place, text)

    def finish(self) -> None:
        """Set the fields of the message. Raises UnsupportedFieldError or InvalidRequestError."""
        if self._unknown:
            raise UnsupportedFieldError(self._unknown.found, self._unknown.omitted)
        fill(self._message, self._values, self._violations)
        self._violations.check()

    def _place(self, name: str, implied: Iterable[str]) -> tuple[list[str], FieldDescriptor] | None:
        """Return the path of the field that a parameter stands for, and the field."""
        names = name.split(".")
        found = _scalar_at(self._descriptor, names)
        for holder in implied:
            field = self._descriptor.fields_by_name.get(holder)
            if not found and field and field.message_type:
                found = _scalar_at(field.message_type, names)
                found = found and ([holder, *found[0]], found[1])
        return found

    def _put(self, name: str, path: list[str], field: FieldDescriptor, text: str) -> None:
        *above, last = path
        values = self._values
        for part in above:
            # `selectors` is a list: parameters are about one selector.
            empty: Json = [{}] if part == "selectors" else {}
            inner: Json = values.setdefault(part, empty)
            inner = inner[0] if is_list(inner) and len(inner) == 1 else inner
            if not is_object(inner):
                self._violations.add(name, _TWICE)
                return
            values = inner
        if field.is_repeated:
            found: Json = values.setdefault(last, [])
            if is_list(found):
                found.append(_value(field, text))
            else:
                self._violations.add(name, _TWICE)
        elif last in values:
            self._violations.add(name, "is there more than once")
        else:
            values[last] = _value(field, text)


def _scalar_at(descriptor: Descriptor, names: list[str]) -> tuple[list[str], FieldDescriptor] | None:
    """Return the path of a field that one text can hold, and the field."""
    path: list[str] = []
    inner: Descriptor | None = descriptor
    field: FieldDescriptor | None = None
    for name in names:
        field = field_named(inner, name) if inner else None
        if field is None or (field.is_repeated and field.message_type):
            return None
        path.append(field.name)
        inner = field.message_type
    if field is None:
        return None
    if inner is None or inner.full_name in TEXTS or is_content(field):
        return path, field
    short = _NAMES.get(inner.full_name)
    return ([*path, short], inner.fields_by_name[short]) if short else None


def _value(field: FieldDescriptor, text: str) -> Json:
    if is_content(field):
        return JsonText(text)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return {"true": True, "false": False}.get(text, text)
    return text


def parsed_query(query: bytes) -> list[tuple[str, str]]:
    """Return the parameters of a query. Raises InvalidRequestError."""
    pieces = [piece for piece in query.decode("latin-1").split("&") if piece]
    if len(pieces) > MAX_PARAMETERS:
        raise invalid("query", f"has {len(pieces)} parameters: at most {MAX_PARAMETERS} are allowed")
    pairs = (piece.replace("+", " ").partition("=") for piece in pieces)
    try:
        return [(decoded(name), decoded(value)) for name, _, value in pairs]
    except ValueError as error:
        raise invalid("query", str(error)) from error


def invalid(field: str, description: str) -> InvalidRequestError:
    """Return the error of a request with one fault."""
    return InvalidRequestError((Violation(field=field, description=description),))
