"""Backward compatibility of schemas: whatever the old one accepts, the new one must accept. Documents alone decide.

Each keyword of the new schema must be implied by the old one. What cannot be proved is reported, although it may be
true: an empty result is a proof, any other result is not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import jsonschema_rs

from configsvc.domain.content import JsonObject, JsonValue, same_json
from configsvc.domain.jsonschema.faults import MAX_FAULTS, Fault
from configsvc.domain.jsonschema.implications import FAMILIES, implied, types_of
from configsvc.domain.jsonschema.keywords import ANNOTATIONS, IN_PLACE, MEMBERS, knows, subschemas
from configsvc.domain.jsonschema.patterns import MATCHING, bounded
from configsvc.domain.jsonschema.references import References, UnresolvedError, value_at

# The limit for comparisons; beyond it, nothing more is proved.
MAX_COMPARISONS = 100_000
# Each level takes about five frames of Python's stack.
MAX_DEPTH = 80

# Keywords that must be unchanged, together with those that change their meaning.
_KEPT = {
    "oneOf": ("oneOf",),
    "not": ("not",),
    "if": ("if", "then", "else"),
    "contains": ("contains", "minContains", "maxContains"),
}
_EVALUATING = ("patternProperties", "additionalProperties")
_ELSEWHERE = frozenset({"then", "else", "minContains", "maxContains", *MEMBERS})


def incompatibilities(old: JsonObject, new: JsonObject) -> tuple[Fault, ...]:
    """Return where the new document may reject what the old one accepts, with JSON Pointers into the new one.

    Both must be well-formed. Returns at most MAX_FAULTS; none proves that the new one accepts all the old one accepts.
    """
    before, after = References(old), References(new)
    if before.draft != after.draft:
        return (Fault(pointer="/$schema", keyword="$schema", message="is a different draft than in the old version"),)
    if not same_json(old, new) and (before.is_dynamic or after.is_dynamic):
        message = "has dynamic references, which are not compared"
        return (Fault(pointer="", keyword="$dynamicRef", message=message),)
    return _Comparison().faults(_Side(before, ""), _Side(after, ""))


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """A schema of one of the two documents."""

    references: References
    pointer: str

    @property
    def schema(self) -> JsonValue:
        return value_at(self.references.document, self.pointer)

    def keywords(self) -> JsonObject:
        """Return the keywords that matter: no annotations and, up to draft 7, no siblings of $ref."""
        schema, draft = self.schema, self.references.draft
        if not isinstance(schema, dict):
            return {} if schema else {"not": True}
        if draft <= 7 and "$ref" in schema:
            return {"$ref": schema["$ref"]}
        return {key: value for key, value in schema.items() if key not in ANNOTATIONS and knows(key, draft)}

    def parts(self, *keywords: str) -> dict[str, "_Side"]:
        """Return the subschemas under the keywords, by key or index."""
        schema = self.schema
        if not isinstance(schema, dict):
            return {}
        found = subschemas(schema, self.references.draft, self.pointer, keywords)
        return {part.key: _Side(self.references, part.pointer) for part in found}

    def target(self) -> "_Side | str | None":
        """Return the target of $ref: a schema of the document, or the URI of a stored version."""
        reference = self.keywords().get("$ref")
        location = self.references.locations.get(self.pointer)
        if not isinstance(reference, str) or not location:
            return None
        try:
            found = self.references.resolve(location, reference)
        except UnresolvedError:
            return reference
        return f"{found.uri}#{found.fragment}" if found.uri else _Side(self.references, found.fragment)


class _Comparison:
    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[Fault, ...]] = {}
        self._begun: dict[tuple[str, str], int] = {}
        self._same: dict[tuple[str, str], bool] = {}
        self._anything = _Side(References({}), "")
        self._count = 0
        self._depth = 0
        self._level = 0

    def faults(self, old: _Side, new: _Side) -> tuple[Fault, ...]:
        """Return what the new schema may reject although the old one accepts it."""
        key = ("anything" if old is self._anything else old.pointer, new.pointer)
        if key in self._begun:
            return self._again(new, self._begun[key])
        if key not in self._known:
            self._count += 1
            if self._depth >= MAX_DEPTH or self._count > MAX_COMPARISONS:
                return (_fault(new, "", "is too large or too deeply nested to compare"),)
            self._known[key] = self._completely(key, old, new)
        return self._known[key]

    def _again(self, new: _Side, level: int) -> tuple[Fault, ...]:
        """Assume that a pair under comparison is proved deeper in a value, because values are finite."""
        return () if level < self._level else (_fault(new, "", "refers to itself"),)

    def _completely(self, key: tuple[str, str], old: _Side, new: _Side) -> tuple[Fault, ...]:
        self._begun[key] = self._level
        self._depth += 1
        earlier = len(self._known)
        found = self._compared(old, new)
        self._depth -= 1
        del self._begun[key]
        if found:
            # Proofs made meanwhile may depend on this pair.
            while len(self._known) > earlier:
                self._known.popitem()
        return found

    def _compared(self, old: _Side, new: _Side) -> tuple[Fault, ...]:
        if old.schema is False or not new.keywords() or (old is not self._anything and self._same_schema(old, new)):
            return ()
        if new.schema is False:
            return (_fault(new, "", "accepts nothing"),)
        direct = tuple(islice(self._direct(old, new), MAX_FAULTS))
        return () if not direct or self._by_a_part(old, new) else tuple(dict.fromkeys(direct))

    def _by_a_part(self, old: _Side, new: _Side) -> bool:
        """Return whether one part of the old schema, or each of its alternatives, implies the new schema."""
        target = old.target()
        parts = [*old.parts("allOf").values(), *([target] if isinstance(target, _Side) else [])]
        if any(not self.faults(part, new) for part in parts):
            return True
        choices = (list(old.parts(keyword).values()) for keyword in ("anyOf", "oneOf"))
        return any(parts and all(not self.faults(part, new) for part in parts) for parts in choices)

    def _direct(self, old: _Side, new: _Side) -> Iterator[Fault]:
        said, wanted = old.keywords(), new.keywords()
        possible = types_of(said)
        for keyword in wanted:
            if FAMILIES.get(keyword, possible) & possible:
                yield from self._keyword(keyword, old, new)
        if "object" in possible:
            yield from self._object(old, new)
        if "array" in possible:
            yield from self._array(old, new)

    def _keyword(self, keyword: str, old: _Side, new: _Side) -> Iterator[Fault]:
        if keyword in _COMPOSING:
            yield from _COMPOSING[keyword](self, old, new)
        elif keyword in _KEPT:
            if not all(self._same_keyword(key, old, new) for key in _KEPT[keyword]):
                yield _fault(new, keyword, "was changed, and changes of this keyword are not compared")
        elif keyword not in _ELSEWHERE and not implied(keyword, old.keywords(), new.keywords(), new.references.draft):
            yield _fault(new, keyword, "may reject what the old version accepts")

    # --- composition ---

    def reference(self, old: _Side, new: _Side) -> Iterator[Fault]:
        target = new.target()
        if isinstance(target, _Side):
            yield from self.faults(old, target)
        elif target != old.target():
            yield _fault(new, "$ref", "refers to another stored version, which is not compared")

    def all_of(self, old: _Side, new: _Side) -> Iterator[Fault]:
        for part in new.parts("allOf").values():
            yield from self.faults(old, part)

    def any_of(self, old: _Side, new: _Side) -> Iterator[Fault]:
        parts = new.parts("anyOf").values()
        if any(not self.faults(old, part) for part in parts):
            return
        for keyword in ("anyOf", "oneOf"):
            choices = old.parts(keyword).values()
            if choices and all(any(not self.faults(choice, part) for part in parts) for choice in choices):
                return
        yield _fault(new, "anyOf", "has no alternative for one of the old version")

    def dependent_schemas(self, old: _Side, new: _Side) -> Iterator[Fault]:
        yield from self._dependent("dependentSchemas", old, new)

    def dependencies(self, old: _Side, new: _Side) -> Iterator[Fault]:
        if not implied("dependentRequired", _lists(old, "dependencies"), _lists(new, "dependencies"), 2019):
            yield _fault(new, "dependencies", "requires more properties")
        yield from self._dependent("dependencies", old, new)

    def _dependent(self, keyword: str, old: _Side, new: _Side) -> Iterator[Fault]:
        for name, part in new.parts(keyword).items():
            known = old.parts(keyword).get(name)
            if not known or self.faults(known, part):
                yield from self.faults(old, part)

    # --- members ---

    def _object(self, old: _Side, new: _Side) -> Iterator[Fault]:
        wanted = new.keywords()
        for name, part in new.parts("properties").items():
            yield from self._of_any(self._property(old, name), part)
        for pattern, part in new.parts("patternProperties").items():
            for source in self._named_like(old, pattern):
                yield from self._of_any(source, part)
        if "additionalProperties" in wanted:
            for source in self._left_over(old, new):
                yield from self._of_any(source, new.parts("additionalProperties")[""])
        if "propertyNames" in wanted:
            yield from self._of_any(list(old.parts("propertyNames").values()), new.parts("propertyNames")[""])
        if "unevaluatedProperties" in wanted:
            yield from self._unevaluated(old, new)

    def _of_any(self, sources: list[_Side], new: _Side) -> Iterator[Fault]:
        """Yield faults unless one of the sources, all of which a member satisfies, implies the new schema."""
        found = [self._further_down(source, new) for source in sources or [self._anything]]
        if all(found):
            yield from found[0]

    def _further_down(self, old: _Side, new: _Side) -> tuple[Fault, ...]:
        self._level += 1
        found = self.faults(old, new)
        self._level -= 1
        return found

    def _property(self, old: _Side, name: str) -> list[_Side]:
        """Return all schemas that the old one certainly applies to a property."""
        own = old.parts("properties").get(name)
        matches = {pattern: _matches(pattern, name) for pattern in old.parts("patternProperties")}
        sources = [part for pattern, part in old.parts("patternProperties").items() if matches[pattern]]
        if own:
            return [own, *sources]
        if not sources and None not in matches.values():
            return list(old.parts("additionalProperties").values())
        return sources

    def _named_like(self, old: _Side, pattern: str) -> Iterator[list[_Side]]:
        """Yield, for each property whose name may match a pattern, the schemas that the old one applies to it."""
        for name in old.parts("properties"):
            if _matches(pattern, name) is not False:
                yield self._property(old, name)
        same = old.parts("patternProperties").get(pattern)
        if same:
            yield [same]
            return
        yield from ([part] for part in old.parts("patternProperties").values())
        yield list(old.parts("additionalProperties").values())

    def _left_over(self, old: _Side, new: _Side) -> Iterator[list[_Side]]:
        """Yield, for each property that the new schema does not declare, the schemas that the old one applies to it."""
        declared, patterns = new.parts("properties"), new.parts("patternProperties")
        for name in old.parts("properties"):
            if name not in declared and not any(_matches(pattern, name) for pattern in patterns):
                yield self._property(old, name)
        yield from ([part] for pattern, part in old.parts("patternProperties").items() if pattern not in patterns)
        yield list(old.parts("additionalProperties").values())

    def _unevaluated(self, old: _Side, new: _Side) -> Iterator[Fault]:
        """Yield a fault unless the new schema evaluates all the old one does: same composition, no fewer properties."""
        kept = all(self._same_keyword(key, old, new) for key in ("$ref", *IN_PLACE, *_EVALUATING))
        more = old.parts("properties").keys() <= new.parts("properties").keys()
        before = old.parts("unevaluatedProperties").get("")
        if not kept or not more or not before or self._further_down(before, new.parts("unevaluatedProperties")[""]):
            yield _fault(new, "unevaluatedProperties", "may reject what the old version accepts")

    def _array(self, old: _Side, new: _Side) -> Iterator[Fault]:
        (first_old, rest_old), (first_new, rest_new) = _items(old), _items(new)
        for index in range(max(len(first_old), len(first_new))):
            known = first_old[index] if index < len(first_old) else rest_old
            wanted = first_new[index] if index < len(first_new) else rest_new
            if wanted:
                yield from self._of_any([known] if known else [], wanted)
        if rest_new:
            yield from self._of_any([rest_old] if rest_old else [], rest_new)
        if "unevaluatedItems" in new.keywords() and not self._same_schema(old, new):
            yield _fault(new, "unevaluatedItems", "may reject what the old version accepts")

    # --- sameness ---

    def _same_keyword(self, keyword: str, old: _Side, new: _Side) -> bool:
        said, wanted = old.keywords(), new.keywords()
        if (keyword in said) != (keyword in wanted):
            return False
        if keyword not in said:
            return True
        if keyword == "$ref":
            return self._same_target(old, new)
        before, after = old.parts(keyword), new.parts(keyword)
        if not before:
            return not after and same_json(said[keyword], wanted[keyword])
        return (
            before.keys() == after.keys()
            and same_json(_lists(old, keyword), _lists(new, keyword))
            and all(self._same_schema(before[key], after[key]) for key in before)
        )

    def _same_target(self, old: _Side, new: _Side) -> bool:
        before, after = old.target(), new.target()
        if isinstance(before, _Side) and isinstance(after, _Side):
            return self._same_schema(before, after)
        return isinstance(before, str) and before == after

    def _same_schema(self, old: _Side, new: _Side) -> bool:
        key = (old.pointer, new.pointer)
        if key not in self._same:
            earlier = len(self._same)
            self._same[key] = True
            self._depth += 1
            same = self._depth < MAX_DEPTH and self._same_keywords(old, new)
            self._depth -= 1
            if not same:
                # Equalities found meanwhile may depend on this pair.
                while len(self._same) > earlier:
                    self._same.popitem()
            self._same[key] = same
        return self._same[key]

    def _same_keywords(self, old: _Side, new: _Side) -> bool:
        said, wanted = old.keywords(), new.keywords()
        return (
            isinstance(old.schema, bool) == isinstance(new.schema, bool)
            and said.keys() == wanted.keys()
            and all(self._same_keyword(keyword, old, new) for keyword in wanted)
        )


_COMPOSING = {
    "$ref": _Comparison.reference,
    "allOf": _Comparison.all_of,
    "anyOf": _Comparison.any_of,
    "dependentSchemas": _Comparison.dependent_schemas,
    "dependencies": _Comparison.dependencies,
}


def _lists(side: _Side, keyword: str) -> JsonObject:
    """Return the lists of a keyword that may contain lists and schemas, in the form of dependentRequired."""
    value = side.keywords().get(keyword)
    lists: JsonObject = (
        {key: names for key, names in value.items() if isinstance(names, list)} if isinstance(value, dict) else {}
    )
    return {"dependentRequired": lists}


def _items(side: _Side) -> tuple[list[_Side], _Side | None]:
    """Return the schemas of the first items, one by one, and the schema of all others."""
    schema = side.schema
    if not isinstance(schema, dict):
        return [], None
    if side.references.draft >= 2020:
        return list(side.parts("prefixItems").values()), side.parts("items").get("")
    if isinstance(schema.get("items"), list):
        return list(side.parts("items").values()), side.parts("additionalItems").get("")
    return [], side.parts("items").get("")


@lru_cache(maxsize=4096)
def _matches(pattern: str, name: str) -> bool | None:
    """Return whether a name matches a pattern, or None at the limit of backtracking."""
    validator = jsonschema_rs.validator_for({"pattern": bounded(pattern)}, pattern_options=MATCHING, offline=True)
    errors = list(validator.iter_errors(name))
    if not errors:
        return True
    return False if isinstance(errors[0].kind, jsonschema_rs.ValidationErrorKind.Pattern) else None


def _fault(side: _Side, keyword: str, message: str) -> Fault:
    return Fault(pointer=f"{side.pointer}/{keyword}" if keyword else side.pointer, keyword=keyword, message=message)
