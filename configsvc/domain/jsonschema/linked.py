"""Documents for jsonschema-rs: every reference resolved to a `$ref` with a JSON Pointer, every pattern bounded.

The target of a dynamic reference depends on the resources that were entered before it: its dynamic scope. So a resource
is copied once for each dynamic scope in which it applies, and in a copy every target is known. Without dynamic
references, each document has one copy.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote

from configsvc.domain.content import JsonObject, copy_of_json, escaped
from configsvc.domain.jsonschema.keywords import draft_of, draft_uri
from configsvc.domain.jsonschema.metaschemas import METASCHEMAS, meta_validator, metaschema
from configsvc.domain.jsonschema.patterns import bounded
from configsvc.domain.jsonschema.references import (
    REFERENCE_KEYWORDS,
    Location,
    References,
    Target,
    UnresolvedError,
    references_of,
    stored_uri,
    value_at,
)
from configsvc.domain.models import SchemaVersionRef

# The limit for schemas in copies of a resource beyond the first.
MAX_COPIED = 50_000

_DOCUMENT_URI = "configsvc://document"
_NAMES = ("$id", "id", "$anchor", "$dynamicAnchor", "$recursiveAnchor")


class UnusableSchemaError(Exception):
    """A schema that cannot be used for validation; says where and why."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(f"{pointer or 'the document'}: {message}")
        self.pointer = pointer
        self.message = message


@dataclass(frozen=True, slots=True)
class Node:
    """A schema of one of the documents: the URI of the document and a JSON Pointer."""

    uri: str
    pointer: str


@dataclass(frozen=True, slots=True)
class Scope:
    """The dynamic anchors of the resources entered so far: for each name, the outermost one."""

    anchors: frozenset[tuple[str, Node]] = frozenset()

    def get(self, name: str, default: Node) -> Node:
        """Return the outermost anchor of a name."""
        return next((node for key, node in self.anchors if key == name), default)

    def entering(self, anchors: Mapping[str, Node]) -> "Scope":
        """Return the scope within a resource that has these anchors."""
        known = {name for name, _ in self.anchors}
        more = {(name, node) for name, node in anchors.items() if name not in known}
        return Scope(self.anchors | more) if more else self


@dataclass(frozen=True, slots=True)
class Copy:
    """A part of a document, from the root of a resource on, as it applies in a dynamic scope."""

    uri: str
    root: str
    scope: Scope


def linked(
    document: JsonObject, referenced: Mapping[SchemaVersionRef, JsonObject]
) -> tuple[Node, dict[str, JsonObject]]:
    """Return the root of a document, and by URI all documents that it needs. Raises UnusableSchemaError."""
    documents = {_DOCUMENT_URI: document} | {stored_uri(found): text for found, text in referenced.items()}
    for uri, text in documents.items():
        _require_schema(uri, text)
    linking = _Linking({uri: References(text) for uri, text in documents.items()})
    root = linking.node(Node(_DOCUMENT_URI, ""), Scope())
    return root, dict(linking.documents())


def _require_schema(uri: str, document: JsonObject) -> None:
    """Raise UnusableSchemaError for a document that is no JSON Schema; those of the API were checked, with reasons."""
    draft = draft_of(document)
    if draft is None:
        raise UnusableSchemaError("/$schema", f"is an unknown draft{_in(uri)}")
    if not meta_validator(draft).is_valid(document):
        raise UnusableSchemaError("", f"is not a JSON Schema{_in(uri)}")


