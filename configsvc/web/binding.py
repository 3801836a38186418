"""From one HTTP request to the message of a method: the rules that annotations cannot say are all here.

- The body of PUT is the bare content of a configuration, whatever its content type.
- The body of PATCH is a merge patch; with application/json-patch+json, a JSON Patch.
- `application` and `name` may stand for the key of a configuration, or for the selector of a watch.
- Contents are read and answered as they are stored: as JSON text.
- Headers stand for fields: If-Match for the etag, If-None-Match: * for "must not exist", Idempotency-Key for
  request_id.
"""

from collections.abc import Mapping
from typing import Any

from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON
from configsvc.domain.errors import InvalidRequestError, Violation
from configsvc.web.exchange import Exchange
from configsvc.web.json_fill import JsonObject, is_object
from configsvc.web.requests import filled, parsed_body, parsed_query
from configsvc.web.routes import Route

JSON_PATCH = "application/json-patch+json"
KEY_PARAMETERS = {"application": "key.application", "name": "key.name"}


def bound(route: Route, variables: Mapping[str, str], exchange: Exchange, body: bytes, message: Any) -> None:
    """Set the fields of a new message. Raises InvalidRequestError or UnsupportedFieldError."""
    parameters = [(_parameter(route, name), value) for name, value in parsed_query(exchange.scope["query_string"])]
    filled(message, variables, parameters, _of_body(route, exchange, body))
    fields = message.DESCRIPTOR.fields_by_name
    if "format" in fields:
        message.format = CONTENT_FORMAT_JSON
    _set_headers(message, exchange)


def _parameter(route: Route, name: str) -> str:
    """Return the field of a parameter: the key has short names where the path does not say it."""
    has_key = "key" in route.method.input_type.fields_by_name
    return KEY_PARAMETERS.get(name, name) if has_key and "key" not in route.path else name


def _of_body(route: Route, exchange: Exchange, body: bytes) -> JsonObject:
    if not route.body:
        if body:
            raise InvalidRequestError((Violation(field="body", description="must be empty: use parameters"),))
        return {}
    if not body and route.body == "*":
        return {}
    value = parsed_body(body)
    if route.verb == "PUT":
        return {"configuration": {"config": value}}
    if route.body == "merge_patch" and _content_type(exchange) == JSON_PATCH:
        return {"json_patch": value}
    if route.body != "*":
        return {route.body: value}
    if not is_object(value):
        raise InvalidRequestError((Violation(field="body", description="must be a JSON object"),))
    return value


def _content_type(exchange: Exchange) -> str:
    return (exchange.header(b"content-type") or "").partition(";")[0].strip().lower()


def _set_headers(message: Any, exchange: Exchange) -> None:
    fields = message.DESCRIPTOR.fields_by_name
    key = exchange.header(b"idempotency-key")
    if key is not None and "request_id" in fields:
        _set_once(message, "request_id", key.strip().strip('"'), "idempotency-key")
    match = exchange.header(b"if-match")
    if match is not None and match.strip() != "*":
        _set_etag(message, match)
    if exchange.header(b"if-none-match") == "*" and "expected_version" in fields:
        message.expected_version = 0


def _set_etag(message: Any, match: str) -> None:
    etag = match.strip().removeprefix("W/").strip('"')
    fields = message.DESCRIPTOR.fields_by_name
    if "expected_etag" in fields:
        _set_once(message, "expected_etag", etag, "if-match")
    for name in ("configuration", "application"):
        if name in fields and "update_mask" in fields:
            _set_once(getattr(message, name), "etag", etag, "if-match")


def _set_once(message: Any, field: str, value: str, header: str) -> None:
    if getattr(message, field) not in ("", value):
        description = f"differs from {field}: set one of them"
        raise InvalidRequestError((Violation(field=header, description=description),))
    setattr(message, field, value)
