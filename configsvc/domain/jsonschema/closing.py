"""Closing of schemas, so that they reject properties that they do not declare.

A schema is closed where it describes a whole object: at the root, and under keywords such as `properties` or `items`.
A branch of a composition sees a part of the object, so the composing schema is closed instead. Nothing is closed within
`not`, `if`, `oneOf` and `contains`, where rejecting more could make the whole schema accept more.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from configsvc.domain.content import JsonObject, copy_of_json
from configsvc.domain.jsonschema.keywords import IN_PLACE, MEMBERS, subschemas
from configsvc.domain.jsonschema.references import Location, References, UnresolvedError, references_of

_TURNING = frozenset({"not", "if", "oneOf", "contains", "propertyNames"})
_SAYING = ("additionalProperties", "unevaluatedProperties")


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """A keyword that closing added, and the JSON Pointer of its schema."""

    pointer: str
    keyword: str


def closed(document: JsonObject) -> tuple[JsonObject, tuple[Addition, ...]]:
    """Return a copy of a well-formed document with its objects closed, and the keywords that were added."""
    result = copy_of_json(document)
    additions = tuple(_Closing(References(result)).additions())
    found = References(result)
    for addition in additions:
        found.locations[addition.pointer].schema[addition.keyword] = False
    return result, additions


class _Role(StrEnum):
    """The role of a schema: for a whole object, for a part of one, or not to be changed."""

    WHOLE = "WHOLE"
    PART = "PART"
    FIXED = "FIXED"


class _Closing:
    def __init__(self, found: References) -> None:
        self._found = found
        self._roles: dict[str, set[_Role]] = {pointer: set() for pointer in found.locations}
        self._spread()

    def additions(self) -> Iterator[Addition]:
        for location in self._found.locations.values():
            keyword = self._missing(location) if self._roles[location.pointer] == {_Role.WHOLE} else None
            if keyword:
                yield Addition(pointer=location.pointer, keyword=keyword)

    def _missing(self, location: Location) -> str | None:
        """Return the keyword that closes a schema, or None if it needs none or none can."""
        parts = list(self._parts(location))
        if not _may_be_object(location) or any(_says(part) for part in parts if part):
            return None
        if not any(part and part.schema.get("properties") for part in parts):
            return None
        target = self._sole_target(location)
        if target and self._roles[target.pointer] == {_Role.WHOLE}:
            return None
        if all(part and (part is location or not _declares(part)) for part in parts):
            return "additionalProperties"
        return "unevaluatedProperties" if self._found.draft >= 2019 else None

    def _spread(self) -> None:
        """Add to each schema the roles in which it is reached from the root."""
        waiting = [("", _Role.WHOLE)]
        if self._found.is_dynamic:
            anchors = self._found.dynamic_anchors.values()
            waiting += [(pointer, _Role.PART) for named in anchors for pointer in named.values()]
        while waiting:
            pointer, role = waiting.pop()
            if pointer in self._roles and role not in self._roles[pointer]:
                self._roles[pointer].add(role)
                waiting += self._reached(self._found.locations[pointer], role)

    def _reached(self, location: Location, role: _Role) -> Iterator[tuple[str, _Role]]:
        for target in self._targets(location):
            if target:
                yield target.pointer, _Role.PART if role is _Role.WHOLE and not self._sole_target(location) else role
        if self._hides_siblings(location):
            return
        fixed = role is _Role.FIXED
        for part in subschemas(location.schema, self._found.draft, location.pointer, IN_PLACE):
            yield part.pointer, _Role.FIXED if fixed or part.keyword in _TURNING else _Role.PART
        for member in subschemas(location.schema, self._found.draft, location.pointer, MEMBERS):
            yield member.pointer, _Role.FIXED if fixed or member.keyword in _TURNING else _Role.WHOLE

    def _sole_target(self, location: Location) -> Location | None:
        """Return the target of a schema's reference, if the schema says nothing else about properties."""
        composes = any(key in location.schema for key in (*IN_PLACE, "properties", "patternProperties", *_SAYING))
        targets = list(self._targets(location))
        if len(targets) == 1 and (self._hides_siblings(location) or not composes):
            return targets[0]
        return None

    def _hides_siblings(self, location: Location) -> bool:
        return self._found.draft <= 7 and isinstance(location.schema.get("$ref"), str)

    def _targets(self, location: Location) -> Iterator[Location | None]:
        """Yield the targets of a schema's references; None for one outside the document."""
        for keyword, reference in references_of(location.schema, self._found.draft):
            try:
                target = self._found.resolve(location, reference)
            except UnresolvedError:
                continue
            known = keyword == "$ref" and not target.uri
            yield self._found.locations.get(target.fragment) if known else None

    def _parts(self, location: Location) -> Iterator[Location | None]:
        """Yield all schemas for the same object, this one first; None for one outside the document."""
        waiting: list[Location | None] = [location]
        seen = set[str]()
        while waiting:
            part = waiting.pop()
            if part and part.pointer in seen:
                continue
            yield part
            if part:
                seen.add(part.pointer)
                waiting += self._targets(part)
                waiting += self._branches(part)

    def _branches(self, location: Location) -> Iterator[Location]:
        if not self._hides_siblings(location):
            for part in subschemas(location.schema, self._found.draft, location.pointer, IN_PLACE):
                if part.keyword != "not" and part.pointer in self._found.locations:
                    yield self._found.locations[part.pointer]


def _may_be_object(location: Location) -> bool:
    allowed = location.schema.get("type", "object")
    return allowed == "object" or (isinstance(allowed, list) and "object" in allowed)


def _says(location: Location) -> bool:
    return any(keyword in location.schema for keyword in _SAYING)


def _declares(location: Location) -> bool:
    return bool(location.schema.get("properties") or location.schema.get("patternProperties"))
