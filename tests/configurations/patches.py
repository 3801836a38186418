"""JSON Patch by the letter of RFC 6902, for the operations that the service makes."""

import copy
from typing import Any, cast

from configsvc.domain.content import JsonObject, JsonValue


def applied(patch: list[JsonValue], document: JsonObject) -> JsonObject:
    result = copy.deepcopy(document)
    for operation in cast("list[dict[str, Any]]", patch):
        if operation["path"]:
            _apply(operation, result)
        else:
            assert operation["op"] == "replace"
            result = copy.deepcopy(operation["value"])
    return result


def _apply(operation: dict[str, Any], document: JsonObject) -> None:
    tokens = [token.replace("~1", "/").replace("~0", "~") for token in operation["path"].split("/")[1:]]
    parent: Any = document
    for token in tokens[:-1]:
        parent = parent[int(token) if isinstance(parent, list) else token]
    key: Any = int(tokens[-1]) if isinstance(parent, list) else tokens[-1]
    match operation["op"]:
        case "add" if isinstance(parent, list):
            assert key <= len(cast("list[Any]", parent))
            cast("list[Any]", parent).insert(key, copy.deepcopy(operation["value"]))
        case "add":
            assert key not in parent
            parent[key] = copy.deepcopy(operation["value"])
        case "replace":
            assert isinstance(parent, list) or key in parent
            parent[key] = copy.deepcopy(operation["value"])
        case "remove":
            del parent[key]
        case other:
            raise AssertionError(other)
