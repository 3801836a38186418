"""Resolution of references. A target is a schema in the document itself or in a stored version, whose URI is
configsvc://schemas/NAME@VERSION. Nothing is ever fetched.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote, urldefrag, urljoin

from configsvc.domain.content import JsonObject, JsonValue
from configsvc.domain.jsonschema.keywords import DEFAULT_DRAFT, draft_of, subschemas
from configsvc.domain.models import SchemaVersionRef

REFERENCE_KEYWORDS = ("$ref", "$dynamicRef", "$recursiveRef")

_STORED = re.compile(
    r"configsvc://schemas/(?P<schema>[A-Za-z0-9][A-Za-z0-9._-]*)@(?P<version>[1-9][0-9]{0,8})", re.ASCII
)


class UnresolvedError(Exception):
    """A reference without a target; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The target of a reference: a stored version (None: the document itself) and a fragment, in the document itself a
    JSON Pointer.
    """

    stored: SchemaVersionRef | None
    fragment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A schema of a document, with its JSON Pointer and the base URI of its references."""

    pointer: str
    schema: JsonObject
    base: str


def stored_uri(reference: SchemaVersionRef) -> str:
    """Return the URI of a stored version."""
    return f"configsvc://schemas/{reference.schema}@{reference.version}"


def stored_version(uri: str) -> SchemaVersionRef | None:
    """Return the stored version of a URI without a fragment, or None."""
    match = _STORED.fullmatch(uri)
    return SchemaVersionRef(schema=match["schema"], version=int(match["version"])) if match else None


class References:
    """The schemas of a document by JSON Pointer, and the resolution of references to them."""

    def __init__(self, document: JsonObject) -> None:
        self.document = document
        self.draft = draft_of(document) or DEFAULT_DRAFT
        self.locations: dict[str, Location] = {}
        self._resources: dict[str, str] = {"": ""}
        self._anchors: dict[tuple[str, str], str] = {}
        self._unread: list[Location] = []
        self._add("", document, "")
        self._add_targets()

    def resolve(self, location: Location, reference: str) -> Target:
        """Return the target of a reference in a schema. Raises UnresolvedError."""
        uri, fragment = urldefrag(reference)
        base = urljoin(location.base, uri) if uri else location.base
        stored = stored_version(base)
        if base in self._resources:
            return Target(stored=None, fragment=self.pointer(base, fragment))
        if stored:
            return Target(stored=stored, fragment=fragment)
        raise UnresolvedError(
            "must refer to this document or to a stored version, configsvc://schemas/NAME@VERSION: nothing is fetched"
        )

    def root_pointer(self, fragment: str) -> str:
        """Return the JSON Pointer of a fragment of the whole document. Raises UnresolvedError."""
        return self.pointer(self.locations[""].base, fragment)

    def pointer(self, base: str, fragment: str) -> str:
        """Return the JSON Pointer, from the root, of a fragment of a resource in it. Raises UnresolvedError."""
        text = unquote(fragment)
        if text and not text.startswith("/"):
            if (base, text) not in self._anchors:
                raise UnresolvedError(f'refers to the anchor "{text[:64]}", which does not exist')
            return self._anchors[base, text]
        pointer = self._resources[base] + text
        if not isinstance(value_at(self.document, pointer), dict | bool):
            raise UnresolvedError("refers to something that is not a schema")
        return pointer

    def _add(self, pointer: str, schema: JsonValue, base: str) -> None:
        if not isinstance(schema, dict) or pointer in self.locations:
            return
        base = self._based(pointer, schema, base)
        self.locations[pointer] = location = Location(pointer=pointer, schema=schema, base=base)
        self._unread.append(location)
        for subschema in subschemas(schema, self.draft, pointer):
            self._add(subschema.pointer, subschema.schema, base)

    def _based(self, pointer: str, schema: JsonObject, base: str) -> str:
        """Add the id and the anchors of a schema, and return the base URI of its subschemas."""
        own = schema.get("id" if self.draft == 4 else "$id")
        if isinstance(own, str) and not ("$ref" in schema and self.draft <= 7):
            uri, fragment = urldefrag(own)
            if uri:
                base = urljoin(base, uri)
                self._resources.setdefault(base, pointer)
            if fragment and self.draft <= 7:
                self._anchors.setdefault((base, fragment), pointer)
        if self.draft >= 2019:
            for keyword in ("$anchor", "$dynamicAnchor"):
                anchor = schema.get(keyword)
                if isinstance(anchor, str):
                    self._anchors.setdefault((base, anchor), pointer)
        if not pointer:
            self._resources[""] = ""
        return base

    def _add_targets(self) -> None:
        """Add schemas that only a reference leads to."""
        while self._unread:
            location = self._unread.pop()
            for _, reference in references_of(location.schema):
                pointer = self._own_pointer(location, reference)
                if pointer is not None:
                    self._add(pointer, value_at(self.document, pointer), self.locations[""].base)

    def _own_pointer(self, location: Location, reference: str) -> str | None:
        try:
            target = self.resolve(location, reference)
        except UnresolvedError:
            return None
        return None if target.stored else target.fragment


def references_of(schema: JsonObject) -> Iterator[tuple[str, str]]:
    """Yield the reference keywords of a schema with their values."""
    for keyword in REFERENCE_KEYWORDS:
        value = schema.get(keyword)
        if isinstance(value, str):
            yield keyword, value


def value_at(document: JsonValue, pointer: str) -> JsonValue:
    """Return the value at a JSON Pointer. Raises UnresolvedError."""
    value = document
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isascii() and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            raise UnresolvedError(f'has no target: there is no "{key[:64]}"')
    return value
