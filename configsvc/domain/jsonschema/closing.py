"""Closing: what makes a schema refuse the properties that it does not declare.

An object is closed where all that is said of it is known: at the root, and where a keyword such as `properties` or
`items` leads to it. What stands within a composition sees a part of the object only, so it is never closed itself; the
schema that composes is. Nothing is closed where refusing more could make the whole accept more: within `not`, `if`,
`oneOf` and `contains`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from configsvc.domain.content import JsonObject, copy_of_json
from configsvc.domain.jsonschema.keywords import IN_PLACE, MEMBERS, subschemas
from configsvc.domain.jsonschema.references import Place, References, UnresolvedError, references_of

_TURNING = frozenset({"not", "if", "oneOf", "contains", "propertyNames"})
_SAYING = ("additionalProperties", "unevaluatedProperties")


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """A keyword that closing has added, and the JSON Pointer of the schema that has it now."""

    pointer: str
    keyword: str


def closed(document: JsonObject) -> tuple[JsonObject, tuple[Addition, ...]]:
    """A well-formed document with what closes its objects, and what was added."""
    result = copy_of_json(document)
    additions = tuple(_Closing(References(result)).additions())
    found = References(result)
    for addition in additions:
        found.places[addition.pointer].schema[addition.keyword] = False
    return result, additions


class _Role(StrEnum):
    """How a schema is reached: for a whole object, for a part of one, or where it must stay as it is."""

    WHOLE = "WHOLE"
    PART = "PART"
    FIXED = "FIXED"


class _Closing:
    def __init__(self, found: References) -> None:
        self._found = found
        self._roles: dict[str, set[_Role]] = {pointer: set() for pointer in found.places}
        self._spread()

    def additions(self) -> Iterator[Addition]:
        for place in self._found.places.values():
            keyword = self._missing(place) if self._roles[place.pointer] == {_Role.WHOLE} else None
            if keyword:
                yield Addition(pointer=place.pointer, keyword=keyword)

    def _missing(self, place: Place) -> str | None:
        """The keyword that closes a place, if it needs one and there is one."""
        parts = list(self._parts(place))
        if not _may_be_object(place) or any(_says(part) for part in parts if part):
            return None
        if not any(part and part.schema.get("properties") for part in parts):
            return None
        target = self._sole_target(place)
        if target and self._roles[target.pointer] == {_Role.WHOLE}:
            return None
        if all(part and (part is place or not _declares(part)) for part in parts):
            return "additionalProperties"
        return "unevaluatedProperties" if self._found.draft >= 2019 else None

    def _spread(self) -> None:
        """Gives each place the roles in which it is reached from the root."""
        waiting = [("", _Role.WHOLE)]
        if any(
            "$dynamicRef" in place.schema or "$recursiveRef" in place.schema for place in self._found.places.values()
        ):
            waiting += [
                (place.pointer, _Role.PART)
                for place in self._found.places.values()
                if "$dynamicAnchor" in place.schema or "$recursiveAnchor" in place.schema
            ]
        while waiting:
            pointer, role = waiting.pop()
            if pointer in self._roles and role not in self._roles[pointer]:
                self._roles[pointer].add(role)
                waiting += self._reached(self._found.places[pointer], role)

    def _reached(self, place: Place, role: _Role) -> Iterator[tuple[str, _Role]]:
        for target in self._targets(place):
            if target:
                yield target.pointer, _Role.PART if role is _Role.WHOLE and not self._sole_target(place) else role
        if self._hides_siblings(place):
            return
        fixed = role is _Role.FIXED
        for part in subschemas(place.schema, self._found.draft, place.pointer, IN_PLACE):
            yield part.pointer, _Role.FIXED if fixed or part.keyword in _TURNING else _Role.PART
        for member in subschemas(place.schema, self._found.draft, place.pointer, MEMBERS):
            yield member.pointer, _Role.FIXED if fixed or member.keyword in _TURNING else _Role.WHOLE

    def _sole_target(self, place: Place) -> Place | None:
        """What a place refers to, if nothing else stands there that speaks of the object's properties."""
        composes = any(key in place.schema for key in (*IN_PLACE, "properties", "patternProperties", *_SAYING))
        targets = list(self._targets(place))
        if len(targets) == 1 and (self._hides_siblings(place) or not composes):
            return targets[0]
        return None

    def _hides_siblings(self, place: Place) -> bool:
        return self._found.draft <= 7 and isinstance(place.schema.get("$ref"), str)

    def _targets(self, place: Place) -> Iterator[Place | None]:
        """What a place refers to; None for what is not in the document."""
        for keyword, reference in references_of(place.schema):
            try:
                target = self._found.resolve(place, reference)
            except UnresolvedError:
                continue
            known = keyword == "$ref" and not target.stored
            yield self._found.places.get(target.fragment) if known else None

    def _parts(self, place: Place) -> Iterator[Place | None]:
        """All that speaks of the same object, itself first; None for what is not in the document."""
        waiting: list[Place | None] = [place]
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

    def _branches(self, place: Place) -> Iterator[Place]:
        if not self._hides_siblings(place):
            for part in subschemas(place.schema, self._found.draft, place.pointer, IN_PLACE):
                if part.keyword != "not" and part.pointer in self._found.places:
                    yield self._found.places[part.pointer]


def _may_be_object(place: Place) -> bool:
    allowed = place.schema.get("type", "object")
    return allowed == "object" or (isinstance(allowed, list) and "object" in allowed)


def _says(place: Place) -> bool:
    return any(keyword in place.schema for keyword in _SAYING)


def _declares(place: Place) -> bool:
    return bool(place.schema.get("properties") or place.schema.get("patternProperties"))
