"""Explanations why a configuration does not satisfy its schema: every fault, without values of the configuration.

jsonschema-rs lists errors too, but it collects all before it returns the first, copies the values into them, and its
time doubles with each level of a recursive schema. Its verdicts are quick for any schema. So this module walks the
schema, each node once per value, and lets jsonschema-rs evaluate single keywords.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

import jsonschema_rs

from configsvc.domain.content import JsonObject, JsonValue, escaped
from configsvc.domain.jsonschema.compiled import CompiledSchemas
from configsvc.domain.jsonschema.faults import MAX_FAULTS, Fault, pointer_of, size_of
from configsvc.domain.jsonschema.keywords import subschemas
from configsvc.domain.jsonschema.linked import Node
from configsvc.domain.jsonschema.messages import LEAVES, MAX_SHOWN, PATTERN_LIMIT, describe, shortened
from configsvc.domain.sizes import first_listed

MAX_STEPS = 20_000
# Each level takes five frames of Python's stack.
MAX_DEPTH = 80
# From this number of members on, it is faster to find the rejected ones first.
MANY = 32
# A reason may contain other reasons.
MAX_REASON_LENGTH = 160


class Explanation:
    """The explanation of one rejection. After MAX_STEPS it may lack faults, but it always has one."""

    def __init__(self, schemas: CompiledSchemas) -> None:
        self._schemas = schemas
        self._steps = 0
        self._depth = 0
        self._known: dict[tuple[Node, str], tuple[Fault, ...]] = {}
        self._validators: dict[tuple[Node, str], jsonschema_rs.Validator] = {}

    def faults(self, config: JsonObject) -> tuple[Fault, ...]:
        found = dict.fromkeys(self._at(self._schemas.root, config, ""))
        return first_listed(islice(found, MAX_FAULTS), size_of) or (self._first(config),)

    def _first(self, config: JsonObject) -> Fault:
        """Return the first error of jsonschema-rs, for what the walk does not find."""
        try:
            self._schemas.compiled.validate(config)
        except jsonschema_rs.ValidationError as error:
            limit = isinstance(error.kind, jsonschema_rs.ValidationErrorKind.BacktrackLimitExceeded)
            message = PATTERN_LIMIT if limit else f'does not satisfy "{error.kind.name}"'
            return Fault(pointer=pointer_of(error.instance_path), keyword=error.kind.name, message=message)
        raise AssertionError("a rejected document is now accepted")

    def _at(self, node: Node, value: JsonValue, pointer: str) -> tuple[Fault, ...]:
        """Return the faults of a value by the schema at a node."""
        key = (node, pointer)
        if key not in self._known:
            self._known[key] = ()
            self._steps += 1
            self._depth += 1
            if self._depth > MAX_DEPTH:
                self._known[key] = tuple(self._in_one(node, value, pointer))
            elif self._steps <= MAX_STEPS:
                self._known[key] = tuple(islice(self._found(node, value, pointer), MAX_FAULTS))
            self._depth -= 1
        return self._known[key]

    def _in_one(self, node: Node, value: JsonValue, pointer: str) -> Iterator[Fault]:
        """Yield one fault for all faults of a value, without walking the schema."""
        if not self._accepts(node, value):
            yield Fault(pointer=pointer, keyword="$ref", message="does not satisfy the schema that applies here")

    def _found(self, node: Node, value: JsonValue, pointer: str) -> Iterator[Fault]:
        schema = self._schemas.schema(node)
        if schema is False:
            yield Fault(pointer=pointer, keyword="false", message="is not allowed here")
        if not isinstance(schema, dict):
            return
        reference = schema.get("$ref")
        if isinstance(reference, str):
            yield from self._at(self._schemas.target(reference), value, pointer)
            if self._schemas.draft(node) <= 7:
                return
        any_fault = False
        for fault in self._by_keywords(node, schema, value, pointer):
            any_fault = True
            yield fault
        if not any_fault:
            yield from self._unevaluated(node, schema, value, pointer)

    def _by_keywords(self, node: Node, schema: JsonObject, value: JsonValue, pointer: str) -> Iterator[Fault]:
        yield from self._leaves(node, schema, value, pointer)
        yield from self._composed(node, schema, value, pointer)
        if isinstance(value, dict):
            yield from self._properties(node, schema, value, pointer)
        elif isinstance(value, list):
            yield from self._items(node, schema, value, pointer)

    # --- keywords without subschemas ---

    def _leaves(self, node: Node, schema: JsonObject, value: JsonValue, pointer: str) -> Iterator[Fault]:
        for keyword in LEAVES:
            if keyword not in schema:
                continue
            alone = {key: schema[key] for key in (keyword, *LEAVES[keyword]) if key in schema}
            validator = self._validator(node, keyword, alone)
            if not validator.is_valid(value):
                yield from describe(keyword, schema, value, pointer, limit=_meets_limit(validator, keyword, value))

    def _validator(self, node: Node, name: str, schema: JsonObject) -> jsonschema_rs.Validator:
        key = (node, name)
        if key not in self._validators:
            self._validators[key] = self._schemas.validator_of(node, schema)
        return self._validators[key]

    def _accepts(self, node: Node, value: JsonValue) -> bool:
        if (node, "") not in self._validators:
            self._validators[node, ""] = self._schemas.validator(node)
        return self._validators[node, ""].is_valid(value)

    # --- subschemas for the value itself ---

    def _composed(self, node: Node, schema: JsonObject, value: JsonValue, pointer: str) -> Iterator[Fault]:
        for part in self._parts(node, schema, "allOf"):
            yield from self._at(part, value, pointer)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                yield from self._alternatives(keyword, list(self._parts(node, schema, keyword)), value, pointer)
        yield from self._conditions(node, schema, value, pointer)
        if isinstance(value, dict):
            yield from self._dependent(node, schema, value, pointer)

    def _conditions(self, node: Node, schema: JsonObject, value: JsonValue, pointer: str) -> Iterator[Fault]:
        for part in self._parts(node, schema, "not"):
            if self._accepts(part, value):
                yield Fault(pointer=pointer, keyword="not", message='is excluded by "not"')
        for part in self._parts(node, schema, "if"):
            branch = "then" if self._accepts(part, value) else "else"
            for then in self._parts(node, schema, branch):
                yield from self._at(then, value, pointer)

    def _parts(self, node: Node, schema: JsonObject, *keywords: str) -> Iterator[Node]:
        for part in subschemas(schema, self._schemas.draft(node), node.pointer, keywords):
            yield Node(node.uri, part.pointer)

    def _alternatives(self, keyword: str, parts: list[Node], value: JsonValue, pointer: str) -> Iterator[Fault]:
        explained = [self._at(part, value, pointer) for part in parts]
        satisfied = sum(not faults for faults in explained)
        if keyword == "oneOf" and satisfied > 1:
            message = f"satisfies {satisfied} alternatives of oneOf: exactly one is required"
            yield Fault(pointer=pointer, keyword=keyword, message=message)
        if satisfied:
            return
        meant: list[tuple[Fault, ...]] = [
            faults for faults in explained if not any(_is_other_thing(fault, pointer) for fault in faults)
        ]
        if len(meant) == 1:
            yield from meant[0]
            return
        reasons = "; or ".join(_reason(faults, pointer) for faults in (meant or explained)[:3] if faults)
        message = f"satisfies none of the {len(parts)} alternatives of {keyword}: {reasons}"
        yield Fault(pointer=pointer, keyword=keyword, message=message)

    def _dependent(self, node: Node, schema: JsonObject, value: JsonObject, pointer: str) -> Iterator[Fault]:
        for part in subschemas(schema, self._schemas.draft(node), node.pointer, ("dependentSchemas", "dependencies")):
            if part.key in value:
                yield from self._at(Node(node.uri, part.pointer), value, pointer)

    # --- members ---

    def _properties(self, node: Node, schema: JsonObject, value: JsonObject, pointer: str) -> Iterator[Fault]:
        rest = dict(value)
        for part in subschemas(schema, self._schemas.draft(node), node.pointer, ("properties",)):
            if part.key in value:
                rest.pop(part.key, None)
                yield from self._at(Node(node.uri, part.pointer), value[part.key], f"{pointer}/{escaped(part.key)}")
        for part in subschemas(schema, self._schemas.draft(node), node.pointer, ("patternProperties",)):
            validator = self._validator(node, f"patternProperties/{part.key}", {"pattern": part.key})
            matched = {key: member for key, member in value.items() if validator.is_valid(key)}
            rest = {key: member for key, member in rest.items() if key not in matched}
            yield from self._members(Node(node.uri, part.pointer), matched.items(), pointer)
        yield from self._additional(node, schema, rest, pointer)
        yield from self._names(node, schema, value, pointer)

    def _additional(self, node: Node, schema: JsonObject, rest: JsonObject, pointer: str) -> Iterator[Fault]:
        for part in self._parts(node, schema, "additionalProperties"):
            if self._schemas.schema(part) is False:
                yield from _unexpected(rest, "additionalProperties", pointer)
            else:
                yield from self._members(part, rest.items(), pointer)

    def _names(self, node: Node, schema: JsonObject, value: JsonObject, pointer: str) -> Iterator[Fault]:
        for part in self._parts(node, schema, "propertyNames"):
            for name in value:
                if not self._accepts(part, name):
                    message = (
                        f'has the property name "{shortened(name, MAX_SHOWN)}", which propertyNames does not allow'
                    )
                    yield Fault(pointer=pointer, keyword="propertyNames", message=message)

    def _items(self, node: Node, schema: JsonObject, value: list[JsonValue], pointer: str) -> Iterator[Fault]:
        draft = self._schemas.draft(node)
        tuple_keyword = "prefixItems" if draft >= 2020 else "items"
        rest_keyword = "items" if draft >= 2020 or isinstance(schema.get("items"), dict | bool) else "additionalItems"
        each = list(self._parts(node, schema, tuple_keyword)) if isinstance(schema.get(tuple_keyword), list) else []
        for index, part in enumerate(each[: len(value)]):
            yield from self._at(part, value[index], f"{pointer}/{index}")
        for part in self._parts(node, schema, rest_keyword):
            rest = [(str(index), member) for index, member in enumerate(value)][len(each) :]
            yield from self._members(part, rest, pointer)
        if "contains" in schema and draft >= 6:
            yield from self._contains(node, schema, value, pointer)

    def _contains(self, node: Node, schema: JsonObject, value: list[JsonValue], pointer: str) -> Iterator[Fault]:
        alone = {key: schema[key] for key in ("contains", "minContains", "maxContains") if key in schema}
        if not self._validator(node, "contains", alone).is_valid(value):
            least, most = schema.get("minContains", 1), schema.get("maxContains", "any number")
            message = f"must have from {least} to {most} items that satisfy contains"
            yield Fault(pointer=pointer, keyword="contains", message=message)

    def _members(self, node: Node, members: Iterable[tuple[str, JsonValue]], pointer: str) -> Iterator[Fault]:
        members = list(members)
        if len(members) >= MANY:
            members = [(key, member) for key, member in members if not self._accepts(node, member)]
        for key, member in members[:MAX_FAULTS]:
            yield from self._at(node, member, f"{pointer}/{escaped(key)}")

    # --- unevaluated properties and items ---

    def _unevaluated(self, node: Node, schema: JsonObject, value: JsonValue, pointer: str) -> Iterator[Fault]:
        """Yield unevaluated members. The rest of the schema is satisfied, so all errors are about them."""
        if not ("unevaluatedProperties" in schema or "unevaluatedItems" in schema) or self._schemas.draft(node) < 2019:
            return
        for error in self._schemas.validator(node).iter_errors(value):
            kind = error.kind
            if isinstance(kind, jsonschema_rs.ValidationErrorKind.UnevaluatedProperties) and not error.instance_path:
                yield from _unexpected(kind.unexpected, kind.name, pointer)
            elif not error.instance_path:
                yield Fault(pointer=pointer, keyword=kind.name, message=f'does not satisfy "{kind.name}"')


def _meets_limit(validator: jsonschema_rs.Validator, keyword: str, value: JsonValue) -> bool:
    if keyword != "pattern":
        return False
    errors = list(validator.iter_errors(value))
    return isinstance(errors[0].kind, jsonschema_rs.ValidationErrorKind.BacktrackLimitExceeded)


def _unexpected(names: Iterable[str], keyword: str, pointer: str) -> Iterator[Fault]:
    for name in islice(names, MAX_FAULTS):
        yield Fault(
            pointer=pointer,
            keyword=keyword,
            message=f'has the property "{shortened(name, MAX_SHOWN)}", which is not declared',
        )


def _is_other_thing(fault: Fault, pointer: str) -> bool:
    """Return whether a fault shows that its alternative was not the intended one."""
    return fault.keyword in {"const", "enum"} or (fault.pointer == pointer and fault.keyword in {"type", "false"})


def _reason(faults: tuple[Fault, ...], pointer: str) -> str:
    first, *others = faults
    where = first.pointer.removeprefix(pointer)
    more = f" (and {len(others)} more)" if others else ""
    return f"{where} {shortened(first.message, MAX_REASON_LENGTH)}{more}".strip()
