"""Transformations of a config by a migration: none, JSON Patch (RFC 6902) or JSON merge patch (RFC 7396)."""

from configsvc.domain.content import (
    JsonObject,
    add_reserved_members,
    canonical_content,
    check_text_size,
    encode_json,
    merge_patch,
)
from configsvc.domain.errors import Violations
from configsvc.domain.json_patch import after_json_patch


def transformed(config: JsonObject, *, json_patch: str | None, merge: JsonObject | None) -> tuple[JsonObject, str]:
    """Return the config after a JSON Patch (as JSON text) or a merge patch, if any, and its compact JSON text.

    Raises InvalidRequestError.
    """
    if json_patch is not None:
        config = after_json_patch(config, json_patch, "json_patch")
    elif merge is not None:
        config = merge_patch(config, merge)
    with Violations() as violations:
        config = canonical_content(config, "config", violations)
        text = encode_json(config)
        check_text_size(text, "config", violations)
        if json_patch is not None or merge is not None:
            add_reserved_members(config, text, "config", violations)
    return config, text
