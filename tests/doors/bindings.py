"""Requests over HTTP, from a method's google.api.http annotation and a message.

Independent of the service, so that it can judge it.
"""

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from google.api.annotations_pb2 import http
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

from tests.doors.proto_json import (
    STRUCTS,
    TEXT_SUFFIX,
    TEXTS,
    InexpressibleError,
    Raw,
    content_of,
    literal_of,
    member_of,
    plain_of,
    text_of,
    tree_of,
    value_of,
)

JSON = "application/json"
MERGE_PATCH, JSON_PATCH = "application/merge-patch+json", "application/json-patch+json"
# A longer request line is refused by many proxies.
MAX_TARGET = 8000
# google.longrunning has annotations for other paths.
OPERATIONS = {
    "ListOperations": HttpRule(get="/api/v1/operations"),
    "GetOperation": HttpRule(get="/api/v1/{name=operations/*}"),
    "DeleteOperation": HttpRule(delete="/api/v1/{name=operations/*}"),
    "CancelOperation": HttpRule(post="/api/v1/{name=operations/*}:cancel", body="*"),
    "WaitOperation": HttpRule(post="/api/v1/{name=operations/*}:wait", body="*"),
}
# Clients take these segments for steps in a path, even encoded.
DOTS = (".", "..")
VARIABLE = re.compile(r"\{([a-z_.]+)(?:=([^}]*))?\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request as it is sent. `response_body`: the field of the response that answers; empty: all of it."""

    verb: str
    target: str
    body: bytes | None
    content_type: str
    response_body: str


def bindings_of(method: MethodDescriptor) -> tuple[HttpRule, ...]:
    """Return the bindings of a method, in the order of its annotation."""
    options: Any = method.GetOptions()
    of_package = method.containing_service.file.package == "google.longrunning"
    rule = OPERATIONS[method.name] if of_package else options.Extensions[http]
    return (rule, *rule.additional_bindings)


def request_of(method: MethodDescriptor, message: Message) -> HttpRequest:
    """Return the request for the first binding that can say the message. Raises InexpressibleError."""
    for request in requests_of(method, message):
        return request
    raise InexpressibleError(f"no path of {method.name} can say {str(message)[:1000]}")


def requests_of(method: MethodDescriptor, message: Message) -> Generator[HttpRequest]:
    """Yield the requests for all bindings that can say the message."""
    for rule in bindings_of(method):
        request = _bound(rule, message)
        if request is not None and len(request.target) <= MAX_TARGET:
            yield request


def _bound(rule: HttpRule, message: Message) -> HttpRequest | None:
    """Return the request for one binding; None if it cannot say the message. Raises InexpressibleError."""
    verb = str(rule.WhichOneof("pattern"))
    rest = type(message)()
    rest.CopyFrom(message)
    path = _path(getattr(rule, verb), rest)
    if path is None:
        return None
    content_type, body = JSON, None
    if rule.body == "*":
        body, rest = text_of(tree_of(rest)), type(message)()
    elif rule.body:
        given = _taken_body(verb, rule.body, rest)
        if given is None:
            return None
        content_type, body = given
    pairs = _pairs(rest)
    if pairs is None:
        return None
    return HttpRequest(
        verb=verb.upper(),
        target=f"{path}?{urlencode(pairs, quote_via=quote)}" if pairs else path,
        body=body.encode() if body is not None else None,
        content_type=content_type,
        response_body=rule.response_body,
    )


def _path(template: str, rest: Message) -> str | None:
    """Return the path, and take its variables out of the message; None if they are not set or do not match."""
    pieces: list[str] = []
    end = 0
    for variable in VARIABLE.finditer(template):
        value = _taken(rest, variable[1])
        pattern = variable[2] or "*"
        if not value or value in DOTS or not _matches(pattern, value):
            return None
        prefix = pattern.rpartition("/")[0]
        kept = f"{prefix}/" if prefix else ""
        # All of the value is one segment: a slash of a name is encoded.
        pieces += [template[end : variable.start()], kept, quote(value.removeprefix(kept), safe="")]
        end = variable.end()
    return "".join((*pieces, template[end:]))


def _matches(pattern: str, value: str) -> bool:
    prefix, slash, _ = pattern.rpartition("/")
    return value.startswith(f"{prefix}{slash}") and len(value) > len(prefix + slash)


def _taken(message: Any, path: str) -> str:
    """Return the text of the field at a path, and clear it; empty if it is not set."""
    *above, last = path.split(".")
    chain = [message]
    for name in above:
        if not chain[-1].HasField(name):
            return ""
        chain.append(getattr(chain[-1], name))
    value = str(getattr(chain[-1], last) or "")
    chain[-1].ClearField(last)
    # What only led to the variable is no field of the query.
    for outer, name in reversed([*zip(chain, above, strict=False)]):
        if not getattr(outer, name).ListFields():
            outer.ClearField(name)
    return value


def _taken_body(verb: str, field: str, rest: Any) -> tuple[str, str] | None:
    """Return the content type and text of a body that is one field, and clear that; None if it is not set.

    The body of PUT is the bare content of a configuration, that of PATCH a patch of it.
    """
    if field == "merge_patch":
        for name, kind in (("merge_patch", MERGE_PATCH), ("json_patch", JSON_PATCH)):
            text = _taken_content(rest, name)
            if text is not None:
                return kind, text
        return None
    if not rest.HasField(field):
        return None
    inner = getattr(rest, field)
    if verb != "put":
        text = text_of(tree_of(inner))
        rest.ClearField(field)
        return JSON, text
    text = _taken_content(inner, "config")
    if text is None or inner.ListFields():
        return None
    rest.ClearField(field)
    return JSON, text


def _taken_content(message: Any, name: str) -> str | None:
    for field, value in message.ListFields():
        if content_of(message.DESCRIPTOR, field) == name:
            found, member = member_of(field, value)
            # A text that is not JSON cannot be a body.
            if found != name:
                return None
            message.ClearField(field.name)
            return text_of(member)
    return None


def _pairs(message: Message, prefix: str = "") -> list[tuple[str, str]] | None:
    """Return the parameters of a query; None if they cannot say the message."""
    pairs: list[tuple[str, str]] = []
    for field, value in message.ListFields():
        found = _pairs_of_field(field, value, f"{prefix}{field.name}")
        if found is None:
            return None
        pairs += found
    return pairs


def _pairs_of_field(field: FieldDescriptor, value: Any, name: str) -> list[tuple[str, str]] | None:
    kind = field.message_type
    if kind is None:
        return [(name, _parameter(field, one)) for one in (value if field.is_repeated else (value,))]
    if kind.full_name in TEXTS:
        return [(name, literal_of(value))]
    if kind.full_name in STRUCTS:
        return [(f"{name}{TEXT_SUFFIX}", text_of(plain_of(value)))]
    if field.is_repeated:
        return None
    return _pairs(value, f"{name}.") if value.ListFields() else _empty(kind, name)


def _empty(kind: Descriptor, name: str) -> list[tuple[str, str]] | None:
    """Return a parameter that is empty, and so sets an empty message; None if it would set a field too."""
    texts = (one for one in kind.fields if one.type == FieldDescriptor.TYPE_STRING and not one.has_presence)
    return next(([(f"{name}.{one.name}", "")] for one in texts), None)


def _parameter(field: FieldDescriptor, value: Any) -> str:
    plain = value_of(field, value)
    return str(plain) if isinstance(plain, str | Raw) else text_of(plain)


def headers_of(metadata: Any) -> list[tuple[str, str]]:
    """Return the headers for the metadata of a call."""
    pairs = metadata.items() if isinstance(metadata, Mapping) else metadata or ()
    return [(name, value) for name, value in pairs]
