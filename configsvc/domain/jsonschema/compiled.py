"""Schema documents made ready for jsonschema-rs: references resolved, patterns bounded, work limited."""

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

# How often at most a schema may apply to one place of a configuration, recursion aside: jsonschema-rs remembers what a
# recursive reference has answered, but tries every other path anew. The most of 283 real schemas is 15,220.
MAX_APPLICATIONS = 20_000
# How many schemas may lead to one another in a row; the compiler calls itself for each.
MAX_PATH = 1000

_DOCUMENT_URI = "configsvc://document"
_NAMES = ("$id", "id", "$anchor")


@dataclass(frozen=True, slots=True)
class Node:
    """A schema of one of the documents: the document's URI, and its JSON Pointer there."""

    uri: str
    pointer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A schema that another applies: to the same value, or to members of it by a keyword (and a key there)."""

    node: Node
    place: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """The schemas that can apply, each after those that it applies, but for those that lead back to it."""

    order: list[Node]
    applied: dict[Node, list[Applied]]
    returns: set[tuple[Node, Node]]

    def is_return(self, node: Node, part: Node) -> bool:
        """Whether this way leads back to where it came from."""
        return (node, part) in self.returns

    def paths(self) -> Counter[Node]:
        """How many ways lead from the root to each, those that lead back aside."""
        paths = Counter({self.order[-1]: 1})
        for node in reversed(self.order):
            for part in self.applied[node]:
                if not self.is_return(node, part.node):
                    paths[part.node] += paths[node]
        return paths


class UnusableSchemaError(Exception):
    """A schema with which nothing can be validated; says where and why."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(f"{pointer or 'the document'}: {message}")
        self.pointer = pointer
        self.message = message


class CompiledSchemas:
    """A document and the stored versions that it refers to. Raises UnusableSchemaError."""

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
            raise UnusableSchemaError("", "applies its parts to the same values too often, by its references")
        self.compiled = self._compile()

    def _compile(self) -> jsonschema_rs.Validator:
        try:
            return self.validator(self.root)
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            raise UnusableSchemaError("", str(error)[:200]) from None

    def schema(self, node: Node) -> JsonValue:
        """The schema at a node, as it was made ready."""
        return value_at(self._documents[node.uri], node.pointer)

    def draft(self, node: Node) -> int:
        """The draft that a node is written in."""
        return draft_of(self._documents[node.uri]) or 2020

    def target(self, node: Node, reference: str) -> Node:
        """Where a reference that was made ready leads."""
        uri, _, fragment = reference.partition("#")
        pointer = unquote(fragment)
        if pointer and not pointer.startswith("/"):
            pointer = References(self._documents[uri]).root_pointer(pointer)
        return Node(uri or node.uri, pointer)

    def walk(self) -> Walk:
        """All schemas that can apply. Raises UnusableSchemaError if too many lead to one another in a row."""
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
                    raise UnusableSchemaError("", f"refers through more than {MAX_PATH} schemas in a row")
                walk.applied[part.node] = _applied(self, part.node)
                path[part.node] = iter(walk.applied[part.node])
        return walk

    def validator(self, node: Node) -> jsonschema_rs.Validator:
        """What is accepted at a node."""
        return self.validator_of(node, {"$ref": f"{node.uri}#{quote(node.pointer)}"})

    def validator_of(self, node: Node, schema: JsonObject) -> jsonschema_rs.Validator:
        """What a schema accepts that is written in a node's draft."""
        return jsonschema_rs.validator_for(
            {"$schema": draft_uri(self.draft(node)), **schema},
            validate_formats=True,
            offline=True,
            registry=self._registry,
            pattern_options=MATCHING,
        )


def _renamed_patterns(references: References) -> dict[str, str]:
    """The places under patternProperties whose pattern is bounded, with the last part of their new pointer."""
    return {
        f"{pointer}/patternProperties/{escaped(pattern)}": escaped(bounded(pattern))
        for pointer, place in references.places.items()
        for pattern in _keys(place.schema.get("patternProperties"))
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
    """Makes every reference of a document one to a document's URI and a JSON Pointer there."""
    for place in references.places.values():
        for keyword, reference in list(references_of(place.schema)):
            if keyword == "$recursiveRef":
                continue
            try:
                target = references.resolve(place, reference)
                place.schema[keyword] = _absolute(uri, keyword, target, found, renamed)
            except UnresolvedError as error:
                where = "" if uri == _DOCUMENT_URI else f" in {uri}"
                raise UnusableSchemaError(f"{place.pointer}/{keyword}", f"{error}{where}") from None
    for place in references.places.values():
        for name in _NAMES:
            if isinstance(place.schema.get(name), str):
                del place.schema[name]


def _absolute(
    uri: str, keyword: str, target: Target, found: dict[str, References], renamed: dict[str, dict[str, str]]
) -> str:
    uri = stored_uri(target.stored) if target.stored else uri
    if uri not in found:
        raise UnresolvedError(f"names {uri}, which is not there")
    pointer = found[uri].root_pointer(target.fragment)
    anchor = found[uri].places[pointer].schema.get("$dynamicAnchor") if pointer in found[uri].places else None
    if keyword == "$dynamicRef" and isinstance(anchor, str):
        return f"{uri}#{anchor}"
    return f"{uri}#{quote(_moved(pointer, renamed[uri]))}"


def _bound_patterns(references: References) -> None:
    for place in references.places.values():
        pattern = place.schema.get("pattern")
        if isinstance(pattern, str):
            place.schema["pattern"] = bounded(pattern)
        members = place.schema.get("patternProperties")
        if isinstance(members, dict):
            place.schema["patternProperties"] = {bounded(key): member for key, member in members.items()}


def _applied(schemas: CompiledSchemas, node: Node) -> list[Applied]:
    schema = schemas.schema(node)
    if not isinstance(schema, dict):
        return []
    found = [Applied(node=schemas.target(node, uri)) for _, uri in references_of(schema)]
    if found and schemas.draft(node) <= 7:
        return found
    parts = subschemas(schema, schemas.draft(node), node.pointer, IN_PLACE + MEMBERS)
    return found + [
        Applied(node=Node(node.uri, part.pointer), place="" if part.keyword in IN_PLACE else part.keyword, key=part.key)
        for part in parts
    ]
