"""Changes of files: what does not differ stays as it was written."""

import stat
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configsvc.cli.differences import same_value
from configsvc.cli.documents import parse_document, pretty_json, yaml_text
from configsvc.cli.failures import CliError
from configsvc.cli.sync.writing import new_text, update_file, updated_text

NUMBERS = st.integers(-(10**40), 10**40) | st.decimals(allow_nan=False, allow_infinity=False, places=3)
TEXTS = st.text(max_size=12) | st.text(alphabet="01.:-_xeE+yesnoYNtruef \n#'\"{}[],&*!|>%@`~=<\t", max_size=12)
KEYS = st.sampled_from(["a", "b", "c", "d", ""]) | TEXTS
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=5)

HAND = """\
# yaml-language-server: $schema=../../schemas/limits.json

# Limits of the payment service.
rate:   100   # a second
"burst": 200
regions:      # where it runs
  # the first one
  - eu        # Frankfurt
  # the second one
  - us
hosts:
- name: 'a'   # the old one
  port: 80
- name: "b"

  # the new port
  port: 81
text: |
  # not a comment
  two lines
flow: {x: 1, y: [1, 2]}  # in one line
# about the end
end: ~
# the last word
"""


def hand() -> dict[str, Any]:
    return parse_document(HAND, "x.yaml")


def changed(content: dict[str, Any], text: str = HAND) -> list[str]:
    """Return the lines that a change of the file removes (-) and adds (+)."""
    found = updated_text(text, content, "x.yaml")
    assert same_value(parse_document(found, "x.yaml"), content)
    before, after = text.splitlines(), found.splitlines()
    first = next(
        (n for n in range(min(len(before), len(after))) if before[n] != after[n]), min(len(before), len(after))
    )
    rest = min(len(before), len(after)) - first
    last = next((n for n in range(rest) if before[-1 - n] != after[-1 - n]), rest)
    removed, added = before[first : len(before) - last], after[first : len(after) - last]
    return [f"-{line}" for line in removed] + [f"+{line}" for line in added]


def test_a_scalar_is_changed_where_it_stands() -> None:
    assert changed(hand() | {"rate": 250}) == ["-rate:   100   # a second", "+rate:   250   # a second"]
    assert changed(hand() | {"burst": "017"}) == ['-"burst": 200', '+"burst": "017"']
    assert changed(hand() | {"end": "x"}) == ["-end: ~", "+end: x"]


def test_quotes_stay() -> None:
    content = hand()
    content["hosts"][0]["name"] = "it's"
    assert changed(content) == ["-- name: 'a'   # the old one", "+- name: 'it''s'   # the old one"]
    content = hand()
    content["hosts"][1]["name"] = "c"
    assert changed(content) == ['-- name: "b"', '+- name: "c"']


def test_a_member_goes_with_its_comments_and_leaves_those_of_others() -> None:
    content = hand()
    del content["end"]
    assert changed(content) == ["-# about the end", "-end: ~"]
    content = hand()
    del content["hosts"][0]["name"]
    assert changed(content) == ["-- name: 'a'   # the old one", "+-"]
    content = hand()
    del content["regions"][1]
    assert changed(content) == ["-  # the second one", "-  - us"]
    content = hand()
    del content["rate"]
    assert changed(content) == ["-rate:   100   # a second"]


def test_a_new_member_comes_last_and_an_element_where_it_belongs() -> None:
    content = hand()
    content["regions"] = ["eu", "asia", "us"]
    assert changed(content) == ["+  - asia"]
    content = hand()
    content["hosts"][1]["tls"] = {"on": True}
    assert changed(content) == ["+  tls:", '+    "on": true']
    content = hand() | {"more": [1, {"x": 2}]}
    assert changed(content) == ["+more:", "+  - 1", "+  - x: 2"]