@dataclass(slots=True)
class _Linking:
    found: dict[str, References]
    _names: frozenset[str] = field(init=False)
    _renamed: dict[str, dict[str, str]] = field(init=False)
    _uris: dict[Copy, str] = field(default_factory=dict[Copy, str])
    _waiting: list[Copy] = field(default_factory=list[Copy])

    def __post_init__(self) -> None:
        self._add_metaschemas()
        self._names = frozenset(name for references in self.found.values() for name in _dynamic_names(references))
        self._renamed = {uri: _renamed_patterns(references) for uri, references in self.found.items()}

    def documents(self) -> Iterator[tuple[str, JsonObject]]:
        """Yield all copies that are needed, with their URIs."""
        copied, seen = 0, set[str]()
        while self._waiting:
            copy = self._waiting.pop()
            if copy.uri in seen:
                copied += len(self.found[copy.uri].locations)
            if copied > MAX_COPIED:
                raise UnusableSchemaError(
                    "", "has dynamic references in too many combinations of schemas: use $ref where it is enough"
                )
            seen.add(copy.uri)
            yield self._uris[copy], self._copied(copy)

    def node(self, target: Node, scope: Scope) -> Node:
        """Return where a schema is copied to, for references from a scope."""
        copy = self._copy(target, scope)
        if copy not in self._uris:
            self._uris[copy] = f"configsvc://copies/{len(self._uris)}"
            self._waiting.append(copy)
        return Node(self._uris[copy], _moved(target.pointer, self._renamed[target.uri], copy.root))

    def _copy(self, target: Node, scope: Scope) -> Copy:
        """Return the copy for a schema that is reached from a scope: of the whole document if that makes no difference,
        else of its resource, since the resources around that are not entered.
        """
        if not self._names:
            return Copy(target.uri, "", scope)
        resources = self.found[target.uri].resources_to(target.pointer)
        entered = self._entering(scope, target.uri, resources[-1:])
        is_whole = self._entering(scope, target.uri, resources) == entered
        root = "" if is_whole else resources[-1]
        return Copy(target.uri, root, self._entering(scope, target.uri, [root]))

    def _add_metaschemas(self) -> None:
        waiting = list(self.found.values())
        while waiting:
            references = waiting.pop()
            for uri in references.metaschemas - self.found.keys():
                self.found[uri] = _metaschema_references(uri)
                waiting.append(self.found[uri])

    def _entering(self, scope: Scope, uri: str, resources: Iterable[str]) -> Scope:
        """Return the scope after resources of a document were entered, one after the other."""
        for resource in resources:
            anchors = self.found[uri].dynamic_anchors.get(resource, {})
            scope = scope.entering({name: Node(uri, anchors[name]) for name in anchors if name in self._names})
        return scope

    def _copied(self, copy: Copy) -> JsonObject:
        references = self.found[copy.uri]
        root = value_at(references.document, copy.root)
        assert isinstance(root, dict)
        result = copy_of_json(root)
        within = [location for location in references.locations.values() if _is_within(location.pointer, copy.root)]
        schemas = [(location, value_at(result, location.pointer[len(copy.root) :])) for location in within]
        for location, schema in schemas:
            assert isinstance(schema, dict)
            self._link(copy, location, schema)
        for _, schema in schemas:
            assert isinstance(schema, dict)
            _bound_patterns(schema)
        return {**result, "$schema": draft_uri(references.draft)}

    def _link(self, copy: Copy, location: Location, schema: JsonObject) -> None:
        """Replace the references of a schema by a `$ref` to a copy, and a second one in `allOf`."""
        found = [self._reference(copy, location, *one) for one in references_of(location.schema, self._draft(copy))]
        for name in (*REFERENCE_KEYWORDS, *_NAMES):
            if isinstance(schema.get(name), str | bool):
                del schema[name]
        if found:
            schema["$ref"] = found[0]
        for reference in found[1:]:
            parts = schema.get("allOf", [])
            assert isinstance(parts, list)
            schema["allOf"] = [*parts, {"$ref": reference}]

    def _draft(self, copy: Copy) -> int:
        return self.found[copy.uri].draft

    def _reference(self, copy: Copy, location: Location, keyword: str, reference: str) -> str:
        references = self.found[copy.uri]
        try:
            target = self._target(copy.uri, references.resolve(location, reference))
        except UnresolvedError as error:
            raise UnusableSchemaError(f"{location.pointer}/{keyword}", f"{error}{_in(copy.uri)}") from None
        scope = self._scope_at(copy, location)
        name = references.dynamic_name(location, keyword, reference)
        if name is not None and self._is_anchor(target, name):
            target = scope.get(name, target)
        node = self.node(target, scope)
        return f"{node.uri}#{quote(node.pointer)}"

    def _scope_at(self, copy: Copy, location: Location) -> Scope:
        if not self._names:
            return copy.scope
        resources = self.found[copy.uri].resources_to(location.pointer)
        return self._entering(copy.scope, copy.uri, (one for one in resources if _is_within(one, copy.root)))

    def _target(self, uri: str, target: Target) -> Node:
        if not target.uri:
            return Node(uri, target.fragment)
        if target.uri not in self.found:
            raise UnresolvedError(f"refers to {target.uri}, which does not exist")
        return Node(target.uri, self.found[target.uri].root_pointer(target.fragment))

    def _is_anchor(self, target: Node, name: str) -> bool:
        references = self.found[target.uri]
        anchors = references.dynamic_anchors.get(references.resource_of(target.pointer), {})
        return anchors.get(name) == target.pointer


def _in(uri: str) -> str:
    return "" if uri == _DOCUMENT_URI else f" in {uri}"


@lru_cache(maxsize=len(METASCHEMAS))
def _metaschema_references(uri: str) -> References:
    return References(metaschema(uri))


def _dynamic_names(references: References) -> Iterator[str]:
    if references.draft < 2019:
        return
    for location in references.locations.values():
        for keyword, reference in references_of(location.schema, references.draft):
            name = references.dynamic_name(location, keyword, reference)
            if name is not None:
                yield name


def _is_within(pointer: str, root: str) -> bool:
    return not root or pointer == root or pointer.startswith(f"{root}/")


def _renamed_patterns(references: References) -> dict[str, str]:
    """Return the pointers under patternProperties whose pattern gets bounded, with the new last token."""
    return {
        f"{pointer}/patternProperties/{escaped(pattern)}": escaped(bounded(pattern))
        for pointer, location in references.locations.items()
        for pattern in _patterns(location.schema)
        if bounded(pattern) != pattern
    }


def _patterns(schema: JsonObject) -> list[str]:
    members = schema.get("patternProperties")
    return list(members) if isinstance(members, dict) else []


def _moved(pointer: str, renamed: dict[str, str], root: str) -> str:
    """Return a pointer from a root, after patterns were renamed."""
    if not renamed:
        return pointer[len(root) :]
    before = after = root
    for token in pointer[len(root) :].split("/")[1:]:
        before = f"{before}/{token}"
        after = f"{after}/{renamed.get(before, token)}"
    return after[len(root) :]


def _bound_patterns(schema: JsonObject) -> None:
    pattern = schema.get("pattern")
    if isinstance(pattern, str):
        schema["pattern"] = bounded(pattern)
    members = schema.get("patternProperties")
    if isinstance(members, dict):
        schema["patternProperties"] = {bounded(key): member for key, member in members.items()}
