"""Changes of values in brackets: all of JSON, and parts of YAML. Only what differs is written anew."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from configsvc.cli.differences import same_value
from configsvc.cli.documents import Json, indented_json, is_array, is_object, scalar_text, yaml_scalar
from configsvc.cli.spans import Span

_COMMENT = re.compile(r"(?:^|(?<=\s))#[^\n]*")
_INDENT = re.compile(r"\n( +|\t)\S")


class RewriteError(Exception):
    """A form of YAML whose parts are not changed one by one: the value around it is written anew."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A replacement of the text from start to before end."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of an element: the old index that stays or changes, None for a new one, and the new value."""

    old: int | None
    value: Json


def steps_between(old: Sequence[Json], new: Sequence[Json]) -> list[Step]:
    """Match the elements of two arrays: what is the same at the beginning and at the end stays as it is."""
    shorter = min(len(old), len(new))
    first = next((index for index in range(shorter) if not same_value(old[index], new[index])), shorter)
    rest = shorter - first
    last = next((index for index in range(rest) if not same_value(old[-1 - index], new[-1 - index])), rest)
    changed = min(len(old), len(new)) - first - last
    return [
        *(Step(index, new[index]) for index in range(first + changed)),
        *(Step(None, new[index]) for index in range(first + changed, len(new) - last)),
        *(Step(len(old) - last + index, new[len(new) - last + index]) for index in range(last)),
    ]


class Flow:
    """The edits of a text, with the indentation that it has."""

    def __init__(self, text: str, *, is_json: bool) -> None:
        self.text = text
        self.is_json = is_json
        found = _INDENT.search(text)
        self.step = found[1] if found and (is_json or found[1] != "\t") else "  "
        self._edits: list[Edit] = []

    def change_root(self, span: Span, old: Json, new: Json) -> None:
        self.edit(span.start, span.end, self.flow(span, old, new))

    def edit(self, start: int, end: int, text: str) -> None:
        self._edits.append(Edit(start, end, text))

    def forget(self, count: int) -> None:
        """Forget all edits but the first ones."""
        del self._edits[count:]

    @property
    def count(self) -> int:
        """The number of edits."""
        return len(self._edits)

    def result(self) -> str:
        parts: list[str] = []
        done = 0
        for edit in sorted(self._edits, key=lambda edit: (edit.start, edit.end)):
            if edit.start < done:
                raise RewriteError
            parts += (self.text[done : edit.start], edit.text)
            done = edit.end
        return "".join(parts) + self.text[done:]

    def flow(self, span: Span, old: Json, new: Json) -> str:
        """Return the new text of a value in brackets, or of a scalar."""
        if same_value(old, new):
            return self.text[span.start : span.end]
        if is_object(old) and is_object(new) and new.keys() & old.keys():
            return self._flow_object(span, old, new)
        if is_array(old) and is_array(new) and old and new:
            return self._flow_array(span, old, new)
        return self._rendered(new, span)

    def _flow_object(self, span: Span, old: dict[str, Json], new: dict[str, Json]) -> str:
        pieces: list[tuple[int | None, str]] = []
        for index, member in enumerate(span.members):
            if member.name in new:
                value = self.flow(member.value, old[member.name], new[member.name])
                pieces.append((index, self.text[member.start : member.value.start] + value))
        for name, value in new.items():
            if name not in old:
                key = scalar_text(name) if self.is_json else yaml_scalar(name)
                pieces.append((None, f"{key}:{self._colon_space}{self._rendered(value, span, inside=True)}"))
        return self._rebuilt(span, pieces)

    def _flow_array(self, span: Span, old: list[Json], new: list[Json]) -> str:
        pieces: list[tuple[int | None, str]] = []
        for step in steps_between(old, new):
            if step.old is None:
                pieces.append((None, self._rendered(step.value, span, inside=True)))
            else:
                pieces.append((step.old, self.flow(span.members[step.old].value, old[step.old], step.value)))
        return self._rebuilt(span, pieces)

    @property
    def _colon_space(self) -> str:
        return "" if self.is_json and '":' in self.text and '": ' not in self.text else " "

    def _rendered(self, value: Json, span: Span, *, inside: bool = False) -> str:
        """Return the text of a new value at the place of an old one, or inside of it."""
        if not isinstance(value, dict | list) or not value:
            return self.scalar(value, "" if inside else span.style)
        if "\n" in self.text.strip() and self.is_json:
            line = self.text[self.text.rfind("\n", 0, span.start) + 1 :]
            indent = line[: len(line) - len(line.lstrip(" \t"))]
            is_wide = "\n" in self.text[span.start : span.end] or not inside
            return (
                indented_json(value, "\n" + indent + (self.step if inside else ""), self.step)
                if is_wide
                else (self._in_one_line(value))
            )
        return self._in_one_line(value)

    def _in_one_line(self, value: Json) -> str:
        if is_object(value) and value:
            members = (
                f"{scalar_text(name)}:{self._colon_space}{self._in_one_line(member)}" for name, member in value.items()
            )
            return "{" + self._comma.join(members) + "}"
        if is_array(value) and value:
            return "[" + self._comma.join(map(self._in_one_line, value)) + "]"
        return self.scalar(value, '"')

    @property
    def _comma(self) -> str:
        return "," + self._colon_space

    def scalar(self, value: Json, style: str) -> str:
        """Return a scalar, or an empty collection, in one line and in a style if that can hold it."""
        if isinstance(value, dict | list):
            return "{}" if isinstance(value, dict) else "[]"
        if not isinstance(value, str) or self.is_json or style == '"':
            return scalar_text(value)
        escaped = scalar_text(value)[1:-1].replace('\\"', '"')
        if style == "'" and escaped == value:
            return "'" + value.replace("'", "''") + "'"
        return yaml_scalar(value)

    def _rebuilt(self, span: Span, pieces: Sequence[tuple[int | None, str]]) -> str:
        """Return the text of a collection from its pieces: what stays with the index that it had, and what is new."""
        bounds = [span.start + 1, *(offset for member in span.members for offset in (member.start, member.value.end))]
        bounds.append(span.end - 1)
        gaps = [self.text[bounds[index] : bounds[index + 1]] for index in range(0, len(bounds), 2)]
        opening, *others = gaps
        if [index for index, _ in pieces] == list(range(len(span.members))):
            inner = "".join(text + gap for (_, text), gap in zip(pieces, others, strict=True))
            return self.text[span.start] + opening + inner + self.text[span.end - 1]
        tails, heads = zip(*map(_split_gap, others), strict=True)
        heads = (opening, *heads)
        new_head = next((_last_line(head) for head in heads[:-1] if "\n" in head), "")
        if not new_head:
            new_head = " " if self._comma == ", " else ""
        parts = [self.text[span.start]]
        for number, (index, text) in enumerate(pieces):
            head = self._head(number, index, heads, new_head)
            is_last = number == len(pieces) - 1
            parts += (_apart(parts[-1], head), text, "" if is_last else ",")
            parts.append(tails[index] if index is not None else "")
        return "".join(parts) + _apart(parts[-1], heads[-1]) + self.text[span.end - 1]

    def _head(self, number: int, index: int | None, heads: Sequence[str], new_head: str) -> str:
        if number:
            return heads[index] if index is not None else new_head
        opening = heads[0]
        own = heads[index] if index else ""
        return opening.rstrip() + own if "#" in own else opening


def _split_gap(gap: str) -> tuple[str, str]:
    """Return the part of a gap that is about the value before it, and the part for the one after it: no commas."""
    comments = list(_COMMENT.finditer(gap))
    comma = next(
        (
            found.start()
            for found in re.finditer(",", gap)
            if not any(comment.start() < found.start() < comment.end() for comment in comments)
        ),
        None,
    )
    bare = gap if comma is None else gap[:comma] + gap[comma + 1 :]
    line = bare.find("\n")
    if line == -1:
        return ("", bare) if "#" not in bare else (bare, "")
    return bare[:line].rstrip(), bare[line:]


def _last_line(head: str) -> str:
    return head[head.rfind("\n") :]


def _apart(before: str, head: str) -> str:
    """Return the head, on a new line if a comment comes before it."""
    return head if "#" not in before or head.startswith("\n") else "\n" + head
