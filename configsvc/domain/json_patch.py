"""JSON Patch (RFC 6902): its operations, checked and applied to a content.

The write path applies patches between other callers' writes, so this does no more work than the patch is long.
"""

import json
import re
from collections.abc import Iterable

from configsvc.domain.content import JsonObject, JsonValue, encode_json, same_json
from configsvc.domain.errors import InvalidRequestError, Violation, Violations

MAX_PATCH_OPERATIONS = 1000
# Repeated copies double the content with each operation.
MAX_COPIED_BYTES = 1024 * 1024
# The fields that each operation needs besides op and path.
_NEEDED = {"add": "value", "remove": "", "replace": "value", "move": "from", "copy": "from", "test": "value"}
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")
_INDEX = re.compile("0|[1-9][0-9]{0,9}", re.ASCII)
_MISSING = "there is no such value"


class _InapplicableError(Exception):
    """An operation that cannot be applied. The text says why."""


def checked_json_patch(patch: list[JsonValue], field: str, violations: Violations) -> list[JsonObject]:
    """Return the operations of a patch; add a fault if it is not a JSON Patch, or has too many."""
    if len(patch) > MAX_PATCH_OPERATIONS:
        violations.add(field, f"has {len(patch)} operations: at most {MAX_PATCH_OPERATIONS} are allowed")
        return []
    for index, operation in enumerate(patch):
        if not isinstance(operation, dict):
            violations.add(f"{field}/{index}", "is not an object")
        elif not _is_operation(operation):
            description = "is not a JSON Patch operation: it needs op, path and, depending on op, value or from"
            violations.add(f"{field}/{index}", description)
    return [operation for operation in patch if isinstance(operation, dict)]


def _is_operation(operation: JsonObject) -> bool:
    needed = _NEEDED.get(str(operation.get("op")))
    if needed is None or not _is_pointer(operation.get("path")):
        return False
    return not needed or (_is_pointer(operation.get("from")) if needed == "from" else "value" in operation)


def _is_pointer(value: JsonValue) -> bool:
    return isinstance(value, str) and _POINTER.fullmatch(value) is not None


def after_json_patch(content: JsonObject, operations: str, field: str) -> JsonObject:
    """Return the content after the checked operations, given as JSON text. Raises InvalidRequestError.

    `field`: the path of the patch in the request.
    """
    # A copy: a write that is tried again begins with the same content.
    document: JsonValue = json.loads(encode_json(content))
    room = MAX_COPIED_BYTES
    for index, operation in enumerate(json.loads(operations)):
        try:
            document, copied = _applied(document, operation)
            room -= copied
            _check(document, room)
        except _InapplicableError as error:
            pointers = " from ".join(encode_json(operation[name]) for name in ("path", "from") if name in operation)
            description = f"cannot be applied: {operation['op']} {pointers}: {error}"
            raise InvalidRequestError((Violation(field=f"{field}/{index}", description=description),)) from None
    assert isinstance(document, dict)
    return document


def _check(document: JsonValue, room: int) -> None:
    if room < 0:
        raise _InapplicableError(f"the patch copies more than {MAX_COPIED_BYTES} bytes")
    if not isinstance(document, dict):
        raise _InapplicableError("the content would not be an object")


def _applied(document: JsonValue, operation: dict[str, str]) -> tuple[JsonValue, int]:
    """Return the document after the operation, and the number of bytes that this copied."""
    path = operation["path"]
    value: JsonValue = operation.get("value")
    match operation["op"]:
        case "add":
            return _with_value(document, path, value), 0
        case "remove":
            return _without(document, path), 0
        case "replace":
            _value_at(document, path)
            return _with_value(document, path, value, replace=True), 0
        case "move":
            return _moved(document, operation["from"], path), 0
        case "copy":
            text = _encoded(_value_at(document, operation["from"]))
            return _with_value(document, path, json.loads(text)), len(text)
        case _:
            if not same_json(_value_at(document, path), value):
                raise _InapplicableError("the value is a different one")
            return document, 0


def _moved(document: JsonValue, source: str, target: str) -> JsonValue:
    if source == target:
        _value_at(document, source)
        return document
    if target.startswith(f"{source}/"):
        raise _InapplicableError("a value cannot be moved into itself")
    value = _value_at(document, source)
    return _with_value(_without(document, source), target, value)


def _encoded(value: JsonValue) -> str:
    try:
        return encode_json(value)
    except ValueError as error:
        raise _InapplicableError("the value is nested too deep") from error


def _tokens(pointer: str) -> list[str]:
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]


def _value_at(document: JsonValue, pointer: str) -> JsonValue:
    return _descended(document, _tokens(pointer))


def _descended(value: JsonValue, tokens: Iterable[str]) -> JsonValue:
    for token in tokens:
        if isinstance(value, dict) and token in value:
            value = value[token]
        elif isinstance(value, list):
            value = value[_index(token, len(value))]
        else:
            raise _InapplicableError(_MISSING)
    return value


def _index(token: str, count: int) -> int:
    if not _INDEX.fullmatch(token) or int(token) >= count:
        raise _InapplicableError(_MISSING)
    return int(token)


def _with_value(document: JsonValue, pointer: str, value: JsonValue, *, replace: bool = False) -> JsonValue:
    if not pointer:
        return value
    *parents, last = _tokens(pointer)
    parent = _descended(document, parents)
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list) and replace:
        parent[_index(last, len(parent))] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(last, len(parent) + 1), value)
    else:
        raise _InapplicableError("its parent is neither an object nor a list")
    return document


def _without(document: JsonValue, pointer: str) -> JsonValue:
    if not pointer:
        return None
    *parents, last = _tokens(pointer)
    parent = _descended(document, parents)
    if isinstance(parent, dict) and last in parent:
        del parent[last]
    elif isinstance(parent, list):
        del parent[_index(last, len(parent))]
    else:
        raise _InapplicableError(_MISSING)
    return document
