"""Selectors by names: of watches, preconditions and migrations."""

from typing import Any

import pytest

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.schema_pb2 import SchemaVersionRef
from configapi.v1.selector_pb2 import ConfigurationSelector
from configsvc.domain.errors import Violations
from configsvc.domain.models import NameRef
from configsvc.domain.selection import Selector
from configsvc.wire.selectors import MAX_SELECTOR_NAMES, name_selector

OTHER_PARTS: dict[str, Any] = {
    "schema": SchemaVersionRef(schema="web"),
    "contains": {},
    "contains_json": "{}",
    "json_path": "$.a > 1",
}
PARTS = {"application", "name_prefix", "names"}


def parsed(message: ConfigurationSelector) -> tuple[Selector, dict[str, str]]:
    violations = Violations()
    selector = name_selector(message, "selectors[0]", "a watch", violations)
    return selector, {fault.field: fault.description for fault in violations.found}


def test_a_selector_by_names_has_each_of_its_names_once() -> None:
    message = ConfigurationSelector(application=ApplicationRef(name="shop"), name_prefix="w", names=["web", "web", "w"])
    expected = Selector(application=NameRef(name="shop"), name_prefix="w", names=frozenset({"web", "w"}))
    assert parsed(message) == (expected, {})


@pytest.mark.parametrize("part", sorted(set(ConfigurationSelector.DESCRIPTOR.fields_by_name) - PARTS))
def test_every_other_part_of_a_selector_is_refused_where_only_names_select(part: str) -> None:
    _, faults = parsed(ConfigurationSelector(**{part: OTHER_PARTS[part]}))
    assert list(faults) == [f"selectors[0].{part}"]
    assert "a watch" in faults[f"selectors[0].{part}"]


def test_faults_of_a_selector_by_names_have_their_paths() -> None:
    message = ConfigurationSelector(application=ApplicationRef(name="a b"), name_prefix="a b", names=["a", ""])
    assert set(parsed(message)[1]) == {
        "selectors[0].application.name",
        "selectors[0].name_prefix",
        "selectors[0].names[1]",
    }
    many = ConfigurationSelector(names=["a"] * (MAX_SELECTOR_NAMES + 1))
    assert list(parsed(many)[1]) == ["selectors[0].names"]
