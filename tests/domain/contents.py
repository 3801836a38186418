"""Contents of configurations: strategies that generate them, and a comparison of their texts."""

import json
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from configsvc.domain.content import MAX_NUMBER, JsonObject, JsonValue

keys = st.text(max_size=5, alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
texts = st.text(max_size=10, alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
integers = st.integers(-MAX_NUMBER, MAX_NUMBER)
floats = st.floats(-MAX_NUMBER, MAX_NUMBER, allow_nan=False)
scalars: st.SearchStrategy[JsonValue] = st.one_of(st.none(), st.booleans(), integers, floats, texts)
values: st.SearchStrategy[JsonValue] = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)
objects: st.SearchStrategy[JsonObject] = st.dictionaries(keys, values, max_size=4)
# Few keys and few values, so that two of them have much in common.
small_scalars: st.SearchStrategy[JsonValue] = st.sampled_from([None, True, False, 0, 1, "", "1", 1.5])
small_values: st.SearchStrategy[JsonValue] = st.recursive(
    small_scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("ab"), inner, max_size=2)),
    max_leaves=6,
)
small_objects: st.SearchStrategy[JsonObject] = st.dictionaries(st.sampled_from("ab"), small_values, max_size=2)


def exact(text: str) -> Any:
    """Return the JSON of a text, with its numbers as they are written."""
    return json.loads(text, parse_int=Decimal, parse_float=Decimal)
