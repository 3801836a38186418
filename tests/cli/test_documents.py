"""Documents of users: exact JSON, and YAML that nobody can misread."""

from decimal import Decimal
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from configsvc.cli.differences import differences
from configsvc.cli.documents import compact_json, parse_document, parse_json, pretty_json, yaml_text
from configsvc.cli.failures import CliError, ExitCode
from configsvc.cli.strict_yaml import parse_yaml

NUMBERS = st.integers(-(10**40), 10**40) | st.decimals(allow_nan=False, allow_infinity=False, places=3)
TEXTS = st.text() | st.text(alphabet="01.:-_xeE+yesnoYNtruef \n#'\"{}[],&*!|>%@`~=<", max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: 2001-12-14", "1:4"),
        ("a: 2001-12-14T21:59:43Z", "1:4"),
        ("a:\n  b: 017", "2:6"),
        ("a: 0o17", "1:4"),
        ("a: 0x1F", "1:4"),
        ("a: .inf", "1:4"),
        ("a: -.INF", "1:4"),
        ("a: .nan", "1:4"),
        ("a: 1_000", "1:4"),
        ("a: +1", "1:4"),
        ("a: 190:20:30", "1:4"),
        ("a: yes", "1:4"),
        ("a: [on, off]", "1:5"),
        ("a: True", "1:4"),
        ("a: NULL", "1:4"),
        ("a: 1\nb: 2\na: 3", "3:1"),
        ('{"a": 1,\n "a": 2}', "2:2"),
        ("a: &anchor 1\nb: *anchor", "1:4"),
        ("a: &a [1]\nb: &b [*a, *a]", "1:4"),
        ("a: *missing", "1:4"),
        ("<<: {a: 1}", "1:1"),
        ("a: !!python/object:os.system x", "1:4"),
        ("a: !mine x", "1:4"),
        ("1: a", "1:1"),
        ("null: a", "1:1"),
        ("a: 1\n---\nb: 2", "2:1"),
        ("a: [1,", "1:7"),
        ("a: 1e99999999999999999999", "1:4"),
        ('{"a": 1e99999999999999999999}', "1:7"),
        (r'{"a": "\ud83d"}', "1:7"),
    ],
)
def test_yaml_that_could_be_misread_is_refused_with_line_and_column(text: str, place: str) -> None:
    with pytest.raises(CliError) as refused:
        parse_document(text, "file.yaml")
    assert str(refused.value).startswith(f"file.yaml:{place}: ")
    assert refused.value.code is ExitCode.INVALID


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 017a", {"a": "017a"}),
        ("a: '017'", {"a": "017"}),
        ("a: 127.0.0.1", {"a": "127.0.0.1"}),
        ("a: 10s", {"a": "10s"}),
        ("a: ~\nb:\nc: null", {"a": None, "b": None, "c": None}),
        ("a: true", {"a": True}),
        ("n: 1e3", {"n": Decimal("1e3")}),
        ("a: 123456789012345678901234567890", {"a": 123456789012345678901234567890}),
        ("a: 0.1000000000000000055511151231257827", {"a": Decimal("0.1000000000000000055511151231257827")}),
        ('# a comment\n{"a": 1, # another\n "b": [2]}', {"a": 1, "b": [2]}),
        ("b: 1\na: 2", {"b": 1, "a": 2}),
        (r'{"a": "\ud83d\ude00"}', {"a": "😀"}),
        ('# a comment\n{"a": "\\ud83d\\ude00"}', {"a": "😀"}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
    ],
)
def test_yaml_that_has_one_meaning_is_taken_exactly(text: str, value: object) -> None:
    found = parse_document(text, "file.yaml")
    assert found == value
    assert list(found) == list(value)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        '{"a": Infinity}',
        '{"a": 1} x',
        "[" * 5000,
        "{'a': 1}",
        '{"a": 1,}',
        r'"\ud83d"',
        "1e99999999999999999999",
    ],
)
def test_json_that_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(CliError):
        parse_document(text if text.startswith(("{", "[")) else f"[{text}]", "file.json")


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(CliError, match=r"file\.yaml is empty"):
        parse_document("# nothing\n", "file.yaml")


@given(VALUES)
def test_what_is_printed_is_read_back_as_it_was(value: object) -> None:
    for text in (compact_json(value), pretty_json(value)):
        assert _alike(parse_json(text), value)
    assert _alike(parse_yaml(yaml_text(value), "file.yaml"), value)


@given(VALUES)
def test_other_readers_of_yaml_take_what_is_printed_for_the_same_strings(value: object) -> None:
    for version in ((1, 1), (1, 2)):
        reader = YAML(typ="safe", pure=True)
        reader.version = version
        assert _strings(reader.load(StringIO(yaml_text(value)))) == _strings(value)


@given(VALUES, VALUES)
def test_differences_lead_from_one_value_to_the_other(old: object, new: object) -> None:
    import jsonpatch  # noqa: PLC0415

    patch = [difference.plain for difference in differences(old, new)]
    assert _alike(jsonpatch.apply_patch(old, patch), new)
    assert list(differences(old, old)) == []


def _alike(one: object, other: object) -> bool:
    """Compare with true and 1, but not 1 and 1.0, told apart."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    return isinstance(one, bool) is isinstance(other, bool) and one == other


def _strings(value: object) -> object:
    match value:
        case dict():
            return {name: _strings(member) for name, member in value.items()}
        case list():
            return [_strings(element) for element in value]
        case str():
            return value
        case bool() | None:
            return value
        case _:
            return "a number"
