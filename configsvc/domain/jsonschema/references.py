"""What the references of a schema document lead to. Nothing is ever fetched: a reference leads to a place in the
document itself or in a stored version, which is named by the URI configsvc://schemas/NAME@VERSION.
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
    r"configsvc://schemas/(?P<schema>[A-Za-z0-9][A-Za-z0-9._/-]*)@(?P<version>[1-9][0-9]{0,8})", re.ASCII
)


class UnresolvedError(Exception):
    """A reference that leads nowhere; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a reference leads: the stored version (None: the document itself) and the fragment there, which is a JSON
    Pointer for the document itself.
    """

    stored: SchemaVersionRef | None
    fragment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A schema of a document: its JSON Pointer, itself, and the URI that its references are relative to."""

    pointer: str
    schema: JsonObject
    base: str


def stored_uri(reference: SchemaVersionRef) -> str:
    """The URI of a stored version."""
    return f"configsvc://schemas/{reference.schema}@{reference.version}"


def stored_version(uri: str) -> SchemaVersionRef | None:
    """The stored version that a URI without a fragment names."""
    match = _STORED.fullmatch(uri)
    return SchemaVersionRef(schema=match["schema"], version=int(match["version"])) if match else None


class References:
    """The places of a document, by pointer, and what leads to them."""

    def __init__(self, document: JsonObject) -> None:
        self.document = document
        self.draft = draft_of(document) or DEFAULT_DRAFT
        self.places: dict[str, Place] = {}
        self._resources: dict[str, str] = {"": ""}
        self._anchors: dict[tuple[str, str], str] = {}
        self._unread: list[Place] = []
        self._add("", document, "")
        self._add_targets()

    def resolve(self, place: Place, reference: str) -> Target:
        """Where a reference of a place leads. Raises UnresolvedError."""
        uri, fragment = urldefrag(reference)
        base = urljoin(place.base, uri) if uri else place.base
        stored = stored_version(base)
        if base in self._resources:
            return Target(stored=None, fragment=self.pointer(base, fragment))
        if stored:
            return Target(stored=stored, fragment=fragment)
        raise UnresolvedError(
            "names neither a place in the document nor a stored version, configsvc://schemas/NAME@VERSION: "
            "nothing is ever fetched"
        )

    def root_pointer(self, fragment: str) -> str:
        """The JSON Pointer of a fragment of the whole document. Raises UnresolvedError."""
        return self.pointer(self.places[""].base, fragment)

    def pointer(self, base: str, fragment: str) -> str:
        """The JSON Pointer, from the document's root, of a fragment of one of its resources. Raises UnresolvedError."""
        text = unquote(fragment)
        if text and not text.startswith("/"):
            if (base, text) not in self._anchors:
                raise UnresolvedError(f'names the anchor "{text[:64]}", which is not there')
            return self._anchors[base, text]
        pointer = self._resources[base] + text
        if not isinstance(value_at(self.document, pointer), dict | bool):
            raise UnresolvedError("leads to something that is not a schema")
        return pointer

    def _add(self, pointer: str, schema: JsonValue, base: str) -> None:
        if not isinstance(schema, dict) or pointer in self.places:
            return
        base = self._based(pointer, schema, base)
        self.places[pointer] = place = Place(pointer=pointer, schema=schema, base=base)
        self._unread.append(place)
        for subschema in subschemas(schema, self.draft, pointer):
            self._add(subschema.pointer, subschema.schema, base)

    def _based(self, pointer: str, schema: JsonObject, base: str) -> str:
        """Notes the id and the anchors of a schema; the base URI of what is in it."""
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
        """Notes places that no keyword leads to, but a reference."""
        while self._unread:
            place = self._unread.pop()
            for _, reference in references_of(place.schema):
                pointer = self._own_pointer(place, reference)
                if pointer is not None:
                    self._add(pointer, value_at(self.document, pointer), self.places[""].base)

    def _own_pointer(self, place: Place, reference: str) -> str | None:
        try:
            target = self.resolve(place, reference)
        except UnresolvedError:
            return None
        return None if target.stored else target.fragment


def references_of(schema: JsonObject) -> Iterator[tuple[str, str]]:
    """The keywords of a schema that refer, with their values."""
    for keyword in REFERENCE_KEYWORDS:
        value = schema.get(keyword)
        if isinstance(value, str):
            yield keyword, value


def value_at(document: JsonValue, pointer: str) -> JsonValue:
    """What a JSON Pointer leads to. Raises UnresolvedError."""
    value = document
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isascii() and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            raise UnresolvedError(f'leads nowhere: there is no "{key[:64]}"')
    return value
