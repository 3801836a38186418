"""Resolution of references. A target is a schema in the document itself, in a stored version, whose URI is
configsvc://schemas/NAME@VERSION, or in a meta-schema. Nothing is ever fetched.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from urllib.parse import unquote, urldefrag, urljoin

from configsvc.domain.content import JsonObject, JsonValue
from configsvc.domain.jsonschema.keywords import DEFAULT_DRAFT, draft_of, knows, subschemas
from configsvc.domain.jsonschema.metaschemas import METASCHEMAS
from configsvc.domain.models import SchemaVersionRef

REFERENCE_KEYWORDS = ("$ref", "$dynamicRef", "$recursiveRef")
# Anchors have names; the root of a resource with $recursiveAnchor has none.
RECURSIVE = ""
MAX_SHOWN = 64
# The number of keys among which a misspelt one is looked for.
MAX_SEARCHED = 200

_STORED_SCHEME = "configsvc:"
_STORED = re.compile(
    r"configsvc://schemas/(?P<schema>[A-Za-z0-9][A-Za-z0-9._-]*)@(?P<version>[1-9][0-9]{0,8})", re.ASCII
)


class UnresolvedError(Exception):
    """A reference without a target; says why."""


class NoValueError(UnresolvedError):
    """A JSON Pointer that leads nowhere."""

    def __init__(self, pointer: str, key: str, value: JsonValue) -> None:
        super().__init__(pointer, key)
        self._pointer = pointer
        self._key = key
        self._keys = list(value) if isinstance(value, dict) and len(value) <= MAX_SEARCHED else []

    def __str__(self) -> str:
        """Return the description, with the name that was probably meant, which takes a while to find."""
        meant = get_close_matches(self._key[:MAX_SHOWN], self._keys, n=1)
        hint = f'; did you mean "{meant[0][:MAX_SHOWN]}"?' if meant else ""
        where = self._pointer[:MAX_SHOWN] or "the document"
        return f'has no target: there is no "{self._key[:MAX_SHOWN]}" in {where}{hint}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The target of a reference: the URI of the document, and a fragment.

    Without a URI it is the document itself, and the fragment a JSON Pointer. stored: the version with that URI, None
    for a meta-schema.
    """

    uri: str
    stored: SchemaVersionRef | None
    fragment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A schema of a document, with its JSON Pointer, the base URI of its references, and the pointer of its resource:
    the innermost schema around it, or itself, that has an id.
    """

    pointer: str
    schema: JsonObject
    base: str
    resource: str


def stored_uri(reference: SchemaVersionRef) -> str:
    """Return the URI of a stored version."""
    return f"configsvc://schemas/{reference.schema}@{reference.version}"


def stored_version(uri: str) -> SchemaVersionRef | None:
    """Return the stored version of a URI without a fragment, or None."""
    match = _STORED.fullmatch(uri)
    return SchemaVersionRef(schema=match["schema"], version=int(match["version"])) if match else None


class References:
    """The schemas of a document by JSON Pointer, and the resolution of references to them.

    dynamic_anchors: the targets of dynamic references, by the pointer of their resource and by name. metaschemas: the
    URIs of those that the document refers to.
    """

    def __init__(self, document: JsonObject) -> None:
        self.document = document
        self.draft = draft_of(document) or DEFAULT_DRAFT
        self.locations: dict[str, Location] = {}
        self.dynamic_anchors: dict[str, dict[str, str]] = {}
        self.metaschemas = set[str]()
        self._resources: dict[str, str] = {"": ""}
        self._anchors: dict[tuple[str, str], str] = {}
        self._unread: list[Location] = []
        self._add("", document, "", "")
        self._add_targets()

    @property
    def is_dynamic(self) -> bool:
        """True if a target depends on how its reference was reached."""
        return any(
            keyword != "$ref"
            for location in self.locations.values()
            for keyword, _ in references_of(location.schema, self.draft)
        )

    def resolve(self, location: Location, reference: str) -> Target:
        """Return the target of a reference in a schema. Raises UnresolvedError."""
        base, fragment = split_uri(location.base, reference)
        if base in self._resources:
            return Target(uri="", stored=None, fragment=self.pointer(base, fragment))
        stored = stored_version(base)
        if not stored and base not in METASCHEMAS:
            raise UnresolvedError(_unknown(reference, base))
        return Target(uri=base, stored=stored, fragment=fragment)

    def dynamic_name(self, location: Location, keyword: str, reference: str) -> str | None:
        """Return the name by which a resolved reference finds its target dynamically, or None."""
        if keyword == "$recursiveRef":
            return RECURSIVE if RECURSIVE in self.dynamic_anchors.get(location.resource, {}) else None
        return unquote(split_uri("", reference)[1]) if keyword == "$dynamicRef" else None

    def root_pointer(self, fragment: str) -> str:
        """Return the JSON Pointer of a fragment of the whole document. Raises UnresolvedError."""
        return self.pointer(self.locations[""].base, fragment)

    def pointer(self, base: str, fragment: str) -> str:
        """Return the JSON Pointer, from the root, of a fragment of a resource in it. Raises UnresolvedError."""
        text = unquote(fragment)
        if text and not text.startswith("/"):
            if (base, text) not in self._anchors:
                raise UnresolvedError(f'refers to the anchor "{text[:MAX_SHOWN]}", which does not exist')
            return self._anchors[base, text]
        pointer = self._resources[base] + text
        if not isinstance(value_at(self.document, pointer), dict | bool):
            raise UnresolvedError("refers to something that is not a schema")
        return pointer

    def resource_of(self, pointer: str) -> str:
        """Return the pointer of the resource that a schema belongs to."""
        return self._around(pointer).resource

    def resources_to(self, pointer: str) -> list[str]:
        """Return the pointers of the resources around a schema, from the root to its own."""
        found = [self.resource_of(pointer)]
        while found[-1]:
            found.append(self.resource_of(found[-1].rpartition("/")[0]))
        return found[::-1]

    def _around(self, pointer: str) -> Location:
        """Return the schema at a pointer, or the innermost one around it."""
        while pointer not in self.locations:
            pointer = pointer.rpartition("/")[0]
        return self.locations[pointer]

    def _add(self, pointer: str, schema: JsonValue, base: str, resource: str) -> None:
        if not isinstance(schema, dict) or pointer in self.locations:
            return
        uri, fragment = self._id(schema, base)
        if uri:
            base, resource = uri, pointer
            self._resources.setdefault(base, pointer)
        if fragment and self.draft <= 7:
            self._anchors.setdefault((base, fragment), pointer)
        self._add_anchors(pointer, schema, base, resource)
        self.locations[pointer] = location = Location(pointer=pointer, schema=schema, base=base, resource=resource)
        self._unread.append(location)
        for subschema in subschemas(schema, self.draft, pointer):
            self._add(subschema.pointer, subschema.schema, base, resource)

    def _id(self, schema: JsonObject, base: str) -> tuple[str, str]:
        """Return the base URI that the id of a schema sets, and its fragment, each empty if there is none."""
        own = schema.get(id_keyword(self.draft))
        if not isinstance(own, str) or not own or ("$ref" in schema and self.draft <= 7):
            return "", ""
        try:
            uri, fragment = split_uri(base, own)
        except UnresolvedError:
            return "", ""
        return "" if own.startswith("#") else uri, fragment

    def _add_anchors(self, pointer: str, schema: JsonObject, base: str, resource: str) -> None:
        for keyword in ("$anchor", "$dynamicAnchor"):
            anchor = schema.get(keyword)
            if isinstance(anchor, str) and knows(keyword, self.draft):
                self._anchors.setdefault((base, anchor), pointer)
                if keyword == "$dynamicAnchor":
                    self.dynamic_anchors.setdefault(resource, {}).setdefault(anchor, pointer)
        if schema.get("$recursiveAnchor") is True and pointer == resource and knows("$recursiveAnchor", self.draft):
            self.dynamic_anchors.setdefault(resource, {})[RECURSIVE] = pointer

    def _add_targets(self) -> None:
        """Add schemas that only a reference leads to."""
        while self._unread:
            location = self._unread.pop()
            for _, reference in references_of(location.schema, self.draft):
                pointer = self._own_pointer(location, reference)
                if pointer is not None:
                    around = self._around(pointer)
                    self._add(pointer, value_at(self.document, pointer), around.base, around.resource)

    def _own_pointer(self, location: Location, reference: str) -> str | None:
        try:
            target = self.resolve(location, reference)
        except UnresolvedError:
            return None
        if not target.uri:
            return target.fragment
        if not target.stored:
            self.metaschemas.add(target.uri)
        return None


def split_uri(base: str, reference: str) -> tuple[str, str]:
    """Return the absolute URI and the fragment of a reference. Raises UnresolvedError."""
    try:
        uri, fragment = urldefrag(reference)
        return urljoin(base, uri) if uri else base, fragment
    except ValueError:
        raise UnresolvedError(f'is not a URI reference: "{reference[:MAX_SHOWN]}"') from None


def id_keyword(draft: int) -> str:
    """Return the keyword that names a schema."""
    return "id" if draft == 4 else "$id"


def references_of(schema: JsonObject, draft: int) -> Iterator[tuple[str, str]]:
    """Yield the reference keywords of a schema with their values."""
    for keyword in REFERENCE_KEYWORDS:
        value = schema.get(keyword)
        if isinstance(value, str) and knows(keyword, draft):
            yield keyword, value


def _unknown(reference: str, uri: str) -> str:
    """Describe a reference to a document that is not known."""
    shown = reference[:MAX_SHOWN]
    if uri.startswith(_STORED_SCHEME):
        return f'refers to "{shown}": write configsvc://schemas/NAME@VERSION, with a version of at least 1'
    return (
        f'refers to "{shown}", which is not in this document: the service fetches nothing. Put it under $defs or '
        "definitions, or create it as a schema and refer to configsvc://schemas/NAME@VERSION"
    )


def value_at(document: JsonValue, pointer: str) -> JsonValue:
    """Return the value at a JSON Pointer. Raises UnresolvedError."""
    value = document
    passed = ""
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isascii() and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            raise NoValueError(passed, key, value)
        passed = f"{passed}/{token}"
    return value
