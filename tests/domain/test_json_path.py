"""The grammar of json_path: what is taken, its canonical form, and where faults are."""

import re
from pathlib import Path

import pytest

from configsvc.domain.json_path import MAX_NESTING, JsonPathError, canonical_json_path

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "json-path.md").read_text()


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("$.replicas > 3", '$."replicas" > 3'),
        (" lax  $ . a . b==-1.5e3 ", '$."a"."b" == -1.5e3'),
        ("$.a == 1 || $.b == 2 && $.c <> null", '($."a" == 1) || (($."b" == 2) && ($."c" != null))'),
        ("!($.a == true)", '!($."a" == true)'),
        ("!exists($.a)", '!exists($."a")'),
        ("(($.a == false)) is unknown", '(($."a" == false)) is unknown'),
        ('"x\\u00e4\\/" == $."a b"', '"xä/" == $."a b"'),
        ("$[0, last - 2 to last, 3 to 4] < 1", "$[0, last - 2 to last, 3 to 4] < 1"),
        ("$[last-1] < 1", "$[last - 1] < 1"),
        ("$.a[*].**.* >= 0", '$."a"[*].**.* >= 0'),
        ('$.type.size() == 1 && $.size.type() == "x"', '($."type".size() == 1) && ($."size".type() == "x")'),
        ("exists($.a ? (@.b == 1) ?($.c == 2).d)", 'exists($."a"?(@."b" == 1)?($."c" == 2)."d")'),
        ('$.a starts with "x"', '$."a" starts with "x"'),
        ('$.a like_regex "^x$" flag "is"', '$."a" like_regex "^x$" flag "is"'),
        ("$.exists == 1 && $.größe == 2 && $.is == 3", '($."exists" == 1) && ($."größe" == 2) && ($."is" == 3)'),
    ],
)
def test_a_predicate_has_a_canonical_form(text: str, canonical: str) -> None:
    assert canonical_json_path(text) == canonical


@pytest.mark.parametrize(
    ("text", "position", "word"),
    [
        ("$.a", 4, "expected a predicate"),
        ("$.a >", 6, "the end"),
        ("a > 3", 1, "expected a path"),
        ("$.a = 1", 5, '"="'),
        ("$.a == $.b", 8, "compared with a path"),
        ("1 == 2", 6, "expected a path"),
        ("$.a == 'x'", 8, "has no meaning"),
        ('$.a == "x', 8, "does not end"),
        ('$.a == "\\x"', 8, "escape"),
        ('$.a == "\\u0000"', 8, "U+0000"),
        ('$.a == "\\ud800"', 8, "escape"),
        ("$.a == 01", 9, "expected &&"),
        ("$.a == 0x10", 9, "expected &&"),
        ("$.a == 1_000", 9, "expected &&"),
        ("$.a == .5", 8, "expected a path"),
        ("$.a == 1e999", 8, "range of a double"),
        ("$.a == 1e-999", 8, "range of a double"),
        ("$.a == $x", 8, "compared with a path"),
        ("$x == 1", 1, "variables"),
        ("@ == 1", 1, "only in a filter"),
        ("exists($.a ? (@ == 1) ? (@ == 2)) && @ == 3", 38, "only in a filter"),
        ("$.a-b == 1", 4, "found -"),
        ("$.1 == 1", 3, "double quotes"),
        ("$.a[-1] == 1", 5, "whole number"),
        ("$.a[1.5] == 1", 5, "whole number"),
        ("$.a[2147483648] == 1", 5, "2147483647"),
        ("$.a[last - -1] == 1", 12, "whole number"),
        ("$.a[last + 1] == 1", 10, '"+"'),
        ("$.a.double() == 1", 5, "there is no method double()"),
        ("$.a.size(1) == 1", 10, "expected )"),
        ("$.**.** == 1", 6, "a second **"),
        ("$.**{2} == 1", 5, '"{"'),
        ("strict $.a == 1", 1, "strict"),
        ("!$.a == 1", 2, "( or exists"),
        ("($.a == 1", 10, "or )"),
        ("$.a == 1)", 9, "expected &&, || or the end"),
        ("($.a == 1) is null", 15, "unknown"),
        ('$.a like_regex "x" flag "x"', 25, "flags"),
        ("$.a starts with 1", 17, "a string"),
        ("$.a == 1; DROP TABLE x", 9, '";"'),
        ("", 1, "expected a path"),
    ],
)
def test_a_fault_is_reported_with_its_position(text: str, position: int, word: str) -> None:
    with pytest.raises(JsonPathError) as caught:
        canonical_json_path(text)
    assert str(caught.value).startswith(f"at character {position}: ")
    assert word in str(caught.value)


def test_parentheses_nest_to_a_limit() -> None:
    deepest = "(" * MAX_NESTING + "$.a == 1" + ")" * MAX_NESTING
    assert canonical_json_path(deepest)
    with pytest.raises(JsonPathError, match="nested too deep"):
        canonical_json_path(f"({deepest})")


def examples(heading: str) -> list[str]:
    """Return the texts in the first column of the table under a heading of the reference."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [text.replace("\\|", "|") for text in re.findall(r"(?m)^\| `(.+?)` \| ", section)]


def test_the_examples_of_the_reference_are_predicates() -> None:
    assert len(examples("Examples")) > 5
    for text in examples("Examples"):
        assert canonical_json_path(text)


def test_what_the_reference_calls_refused_is_refused() -> None:
    assert len(examples("What is refused")) > 5
    for text in examples("What is refused"):
        with pytest.raises(JsonPathError):
            canonical_json_path(text)
