"""Preparation of schema documents for jsonschema-rs: resolved references, bounded patterns, limited work."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

import jsonschema_rs

from configsvc.domain.content import JsonObject, JsonValue, copy_of_json, escaped
from configsvc.domain.jsonschema.keywords import IN_PLACE, MEMBERS, draft_of, draft_uri, subschemas
from configsvc.domain.jsonschema.patterns import MATCHING, bounded
from configsvc.domain.jsonschema.references import (
    References,
    Target,
    UnresolvedError,
    references_of,
    stored_uri,
    value_at,
)
from configsvc.domain.models import SchemaVersionRef

# The limit for paths from the root to all schemas, without recursion: jsonschema-rs caches results of recursive
# references, but evaluates every other path anew. The most of 283 real schemas is 15,220.
MAX_APPLICATIONS = 20_000
# The limit for schemas in a chain of references; the compiler recurses for each.
MAX_PATH = 1000

_DOCUMENT_URI = "configsvc://document"
_NAMES = ("$id", "id", "$anchor")


@dataclass(frozen=True, slots=True)
class Node:
    """A schema of one of the documents: the URI of the document and a JSON Pointer."""

    uri: str
    pointer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A schema that another one applies: to the same value, or to its members by a keyword and perhaps a key."""

    node: Node
    keyword: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """The schemas that can apply, each after those that it applies, except for recursion."""

    order: list[Node]
    applied: dict[Node, list[Applied]]
    returns: set[tuple[Node, Node]]

    def is_return(self, node: Node, part: Node) -> bool:
        """Return whether this step is a recursion."""
        return (node, part) in self.returns

    def paths(self) -> Counter[Node]:
        """Return the number of paths from the root to each schema, without recursion."""
        paths = Counter({self.order[-1]: 1})
        for node in reversed(self.order):
            for part in self.applied[node]:
                if not self.is_return(node, part.node):
                    paths[part.node] += paths[node]
        return paths


class UnusableSchemaError(Exception):
    """A schema that cannot be used for validation; says where and why."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(f"{pointer or 'the document'}: {message}")
        self.pointer = pointer
        self.message = message


class CompiledSchemas:
    """A compiled document with the stored versions that it refers to. Raises UnusableSchemaError."""

    def __init__(self, document: JsonObject, referenced: Mapping[SchemaVersionRef, JsonObject]) -> None:
        documents = {_DOCUMENT_URI: document} | {stored_uri(found): text for found, text in referenced.items()}
        found = {uri: References(copy_of_json(text)) for uri, text in documents.items()}
        renamed = {uri: _renamed_patterns(references) for uri, references in found.items()}
        for uri, references in found.items():
            _link(uri, references, found, renamed)
        for references in found.values():
            _bound_patterns(references)
        self._documents: dict[str, JsonObject] = {uri: references.document for uri, references in found.items()}
        self._registry = jsonschema_rs.Registry(list(self._documents.items()))
        self.root = Node(_DOCUMENT_URI, "")
        if self.walk().paths().total() > MAX_APPLICATIONS:
            raise UnusableSchemaError("", "applies its parts to the same values too often: use fewer nested references")
        self.compiled = self._compile()

    def _compile(self) -> jsonschema_rs.Validator:
        try:
            return self.validator(self.root)
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            raise UnusableSchemaError("", str(error)[:200]) from None

    def schema(self, node: Node) -> JsonValue:
        """Return the prepared schema at a node."""
        return value_at(self._documents[node.uri], node.pointer)

    def draft(self, node: Node) -> int:
        """Return the draft of a node's document."""
        return draft_of(self._documents[node.uri]) or 2020

    def target(self, node: Node, reference: str) -> Node:
        """Return the target of a prepared reference."""
        uri, _, fragment = reference.partition("#")
        pointer = unquote(fragment)
        if pointer and not pointer.startswith("/"):
            pointer = References(self._documents[uri]).root_pointer(pointer)
        return Node(uri or node.uri, pointer)

    def walk(self) -> Walk:
        """Return all schemas that can apply. Raises UnusableSchemaError if a chain exceeds MAX_PATH."""
        walk = Walk(order=[], applied={self.root: _applied(self, self.root)}, returns=set())
        path = {self.root: iter(walk.applied[self.root])}
        while path:
            node = next(reversed(path))
            part = next(path[node], None)
            if part is None:
                del path[node]
                walk.order.append(node)
            elif part.node in path:
                walk.returns.add((node, part.node))
            elif part.node not in walk.applied:
                if len(path) == MAX_PATH:
                    raise UnusableSchemaError("", f"has a chain of more than {MAX_PATH} references")
                walk.applied[part.node] = _applied(self, part.node)
                path[part.node] = iter(walk.applied[part.node])
        return walk

    def validator(self, node: Node) -> jsonschema_rs.Validator:
        """Return the validator of a node."""
        return self.validator_of(node, {"$ref": f"{node.uri}#{quote(node.pointer)}"})

    def validator_of(self, node: Node, schema: JsonObject) -> jsonschema_rs.Validator:
        """Return the validator of a schema in the draft of a node."""
        return jsonschema_rs.validator_for(
            {"$schema": draft_uri(self.draft(node)), **schema},
            validate_formats=True,
            offline=True,
            registry=self._registry,
            pattern_options=MATCHING,
        )