def test_values_change_their_kind() -> None:
    assert changed(hand() | {"rate": {"eu": 1}}) == ["-rate:   100   # a second", "+rate:   # a second", "+  eu: 1"]
    assert changed(hand() | {"regions": 5})[1:] == [
        "-  # the first one",
        "-  - eu        # Frankfurt",
        "-  # the second one",
        "-  - us",
        "+regions: 5      # where it runs",
    ]
    assert changed(hand() | {"text": "one"}) == ["-text: |", "-  # not a comment", "-  two lines", "+text: one"]
    assert changed(hand() | {"end": "a\nb\n"}) == ["-end: ~", "+end: |", "+  a", "+  b"]


def test_values_in_brackets_stay_in_brackets() -> None:
    content = hand()
    content["flow"] = {"x": 1, "y": [1, 3, 2], "z": "no"}
    assert changed(content) == [
        "-flow: {x: 1, y: [1, 2]}  # in one line",
        '+flow: {x: 1, y: [1, 3, 2], z: "no"}  # in one line',
    ]


def test_comments_in_brackets_stay() -> None:
    text = "a: {x: 1, # about x\n    y: 2, # about y\n    z: 3} # about all\n"
    assert updated_text(text, {"a": {"x": 1, "z": 3}}, "x.yaml") == "a: {x: 1, # about x\n    z: 3} # about all\n"
    found = updated_text(text, {"a": {"x": 1, "y": 5}}, "x.yaml")
    assert found == "a: {x: 1, # about x\n    y: 5 # about y\n} # about all\n"


def test_json_keeps_indentation_order_and_its_schema_line() -> None:
    text = '{\n    "$schema": "../../schemas/a.json",\n    "b": [1, 2, 3],\n    "a": {"x": 1},\n    "c": {}\n}\n'
    found = updated_text(text, {"a": {"x": 1, "y": 2}, "b": [1, 2], "d": {"e": []}, "c": {"f": [1]}}, "x.json")
    assert found == (
        '{\n    "$schema": "../../schemas/a.json",\n    "b": [1, 2],\n    "a": {"x": 1, "y": 2},\n    "c": {\n'
        '        "f": [\n            1\n        ]\n    },\n    "d": {\n        "e": []\n    }\n}\n'
    )
    assert updated_text('{"a":1,"b":2}', {"b": 3, "c": [1, 2]}, "x.json") == '{"b":3,"c":[1,2]}'
    assert updated_text('{\n\t"a": 1\n}', {"a": 1, "b": {"c": 1}}, "x.json") == (
        '{\n\t"a": 1,\n\t"b": {\n\t\t"c": 1\n\t}\n}'
    )


@pytest.mark.parametrize(
    ("text", "new", "expected"),
    [
        ("a:  # why\n# b\nb: 1\n", {"a": 2, "b": 1}, "a: 2  # why\n# b\nb: 1\n"),
        ("a:\n- # why\n\n# next\n- 1\n", {"a": [2, 1]}, "a:\n- 2 # why\n\n# next\n- 1\n"),
        ("a:\n-   1\n", {"a": [{"b": 1, "c": 2}]}, "a:\n- b: 1\n  c: 2\n"),
        ("a: 1\n  # deep\nb: 2\n", {"a": "x\ny\n", "b": 2}, 'a: "x\\ny\\n"\n  # deep\nb: 2\n'),
        ("a:\n  'x' # why\nb: 1\n", {"a": {"c": 1}, "b": 1}, "a:\n  # why\n  c: 1\nb: 1\n"),
        ("# head\n\na: 1\n", {}, "# head\n\n{}\n"),
        ("a: 1", {"a": 1, "b": 2}, "a: 1\nb: 2\n"),
    ],
)
def test_forms_that_are_easily_broken_are_not(text: str, new: dict[str, Any], expected: str) -> None:
    assert updated_text(text, new, "x.yaml") == expected


def test_line_ends_stay() -> None:
    assert updated_text("a: 1 # x\r\nb: 2\r\n", {"a": 3, "b": 2, "c": [1]}, "x.yaml") == (
        "a: 3 # x\r\nb: 2\r\nc:\r\n  - 1\r\n"
    )


