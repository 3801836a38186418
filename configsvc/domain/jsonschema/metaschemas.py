"""The meta-schemas of the drafts and their vocabularies, which jsonschema-rs contains."""

from functools import lru_cache
from typing import Any

import jsonschema_rs

from configsvc.domain.content import JsonObject
from configsvc.domain.jsonschema.keywords import DRAFT_URIS, draft_uri

_VOCABULARIES = {
    2019: ("applicator", "content", "core", "format", "meta-data", "validation"),
    2020: (
        "applicator", "content", "core", "format-annotation", "format-assertion", "meta-data", "unevaluated",
        "validation",
    ),
}  # fmt: skip
# The URI of each, with the draft that it is written in.
METASCHEMAS = DRAFT_URIS | {
    f"{uri.removesuffix('schema')}meta/{name}": draft
    for uri, draft in DRAFT_URIS.items()
    for name in _VOCABULARIES.get(draft, ())
}


@lru_cache(maxsize=len(METASCHEMAS))
def metaschema(uri: str) -> JsonObject:
    """Return the meta-schema of a URI of METASCHEMAS. The caller must not change it."""
    bundle: dict[str, Any] = jsonschema_rs.bundle({"$schema": draft_uri(METASCHEMAS[uri]), "$ref": uri})
    return bundle["definitions" if "definitions" in bundle else "$defs"][uri]


@lru_cache(maxsize=len(DRAFT_URIS))
def meta_validator(draft: int) -> jsonschema_rs.Validator:
    """Return the validator for documents of a draft."""
    uri = draft_uri(draft)
    # Without `format`: patterns and references are checked elsewhere, with a reason.
    meta: dict[str, object] = {"$schema": uri, "$ref": uri}
    return jsonschema_rs.validator_for(meta, validate_formats=False, offline=True, mask="this")
