"""Transformations of a config by a migration: none, JSON Patch (RFC 6902) or JSON merge patch (RFC 7396)."""

import json

from jsonpatch import InvalidJsonPatch, JsonPatch, JsonPatchConflict, JsonPatchException
from jsonpointer import JsonPointerException, resolve_pointer

from configsvc.domain.content import (
    MAX_CONTENT_BYTES,
    JsonObject,
    JsonValue,
    add_reserved_members,
    canonical_content,
    check_content_size,
    encode_json,
    merge_patch,
    same_json,
)
from configsvc.domain.errors import InvalidRequestError, Violation, Violations

MAX_PATCH_OPERATIONS = 1000


def checked_json_patch(patch: list[JsonValue], field: str, violations: Violations) -> list[JsonObject]:
    """Return the operations of a patch; add a fault if it is not a JSON Patch, or has too many."""
    if len(patch) > MAX_PATCH_OPERATIONS:
        violations.add(field, f"has {len(patch)} operations: at most {MAX_PATCH_OPERATIONS} are allowed")
    for index, operation in enumerate(patch):
        fault = _fault_of_operation(operation)
        if fault:
            violations.add(f"{field}/{index}", fault)
    return [operation for operation in patch if isinstance(operation, dict)]


def _fault_of_operation(operation: JsonValue) -> str | None:
    if not isinstance(operation, dict):
        return "is not an object"
    try:
        JsonPatch([operation])
    except (InvalidJsonPatch, JsonPointerException, TypeError):
        return "is not a JSON Patch operation: it needs op, path and, depending on op, value or from"
    return None


def transformed(config: JsonObject, *, json_patch: str | None, merge: JsonObject | None) -> JsonObject:
    """Return the config after a JSON Patch (as JSON text) or a merge patch, if any. Raises InvalidRequestError."""
    if json_patch is not None:
        config = _patched(config, json.loads(json_patch))
    elif merge is not None:
        config = merge_patch(config, merge)
    with Violations() as violations:
        config = canonical_content(config, "config", violations)
        check_content_size(config, "config", violations)
        if json_patch is not None or merge is not None:
            add_reserved_members(config, encode_json(config), "config", violations)
    return config


def _patched(config: JsonObject, operations: list[JsonObject]) -> JsonObject:
    for index, operation in enumerate(operations):
        try:
            patched = _applied(config, operation)
        except (JsonPatchException, JsonPointerException, TypeError) as error:
            raise _failed(index, "cannot be applied: a test failed, or a path does not exist") from error
        if not isinstance(patched, dict):
            raise _failed(index, "turns config into something other than an object")
        # Repeated copies double the size with each operation.
        if operation["op"] == "copy" and len(encode_json(patched)) > MAX_CONTENT_BYTES:
            raise _failed(index, f"makes config larger than {MAX_CONTENT_BYTES} bytes")
        config = patched
    return config


def _applied(config: JsonObject, operation: JsonObject) -> JsonValue:
    # The library takes true for 1.
    if operation["op"] == "test":
        if not same_json(resolve_pointer(config, str(operation["path"])), operation["value"]):
            raise JsonPatchConflict
        return config
    return JsonPatch([operation]).apply(config, in_place=True)


def _failed(index: int, description: str) -> InvalidRequestError:
    return InvalidRequestError((Violation(field=f"json_patch/{index}", description=description),))
