"""The merge of three states of a content."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from configsvc.cli.differences import same_value
from configsvc.cli.sync.comparing import merged

CONTENTS: Any = st.recursive(
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 2), max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner | st.lists(st.integers(0, 2), max_size=2), max_size=3),
    max_leaves=6,
)


@given(CONTENTS, CONTENTS, CONTENTS)
def test_a_merge_has_the_changes_of_both_sides_and_is_the_same_a_second_time(
    applied: Any, in_file: Any, live: Any
) -> None:
    assert same_value(merged(applied, in_file, applied), in_file)
    assert same_value(merged(applied, applied, live), live)
    assert same_value(merged(applied, live, live), live)
    once = merged(applied, in_file, live)
    assert same_value(merged(applied, once, live), once)