def _renamed_patterns(references: References) -> dict[str, str]:
    """Return the pointers under patternProperties whose pattern gets bounded, with the new last token."""
    return {
        f"{pointer}/patternProperties/{escaped(pattern)}": escaped(bounded(pattern))
        for pointer, location in references.locations.items()
        for pattern in _keys(location.schema.get("patternProperties"))
        if bounded(pattern) != pattern
    }


def _keys(value: JsonValue) -> list[str]:
    return list(value) if isinstance(value, dict) else []


def _moved(pointer: str, renamed: dict[str, str]) -> str:
    if not renamed:
        return pointer
    before = after = ""
    for token in pointer.split("/")[1:]:
        before = f"{before}/{token}"
        after = f"{after}/{renamed.get(before, token)}"
    return after


def _link(uri: str, references: References, found: dict[str, References], renamed: dict[str, dict[str, str]]) -> None:
    """Replace every reference of a document by a document's URI and a JSON Pointer."""
    for location in references.locations.values():
        for keyword, reference in list(references_of(location.schema)):
            if keyword == "$recursiveRef":
                continue
            try:
                target = references.resolve(location, reference)
                location.schema[keyword] = _absolute(uri, keyword, target, found, renamed)
            except UnresolvedError as error:
                where = "" if uri == _DOCUMENT_URI else f" in {uri}"
                raise UnusableSchemaError(f"{location.pointer}/{keyword}", f"{error}{where}") from None
    for location in references.locations.values():
        for name in _NAMES:
            if isinstance(location.schema.get(name), str):
                del location.schema[name]


def _absolute(
    uri: str, keyword: str, target: Target, found: dict[str, References], renamed: dict[str, dict[str, str]]
) -> str:
    uri = stored_uri(target.stored) if target.stored else uri
    if uri not in found:
        raise UnresolvedError(f"refers to {uri}, which does not exist")
    pointer = found[uri].root_pointer(target.fragment)
    anchor = found[uri].locations[pointer].schema.get("$dynamicAnchor") if pointer in found[uri].locations else None
    if keyword == "$dynamicRef" and isinstance(anchor, str):
        return f"{uri}#{anchor}"
    return f"{uri}#{quote(_moved(pointer, renamed[uri]))}"


def _bound_patterns(references: References) -> None:
    for location in references.locations.values():
        pattern = location.schema.get("pattern")
        if isinstance(pattern, str):
            location.schema["pattern"] = bounded(pattern)
        members = location.schema.get("patternProperties")
        if isinstance(members, dict):
            location.schema["patternProperties"] = {bounded(key): member for key, member in members.items()}


def _applied(schemas: CompiledSchemas, node: Node) -> list[Applied]:
    schema = schemas.schema(node)
    if not isinstance(schema, dict):
        return []
    found = [Applied(node=schemas.target(node, uri)) for _, uri in references_of(schema)]
    if found and schemas.draft(node) <= 7:
        return found
    parts = subschemas(schema, schemas.draft(node), node.pointer, IN_PLACE + MEMBERS)
    return found + [
        Applied(
            node=Node(node.uri, part.pointer), keyword="" if part.keyword in IN_PLACE else part.keyword, key=part.key
        )
        for part in parts
    ]
