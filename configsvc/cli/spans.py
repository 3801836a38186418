"""The places of values in the text of a document, for faults that name them and for changes that keep the rest."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
_COLON = re.compile(r"[ \t]*:")
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")
_DEEPEST = 200


class Kind(StrEnum):
    OBJECT = "object"
    ARRAY = "array"
    SCALAR = "scalar"


@dataclass(slots=True)
class Span:
    """The place of a value: from start to before end. flow: it is written with brackets, or is a scalar. style: the
    character that begins a scalar of YAML, if it is not plain.
    """

    kind: Kind
    start: int
    end: int
    flow: bool = True
    style: str = ""
    members: "list[Member]" = field(default_factory=list["Member"])


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an object, or an element of an array, whose name is its index. start, end: the place of its key; of
    an element, that of its value.
    """

    name: str
    start: int
    end: int
    value: Span


@dataclass(frozen=True, slots=True)
class Place:
    """A line and a column, counted from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


def place_at(text: str, offset: int) -> Place:
    """Return the line and the column of an offset."""
    return Place(text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


def spans_of(text: str, *, is_json: bool) -> Span:
    """Return the places of the values of a document that was read."""
    if is_json or text.lstrip()[:1] in {"{", "["}:
        try:
            return JsonScanner(text).scan()
        except ValueError:
            if is_json:
                raise
    # Imported late: JSON needs none of it.
    from configsvc.cli.strict_yaml import compose_yaml  # noqa: PLC0415

    return _yaml_span(compose_yaml(text), text)


def offset_of(span: Span, parts: Sequence[str]) -> int:
    """Return the offset of the key, or of the element, that a JSON Pointer leads to, or of the last one on its way."""
    offset = span.start
    for part in parts:
        found = next((member for member in span.members if member.name == part), None)
        if found is None:
            break
        offset, span = found.start, found.value
    return offset


def _yaml_span(node: Any, text: str) -> Span:
    start, end = node.start_mark.index, node.end_mark.index
    match node.id:
        case "scalar":
            return Span(Kind.SCALAR, start, end, style=node.style or "")
        case "sequence":
            elements = [_beside(_yaml_span(element, text), _after_dash(text, element)) for element in node.value]
            members = [Member(str(index), one.start, one.start, one) for index, one in enumerate(elements)]
            return Span(Kind.ARRAY, start, end, bool(node.flow_style), members=members)
        case _:
            members = [_yaml_member(key, value, text) for key, value in node.value]
            return Span(Kind.OBJECT, start, end, bool(node.flow_style), members=members)


def _yaml_member(key: Any, value: Any, text: str) -> Member:
    start, end = key.start_mark.index, key.end_mark.index
    colon = _COLON.match(text, end)
    span = _beside(_yaml_span(value, text), colon.end() if colon else end)
    return Member(_whole_text(key.value), start, end, span)


def _beside(span: Span, offset: int) -> Span:
    """Return the span, at an offset if the value is not written at all: YAML places that at what comes next."""
    return span if span.end > span.start else Span(span.kind, offset, offset)


def _after_dash(text: str, node: Any) -> int:
    """Return the offset after the dash before an element that is not written at all."""
    end = start = node.start_mark.index
    while start:
        start = text.rfind("\n", 0, end) + 1
        written = _COMMENT.sub("", text[start:end]).rstrip()
        if written:
            return start + len(written)
        end = start - 1
    return node.start_mark.index


def _whole_text(text: str) -> str:
    """Return the text with each pair of surrogates as the character that it is."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16") if _SURROGATE.search(text) else text


class JsonScanner:
    """Finds the places of the values of JSON text, and of its faults that Python's parser names no place of."""

    def __init__(self, text: str) -> None:
        self.faults: list[tuple[int, str]] = []
        self._text = text
        self._decoder = json.JSONDecoder(parse_float=_fraction, parse_int=int, parse_constant=_refuse)

    def scan(self) -> Span:
        """Return the places. Raises ValueError if the text is not JSON."""
        span = self._value(self._after_space(0), 0)
        if self._after_space(span.end) != len(self._text):
            raise json.JSONDecodeError("Extra data", self._text, self._after_space(span.end))
        return span

    def _after_space(self, offset: int) -> int:
        found = _SPACE.match(self._text, offset)
        return found.end() if found else offset

    def _value(self, start: int, depth: int) -> Span:
        if depth > _DEEPEST:
            raise json.JSONDecodeError("this is nested too deeply", self._text, start)
        match self._text[start : start + 1]:
            case "{":
                return self._members(Span(Kind.OBJECT, start, start), "}", depth)
            case "[":
                return self._members(Span(Kind.ARRAY, start, start), "]", depth)
            case _:
                return Span(Kind.SCALAR, start, self._leaf(start)[1])

    def _leaf(self, start: int) -> tuple[Any, int]:
        try:
            value, end = self._decoder.raw_decode(self._text, start)
        except json.JSONDecodeError:
            raise
        except ValueError as error:
            raise json.JSONDecodeError(str(error), self._text, start) from None
        if isinstance(value, str) and _SURROGATE.search(value):
            self.faults.append((start, "half of a pair of surrogates is no character"))
        return value, end

    def _members(self, span: Span, close: str, depth: int) -> Span:
        offset = self._after_space(span.start + 1)
        names: set[str] = set()
        while self._text[offset : offset + 1] != close or span.members:
            member = self._member(offset, len(span.members), span.kind, depth)
            if member.name in names:
                name = json.dumps(member.name, ensure_ascii=False)
                self.faults.append((member.start, f"the key {name} stands twice in one object"))
            names.add(member.name)
            span.members.append(member)
            offset = self._after_space(member.value.end)
            if self._text[offset : offset + 1] == close:
                break
            self._expect(",", offset)
            offset = self._after_space(offset + 1)
        span.end = offset + 1
        return span

    def _member(self, start: int, index: int, kind: Kind, depth: int) -> Member:
        if kind is Kind.ARRAY:
            return Member(str(index), start, start, self._value(start, depth + 1))
        self._expect('"', start)
        name, end = self._leaf(start)
        colon = self._after_space(end)
        self._expect(":", colon)
        return Member(name, start, end, self._value(self._after_space(colon + 1), depth + 1))

    def _expect(self, character: str, offset: int) -> None:
        if self._text[offset : offset + 1] != character:
            raise json.JSONDecodeError(f"Expecting {character}", self._text, offset)


def _fraction(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"the exponent of {text} is too large") from None


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")