def test_a_file_is_replaced_at_once_and_keeps_its_mode_and_its_links(tmp_path: Path) -> None:
    file, link = tmp_path / "a.yaml", tmp_path / "b.yaml"
    file.write_text("a: 1\n")
    file.chmod(0o640)
    link.symlink_to("a.yaml")
    assert update_file(link, {"a": 2})
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode), link.is_symlink()) == ("a: 2\n", 0o640, True)
    before = file.stat()
    assert not update_file(link, {"a": 2})
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.yaml", "b.yaml"]
    file.write_text("a: yes\n")
    with pytest.raises(CliError):
        update_file(link, {"a": 2})
    assert file.read_text() == "a: yes\n"


@settings(max_examples=40)
@given(OBJECTS)
def test_any_content_is_read_as_it_was_written(content: dict[str, Any]) -> None:
    for source in ("x.yaml", "x.json"):
        text = new_text(content, source)
        assert text is not None
        assert same_value(parse_document(text, source), content)


@settings(max_examples=40)
@given(OBJECTS, OBJECTS)
def test_any_content_takes_the_place_of_any_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    for source, text in (("x.yaml", yaml_text(old)), ("x.json", pretty_json(old))):
        assert same_value(parse_document(updated_text(text, new, source), source), new)


def commented(value: Any, path: str, indent: str, dense: bool) -> Iterator[str]:
    """Yield lines of YAML with a comment beside each leaf, and above each member, that name its path."""
    for name, member in value.items():
        here = f"{path}/{name}"
        if not dense:
            yield f"{indent}# above {here};"
        if isinstance(member, dict) and member:
            yield f"{indent}{name}: # beside {here};"
            yield from commented(member, here, indent + "   ", dense)
        elif isinstance(member, list) and member:
            yield f"{indent}{name}: # beside {here};"
            for index, element in enumerate(member):
                yield f"{indent}- {element} # beside {here}/{index};"
        else:
            yield f"{indent}{name}: {'{}' if member == {} else '[]' if member == [] else member} # beside {here};"


def paths(value: Any, path: str = "") -> Iterator[str]:
    for name, member in value.items() if isinstance(value, dict) else ():
        yield f"{path}/{name}"
        yield from paths(member, f"{path}/{name}")


NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
PLAIN = st.recursive(
    st.integers(0, 9) | st.lists(st.integers(0, 3), max_size=3),
    lambda inner: st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=40)
@given(st.dictionaries(NAMES, PLAIN, max_size=5), st.dictionaries(NAMES, PLAIN, max_size=5), st.booleans())
def test_comments_of_members_that_stay_are_kept(old: dict[str, Any], new: dict[str, Any], dense: bool) -> None:
    text = "\n".join(["# head;", *commented(old, "", "", dense)]) + "\n" if old else "# head;\n{}\n"
    found = updated_text(text, new, "x.yaml")
    assert same_value(parse_document(found, "x.yaml"), new)
    assert "# head;" in found
    for path in set(paths(old)) & set(paths(new)):
        assert f"# beside {path};" in found
        assert dense or f"# above {path};" in found


@settings(max_examples=40)
@given(st.dictionaries(NAMES, PLAIN, max_size=5), st.dictionaries(NAMES, PLAIN, max_size=5))
def test_a_change_and_its_reversal_are_the_same_content(old: dict[str, Any], new: dict[str, Any]) -> None:
    text = "\n".join(commented(old, "", "", False)) + "\n" if old else "{}\n"
    there = updated_text(text, new, "x.yaml")
    assert same_value(parse_document(updated_text(there, old, "x.yaml"), "x.yaml"), old)
    assert updated_text(there, new, "x.yaml") == there


def test_numbers_stay_as_they_are_written_if_they_are_the_same() -> None:
    text = "a: 1.0 # one\nb: 1e3\nc: 0.10\n"
    assert updated_text(text, {"a": 1, "b": 1000, "c": Decimal("0.1")}, "x.yaml") == text
