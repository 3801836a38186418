"""From one HTTP request to the message of a method: the rules that annotations cannot say are all here.

- The body of PUT is the bare content of a configuration.
- The body of PATCH on a configuration is a merge patch; with application/json-patch+json, a JSON Patch.
- Contents are read and answered as they are stored: as JSON text.
- Parameters may leave out `key.`, `selector.` and `selectors.`, and an application or a schema stands for its name.
- Headers stand for fields: see `_set_headers`.
"""

from typing import Any

from google.protobuf.message import Message

from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON
from configsvc.web.exchange import Exchange
from configsvc.web.requests import RequestReader, invalid, parsed_query
from configsvc.web.routes import Route
from configsvc.web.templates import Variables

JSON = "application/json"
LINES = "application/x-ndjson"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
# What `curl -d` says of its data unless it is told otherwise. No form of a browser can send PUT or PATCH.
OF_CURL = "application/x-www-form-urlencoded"
_TYPES = {
    "merge_patch": (JSON, MERGE_PATCH, JSON_PATCH, OF_CURL),
    "configuration": (JSON, OF_CURL),
}


def check_headers(route: Route, exchange: Exchange) -> None:
    """Check the headers that a request of the route may have, before its body is read. Raises InvalidRequestError."""
    if exchange.has(b"if-match") and not _has_etag(route):
        raise invalid("if-match", "is not taken by this method: leave it out")
    if route.is_read:
        return
    if exchange.has(b"if-none-match") and (route.verb != "PUT" or exchange.header(b"if-none-match") != "*"):
        raise invalid("if-none-match", "can only be * on PUT, and a list of tags on GET and HEAD")
    if exchange.has(b"idempotency-key") and "request_id" not in route.method.input_type.fields_by_name:
        raise invalid("idempotency-key", "is not taken by this method: leave it out")
    _check_body_headers(route, exchange)


def _check_body_headers(route: Route, exchange: Exchange) -> None:
    if exchange.header(b"content-encoding") not in (None, "", "identity"):
        raise invalid("content-encoding", "must be left out: bodies are not decompressed")
    content_type = exchange.header(b"content-type")
    if content_type is None or not route.body:
        return
    kind, _, parameters = content_type.lower().partition(";")
    allowed = _types_of(route)
    if kind.strip() not in allowed:
        raise invalid("content-type", f"is {kind.strip()[:100]!r}: must be one of {', '.join(allowed)}")
    if parameters.replace(" ", "").replace('"', "") not in ("", "charset=utf-8"):
        raise invalid("content-type", "has parameters other than charset=utf-8")


def _types_of(route: Route) -> tuple[str, ...]:
    if route.method.client_streaming:
        return LINES, JSON
    return _TYPES.get(route.body, (JSON,)) if route.method.name == "UpdateConfiguration" else (JSON,)


def _has_etag(route: Route) -> bool:
    fields = route.method.input_type.fields_by_name
    return "expected_etag" in fields or "update_mask" in fields


def is_parsed(route: Route) -> bool:
    """Return whether the body is parsed here: contents and patches stay text."""
    return route.body == "*" or (route.body not in ("", "merge_patch") and route.verb != "PUT")


def bound(route: Route, variables: Variables, exchange: Exchange, body: bytes, message: Any) -> None:
    """Set the fields of a new message. Raises InvalidRequestError or UnsupportedFieldError."""
    reader = RequestReader(message)
    if route.body:
        _read_body(reader, route, exchange, body)
    elif body:
        raise invalid("body", "must be empty: use parameters")
    bind_parameters(reader, route, variables, exchange.scope["query_string"], message)
    if not route.is_read:
        _set_headers(message, exchange)


def bind_parameters(reader: RequestReader, route: Route, variables: Variables, query: bytes, message: Any) -> None:
    """Set the fields that path, query and body name. Raises InvalidRequestError or UnsupportedFieldError."""
    reader.read_parameters(variables.items(), implied=False)
    if query:
        reader.read_parameters(parsed_query(query), implied=True)
    reader.finish()
    if "format" in route.method.input_type.fields_by_name:
        message.format = CONTENT_FORMAT_JSON


def _read_body(reader: RequestReader, route: Route, exchange: Exchange, body: bytes) -> None:
    text = text_of(body)
    if route.body == "*":
        if text.strip():
            reader.read_json(text, "")
    elif route.verb == "PUT":
        reader.set_text("configuration", "config", text=text)
    elif route.body == "merge_patch":
        is_list = (exchange.header(b"content-type") or "").lower().startswith(JSON_PATCH)
        reader.set_text("json_patch" if is_list else "merge_patch", text=text)
    else:
        reader.read_json(text, route.body)


def text_of(body: bytes) -> str:
    """Return the text of a body. Raises InvalidRequestError."""
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise invalid("body", "is not UTF-8") from error


def _set_headers(message: Any, exchange: Exchange) -> None:
    """Set what headers stand for.

    Idempotency-Key is the request_id, If-Match the etag that is expected (*: any), and If-None-Match: * means that
    there must be no such configuration.
    """
    key = exchange.header(b"idempotency-key")
    if key is not None:
        request_id = _unquoted(key.strip())
        if not request_id:
            raise invalid("idempotency-key", "is empty: leave it out, or send a UUID or ULID")
        _set_once(message, "request_id", request_id, "idempotency-key")
    match = exchange.header(b"if-match")
    if match is not None:
        _expect(message, match.strip())
    if exchange.has(b"if-none-match"):
        if message.HasField("expected_version") and message.expected_version:
            raise invalid("if-none-match", "differs from expected_version: set one of them")
        message.expected_version = 0
        message.allow_missing = True


def _expect(message: Any, match: str) -> None:
    fields: Any = message.DESCRIPTOR.fields_by_name
    if match == "*":
        if "allow_missing" in fields and message.allow_missing:
            raise invalid("if-match", "cannot be * with allow_missing: it must exist")
        return
    # A tag names a version, not bytes, and proxies that compress make it weak.
    tag = match.removeprefix("W/")
    if tag != f'"{_unquoted(tag)}"' or "," in tag or tag == '""':
        raise invalid("if-match", 'must be one tag, such as "5f2c", or *')
    if "expected_etag" in fields:
        _set_once(message, "expected_etag", _unquoted(tag), "if-match")
        return
    resource = "configuration" if "configuration" in fields else "application"
    _set_once(getattr(message, resource), "etag", _unquoted(tag), "if-match")


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _set_once(message: Message, field: str, value: str, header: str) -> None:
    if getattr(message, field) not in ("", value):
        raise invalid(header, f"differs from {field}: set one of them")
    setattr(message, field, value)
