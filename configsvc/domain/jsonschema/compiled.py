"""Compilation of schema documents, and the walk of the schemas that apply."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

import jsonschema_rs

from configsvc.domain.content import JsonObject, JsonValue
from configsvc.domain.jsonschema.keywords import IN_PLACE, MEMBERS, draft_of, draft_uri, subschemas
from configsvc.domain.jsonschema.linked import Node, UnusableSchemaError, linked
from configsvc.domain.jsonschema.patterns import MATCHING
from configsvc.domain.jsonschema.references import value_at
from configsvc.domain.models import SchemaVersionRef

# The limit for schemas in a chain of references; the compiler recurses for each.
MAX_PATH = 1000


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
        """Return the number of paths from the root to each schema, with one recursion at most: jsonschema-rs keeps the
        results of recursive references, but not of the first one of a path.
        """
        paths = self._spread(Counter({self.order[-1]: 1}))
        entered = Counter[Node]()
        for node, part in self.returns:
            entered[part] += paths[node]
        return paths + self._spread(entered)

    def _spread(self, paths: Counter[Node]) -> Counter[Node]:
        """Add the paths of each schema to those that it applies, without recursion."""
        for node in reversed(self.order):
            for part in self.applied[node]:
                if not self.is_return(node, part.node):
                    paths[part.node] += paths[node]
        return paths


class CompiledSchemas:
    """A compiled document with the stored versions that it refers to. Raises UnusableSchemaError."""

    def __init__(self, document: JsonObject, referenced: Mapping[SchemaVersionRef, JsonObject]) -> None:
        self.root, self._documents = linked(document, referenced)
        self.walk()
        try:
            self._registry = jsonschema_rs.Registry(list(self._documents.items()))
            self.compiled = self.validator(self.root)
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            raise UnusableSchemaError("", str(error)[:200]) from None

    def schema(self, node: Node) -> JsonValue:
        """Return the prepared schema at a node."""
        return value_at(self._documents[node.uri], node.pointer)

    def draft(self, node: Node) -> int:
        """Return the draft of a node's document."""
        return draft_of(self._documents[node.uri]) or 2020

    def target(self, reference: str) -> Node:
        """Return the target of a prepared reference."""
        uri, _, fragment = reference.partition("#")
        return Node(uri, unquote(fragment))

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


def _applied(schemas: CompiledSchemas, node: Node) -> list[Applied]:
    schema = schemas.schema(node)
    if not isinstance(schema, dict):
        return []
    reference = schema.get("$ref")
    found = [Applied(node=schemas.target(reference))] if isinstance(reference, str) else []
    if found and schemas.draft(node) <= 7:
        return found
    parts = subschemas(schema, schemas.draft(node), node.pointer, IN_PLACE + MEMBERS)
    return found + [
        Applied(
            node=Node(node.uri, part.pointer), keyword="" if part.keyword in IN_PLACE else part.keyword, key=part.key
        )
        for part in parts
    ]
