"""Upper bounds of the work of validating a configuration, known before it is done.

A schema applies to a value by the value's key, or because the value is an element of an array or any member of an
object. Each schema is weighed once for each of these locations, and the values of a configuration are counted by them.
A step is about 20 ns; the weights are the worst cases measured of jsonschema-rs, which holds Python's lock until it is
done. The bounds are there for jsonschema-rs only: if a new version is slower somewhere, the weights must follow.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from configsvc.domain.content import JsonObject, JsonValue
from configsvc.domain.jsonschema.compiled import Applied, CompiledSchemas, Walk
from configsvc.domain.jsonschema.linked import Node
from configsvc.domain.jsonschema.patterns import steps_per_character

# To compare two values part by part; lists of strings are looked up instead.
COMPARED_STEPS = 40
UNIQUE_STEPS = 20
NAME_STEPS = 3
PATTERN_STEPS = 15
FORMAT_STEPS = 2
INTERNATIONAL_FORMAT_STEPS = 10
_CONTENT = ("contentEncoding", "contentMediaType")
_UNEVALUATED = ("unevaluatedProperties", "unevaluatedItems")


@dataclass(slots=True)
class Weight:
    """Steps for a value, and for each character of one."""

    value: int = 0
    character: int = 0

    def add(self, other: "Weight", times: int = 1) -> None:
        """Add another weight, multiplied by times."""
        self.value += other.value * times
        self.character += other.character * times

    def of(self, values: int, characters: int) -> int:
        """Return the steps for a number of values with a number of characters."""
        return self.value * values + self.character * characters


@dataclass(slots=True)
class Counts:
    """The numbers of values of a configuration, and of their characters, by location. largest: members or elements of
    the largest value.
    """

    named: Counter[str] = field(default_factory=Counter[str])
    named_characters: Counter[str] = field(default_factory=Counter[str])
    elements: int = 0
    element_characters: int = 0
    names: int = 0
    largest: int = 0


@dataclass(frozen=True)
class Work:
    """The weights of a schema by location: the root, members by name, any member, elements, names of members. levels:
    nesting depth of schemas with unevaluatedProperties or unevaluatedItems, recursion aside: their siblings are tried
    twice for each level, and in the end for every member.
    """

    root: Weight = field(default_factory=Weight)
    named: dict[str, Weight] = field(default_factory=dict[str, Weight])
    members: Weight = field(default_factory=Weight)
    elements: Weight = field(default_factory=Weight)
    names: Weight = field(default_factory=Weight)
    levels: int = 0

    @cached_property
    def all(self) -> Weight:
        """The weight of all locations together."""
        total = Weight()
        for weight in (self.root, self.members, self.elements, self.names, *self.named.values()):
            total.add(weight)
        return total

    def quick_bound(self, text: str) -> int:
        """Return a bound of the steps from the JSON text alone, as if every value were in every location."""
        values = 1 + text.count(",") + text.count("[") + text.count("{")
        return (self.all.value * values + self.all.character * len(text)) * self._times(values)

    def bound(self, config: JsonObject) -> int:
        """Return a closer bound of the steps, from each value in its locations."""
        counts = counts_of(config)
        steps = self.root.value + self.elements.of(counts.elements, counts.element_characters)
        steps += self.members.of(counts.named.total(), counts.named_characters.total())
        steps += self.names.of(counts.named.total(), counts.names)
        for name, count in counts.named.items():
            if weight := self.named.get(name):
                steps += weight.of(count, counts.named_characters[name])
        return steps * self._times(counts.largest)

    def exceeds(self, steps: int, config: JsonObject, text: str) -> bool:
        """Return whether a configuration, also given as JSON text, may need more than this number of steps."""
        return self.quick_bound(text) > steps and self.bound(config) > steps

    def _times(self, members: int) -> int:
        return (members + 1) * 2**self.levels if self.levels else 1


def counts_of(config: JsonObject) -> Counts:
    """Count the values of a configuration by location."""
    counts = Counts()
    waiting: list[JsonObject | list[JsonValue]] = [config]
    while waiting:
        value = waiting.pop()
        counts.largest = max(counts.largest, len(value))
        if isinstance(value, dict):
            counts.named.update(value.keys())
            for name, member in value.items():
                counts.names += len(name)
                if isinstance(member, str):
                    counts.named_characters[name] += len(member)
        else:
            counts.elements += len(value)
            counts.element_characters += sum(len(element) for element in value if isinstance(element, str))
        waiting += [
            part for part in (value.values() if isinstance(value, dict) else value) if isinstance(part, dict | list)
        ]
    return counts


def work_of(schemas: CompiledSchemas) -> Work:
    """Weigh a schema with everything that it refers to."""
    walk = schemas.walk()
    here = _here(schemas, walk)
    work = Work(root=here[schemas.root], levels=_levels(schemas, walk))
    paths = walk.paths()
    for node in walk.order:
        schema = schemas.schema(node)
        for applied in walk.applied[node]:
            _add_location(work, applied, here[applied.node], paths[node])
        if isinstance(schema, dict):
            _add_keywords(work, schema, paths[node])
    return work


def _here(schemas: CompiledSchemas, walk: Walk) -> dict[Node, Weight]:
    """Return the weight of each schema for the value itself, with what it applies to the same value."""
    here: dict[Node, Weight] = {}
    for node in walk.order:
        here[node] = _own(schemas.schema(node))
        for applied in walk.applied[node]:
            if not applied.keyword and not walk.is_return(node, applied.node):
                here[node].add(here[applied.node])
    return here


def _add_location(work: Work, applied: Applied, weight: Weight, times: int) -> None:
    match applied.keyword:
        case "properties":
            work.named.setdefault(applied.key, Weight()).add(weight, times)
        case "propertyNames":
            work.names.add(weight, times)
        case "patternProperties" | "additionalProperties" | "unevaluatedProperties":
            work.members.add(weight, times)
        case "":
            pass
        case _:
            work.elements.add(weight, times)


def _add_keywords(work: Work, schema: JsonObject, times: int) -> None:
    """Add the weights of keywords that check members without a schema of their own."""
    if schema.get("uniqueItems"):
        work.elements.value += UNIQUE_STEPS * times
        work.members.value += UNIQUE_STEPS * times
    patterns = schema.get("patternProperties")
    for pattern in patterns if isinstance(patterns, dict) else ():
        work.names.value += PATTERN_STEPS * times
        work.names.character += steps_per_character(pattern) * times


def _levels(schemas: CompiledSchemas, walk: Walk) -> int:
    levels: dict[Node, int] = {}
    deepest = 0
    for node in walk.order:
        schema = schemas.schema(node)
        own = isinstance(schema, dict) and any(keyword in schema for keyword in _UNEVALUATED)
        inner = max((levels.get(applied.node, 0) for applied in walk.applied[node]), default=0)
        levels[node] = own + inner
        deepest = max(deepest, levels[node])
    return deepest


def _own(schema: JsonValue) -> Weight:
    if not isinstance(schema, dict):
        return Weight(1)
    weight = Weight(1 + len(schema) + NAME_STEPS * sum(_lengths(schema)))
    if "enum" in schema:
        weight.value += _compared(schema["enum"])
    if "const" in schema:
        weight.value += _compared([schema["const"]])
    pattern, name = schema.get("pattern"), schema.get("format")
    if isinstance(pattern, str):
        weight.add(Weight(PATTERN_STEPS, steps_per_character(pattern)))
    if isinstance(name, str):
        is_international = name.startswith(("idn-", "iri"))
        weight.character += INTERNATIONAL_FORMAT_STEPS if is_international else FORMAT_STEPS
    weight.character += FORMAT_STEPS * sum(keyword in schema for keyword in _CONTENT)
    return weight


def _lengths(schema: JsonObject) -> Iterator[int]:
    """Yield the lengths of the lists of names that an object is searched for."""
    for keyword in ("required", "properties"):
        yield _length(schema.get(keyword))
    for keyword in ("dependentRequired", "dependencies"):
        names = schema.get(keyword)
        if isinstance(names, dict):
            yield len(names) + sum(map(_length, names.values()))


def _length(value: JsonValue) -> int:
    return len(value) if isinstance(value, list | dict) else 0


def _compared(values: JsonValue) -> int:
    """Return the steps to compare a value with each of these."""
    if not isinstance(values, list) or all(isinstance(value, str) for value in values):
        return 1
    return COMPARED_STEPS * _size(values)


def _size(values: Iterable[JsonValue]) -> int:
    size = 0
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        size += 1
        if isinstance(value, list | dict):
            waiting += value.values() if isinstance(value, dict) else value
    return size
