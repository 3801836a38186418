"""Strategies that generate schemas and documents from few names and values, so that they match often."""

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from configsvc.domain.jsonschema.keywords import DRAFT_URIS, draft_uri

Schema = Any

# Schemas for each property. Thousands take an hour, and need pytest's --timeout 0.
EXAMPLES = int(os.environ.get("CONFIGSVC_EXAMPLES", "20"))

# A document of few parts is made of many choices, and many documents accept nothing.
unhurried = settings(
    suppress_health_check=(HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large),
    deadline=None,
    max_examples=EXAMPLES,
)

NAMES = ("a", "b", "ab", "c")
PATTERNS = ("^a", "b$", "c")
TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")

names = st.sampled_from(NAMES)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 4),
    st.sampled_from([0.5, 1.5, -0.5]),
    st.sampled_from(["", "a", "bc", "abc"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(names, values, max_size=4)

drafts = st.sampled_from(sorted(DRAFT_URIS.values()))


def documents(draft: int, *, recursive: bool = True) -> st.SearchStrategy[dict[str, Any]]:
    """Generate well-formed documents of a draft, with definitions x and y: x refers to y and, if recursive, each to
    all.
    """
    definitions = "$defs" if draft >= 2019 else "definitions"
    return st.builds(
        lambda root, x, y: {**root, "$schema": draft_uri(draft), definitions: {"x": x, "y": y}},
        schemas(draft),
        schemas(draft, "xy" if recursive else "y"),
        schemas(draft, "xy" if recursive else ""),
    )


def schemas(draft: int, targets: str = "xy") -> st.SearchStrategy[dict[str, Any]]:
    """Generate object schemas of a draft that refer to definitions."""
    leaves = _leaves(draft)
    definitions = "$defs" if draft >= 2019 else "definitions"
    base = st.fixed_dictionaries({}, optional=leaves)
    if targets:
        base = base | st.builds(lambda name: {"$ref": f"#/{definitions}/{name}"}, st.sampled_from(targets))
    return st.recursive(
        base, lambda inner: st.fixed_dictionaries({}, optional=_chosen(draft, inner, leaves)), max_leaves=5
    )


def _leaves(draft: int) -> dict[str, Any]:
    numbers = st.integers(-1, 3)
    sizes = st.integers(0, 3)
    leaves: dict[str, Any] = {
        "type": st.sampled_from(TYPES) | st.lists(st.sampled_from(TYPES), min_size=1, max_size=2, unique=True),
        "enum": st.lists(scalars, min_size=1, max_size=3, unique_by=repr),
        "minLength": sizes,
        "maxLength": sizes,
        "pattern": st.sampled_from(PATTERNS),
        "minItems": sizes,
        "maxItems": sizes,
        "uniqueItems": st.booleans(),
        "minProperties": sizes,
        "maxProperties": sizes,
        "required": st.lists(names, min_size=1, max_size=2, unique=True),
        "multipleOf": st.sampled_from([1, 2, 0.5]),
        "minimum": numbers,
        "maximum": numbers,
    }
    if draft >= 6:
        leaves |= {"exclusiveMinimum": numbers, "exclusiveMaximum": numbers, "const": scalars}
    if draft >= 2019:
        leaves["dependentRequired"] = st.dictionaries(names, st.lists(names, max_size=2, unique=True), max_size=2)
    return leaves


def _chosen(draft: int, inner: st.SearchStrategy[Schema], leaves: dict[str, Any]) -> dict[str, Any]:
    schema = inner | st.booleans() if draft >= 6 else inner
    several = st.lists(schema, min_size=1, max_size=2)
    keywords: dict[str, Any] = {
        "type": leaves["type"],
        "required": leaves["required"],
        "properties": st.dictionaries(names, schema, max_size=3),
        "patternProperties": st.dictionaries(st.sampled_from(PATTERNS), schema, max_size=2),
        "additionalProperties": inner | st.booleans(),
        "items": inner,
        "allOf": several,
        "anyOf": several,
        "oneOf": several,
        "not": schema,
    }
    if draft >= 6:
        keywords |= {"contains": schema, "propertyNames": schema}
    if draft >= 7:
        keywords |= {"if": schema, "then": schema, "else": schema}
    if draft < 2019:
        keywords["dependencies"] = st.dictionaries(
            names, schema | st.lists(names, min_size=1, max_size=2, unique=True), max_size=2
        )
    else:
        keywords |= {
            "dependentSchemas": st.dictionaries(names, schema, max_size=2),
            "unevaluatedProperties": schema,
            "unevaluatedItems": schema,
        }
    keywords |= (
        {"prefixItems": several}
        if draft >= 2020
        else {"items": inner | several, "additionalItems": inner | st.booleans()}
    )
    return keywords
