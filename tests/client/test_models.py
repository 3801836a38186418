"""Contents as dataclasses and pydantic models, and the faults that are reported."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar, Literal

import pytest
from pydantic import BaseModel

from configsvc.client.models import UnfitError, pointer_of, reader_of


class Color(Enum):
    RED = "red"


@dataclass
class Inner:
    port: int


@dataclass
class Everything:
    text: str
    number: float
    whole: int
    flag: bool
    nothing: None
    maybe: int | None
    choice: Literal["a", 1]
    color: Color
    inner: Inner
    inners: list[Inner]
    pair: tuple[int, str]
    many: tuple[int, ...]
    sequence: Sequence[str]
    members: dict[str, Inner]
    mapping: Mapping[str, int]
    anything: Any
    by_default: list[int] = field(default_factory=list[int])


GOOD: dict[str, Any] = {
    "text": "x",
    "number": 3,
    "whole": 4,
    "flag": True,
    "nothing": None,
    "maybe": None,
    "choice": "a",
    "color": "red",
    "inner": {"port": 1},
    "inners": [{"port": 2}],
    "pair": [1, "x"],
    "many": [1, 2],
    "sequence": ["x"],
    "members": {"a": {"port": 3}},
    "mapping": {"a": 1},
    "anything": [{}],
}


def faults(model: type[Any], content: Any) -> dict[str, str]:
    with pytest.raises(UnfitError) as caught:
        reader_of(model)(json.dumps(content))
    return {fault.pointer: fault.message for fault in caught.value.faults}


def test_a_dataclass_has_fields_of_every_kind_that_json_has() -> None:
    value = reader_of(Everything)(json.dumps(GOOD | {"unknown": 1}))
    assert (value.number, type(value.number)) == (3.0, float)
    assert (value.inner, value.inners, value.members) == (Inner(1), [Inner(2)], {"a": Inner(3)})
    assert (value.pair, value.many, value.color, value.by_default) == ((1, "x"), (1, 2), Color.RED, [])


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"text": 1}, "/text"),
        ({"number": True}, "/number"),
        ({"whole": 1.5}, "/whole"),
        ({"flag": 1}, "/flag"),
        ({"nothing": 0}, "/nothing"),
        ({"maybe": "x"}, "/maybe"),
        ({"choice": True}, "/choice"),
        ({"color": "blue"}, "/color"),
        ({"inner": []}, "/inner"),
        ({"inners": [{"port": 1}, {"port": "x"}]}, "/inners/1/port"),
        ({"pair": [1]}, "/pair"),
        ({"pair": [1, 2]}, "/pair/1"),
        ({"many": [1, "x"]}, "/many/1"),
        ({"sequence": "x"}, "/sequence"),
        ({"members": {"a/b~c": {}}}, "/members/a~1b~0c/port"),
        ({"mapping": {"a": None}}, "/mapping/a"),
    ],
)
def test_a_fault_is_named_by_its_json_pointer(change: dict[str, Any], pointer: str) -> None:
    assert list(faults(Everything, GOOD | change)) == [pointer]


def test_all_faults_of_an_object_are_named() -> None:
    assert faults(Everything, {name: value for name, value in GOOD.items() if name != "text"} | {"whole": ""}) == {
        "/text": "is missing",
        "/whole": "must be a whole number",
    }


def test_the_value_error_of_a_dataclass_is_a_fault() -> None:
    @dataclass
    class Range:
        low: int
        high: int

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low is above high")

    assert faults(Range, {"low": 2, "high": 1}) == {"": "low is above high"}


def test_a_type_that_json_does_not_have_is_refused_when_it_is_bound() -> None:
    @dataclass
    class Dated:
        at: list[datetime]

    for model in (Dated, dict, int):
        with pytest.raises(TypeError, match="pydantic model"):
            reader_of(model)


def test_a_fault_of_a_pydantic_model_is_named_by_its_json_pointer() -> None:
    class Model(BaseModel):
        ports: dict[str, list[int]]

    assert list(faults(Model, {"ports": {"a/b": [1, "x"]}})) == ["/ports/a~1b/1"]
    assert pointer_of() == ""


def test_a_pointer_of_a_pydantic_model_ends_where_the_content_does() -> None:
    class Inner(BaseModel):
        port: int

    class Model(BaseModel):
        union: int | bool | None = None
        inner: Inner | int | None = None
        keys: dict[int, str] = {}

    assert set(faults(Model, {"union": {"a": 1}})) == {"/union"}
    assert set(faults(Model, {"inner": {}})) == {"/inner"}
    assert set(faults(Model, {"keys": {"a": "x"}})) == {"/keys/a"}
    assert set(faults(Inner, {})) == {"/port"}


@dataclass
class Node:
    children: "list[Node]" = field(default_factory=list["Node"])


def test_a_dataclass_can_have_itself_in_a_field() -> None:
    assert reader_of(Node)('{"children": [{}]}') == Node([Node()])


def test_only_fields_that_a_content_sets_need_a_type_of_json() -> None:
    @dataclass
    class Model:
        shared: ClassVar[datetime]
        n: int
        derived: object = field(init=False, default=None)

    assert reader_of(Model)('{"n": 1}') == Model(1)


def test_the_keys_of_objects_are_text() -> None:
    @dataclass
    class Model:
        ports: dict[int, str]

    with pytest.raises(TypeError, match="pydantic model"):
        reader_of(Model)
