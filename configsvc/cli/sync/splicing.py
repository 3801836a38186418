"""Changes of the text of a document: just the members that differ are written, and everything else stays as it was
written, with its comments, order, quotes and indentation.

What the text of a value covers is known from its spans. Lines of comments above a member, at its column, are about it,
and go with it; those above the first member are about the whole object, and stay.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from configsvc.cli.differences import same_value
from configsvc.cli.documents import (
    Json,
    fits_a_block,
    indented_json,
    is_array,
    is_object,
    scalar_text,
    yaml_element,
    yaml_lines,
    yaml_member,
    yaml_scalar,
)
from configsvc.cli.spans import Member, Span, spans_of

_COLON = re.compile(r"[ \t]*:")
_HEADER = re.compile(r"[|>][-+0-9]*")
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


def spliced(text: str, old: Json, new: Json, *, is_json: bool) -> str:
    """Return the text of a document with the new value. Raises RewriteError."""
    newline = "\r\n" if "\r\n" in text else "\n"
    plain = text.replace("\r\n", "\n")
    if not is_json and not plain.endswith("\n"):
        plain += "\n"
    splicer = (_Flow if is_json else _Block)(plain, is_json=is_json)
    splicer.change_root(spans_of(plain, is_json=is_json), old, new)
    return splicer.result().replace("\n", newline)


def _steps(old: Sequence[Json], new: Sequence[Json]) -> list[Step]:
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


class _Flow:
    """Changes of values in brackets: all of JSON, and parts of YAML."""

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
        for step in _steps(old, new):
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


class _Block(_Flow):
    """Changes of YAML: a member or an element has a line of its own, or several."""

    def change_root(self, span: Span, old: Json, new: Json) -> None:
        if span.flow:
            super().change_root(span, old, new)
        elif not new:
            raise RewriteError
        else:
            self._change_collection(span, old, new)

    # --- lines ---

    def _line_start(self, offset: int) -> int:
        return self.text.rfind("\n", 0, offset) + 1

    def _next_line(self, offset: int) -> int:
        end = self.text.find("\n", offset)
        return len(self.text) if end == -1 else end + 1

    def _column(self, offset: int) -> int:
        return offset - self._line_start(offset)

    def _end_of(self, span: Span) -> int:
        if span.style in {"|", ">"}:
            found = _HEADER.match(self.text, span.start)
            body = self.text[span.start : span.end]
            is_kept = found is not None and "+" in found[0]
            return span.start + len(body.removesuffix("\n") if is_kept else body.rstrip())
        return span.end if span.flow or not span.members else self._end_of(span.members[-1].value)

    def _lines_end(self, span: Span, column: int) -> int:
        """Return the start of the line after a value and the comments that are indented more than the column."""
        end = offset = self._next_line(max(self._end_of(span) - 1, span.start - 1, 0))
        while offset < len(self.text):
            after = self._next_line(offset)
            line = self.text[offset:after]
            stripped = line.strip()
            if stripped and not (stripped.startswith("#") and line.index("#") > column):
                break
            offset = after
            if stripped:
                end = after
        return end

    def _lead(self, start: int, column: int, earliest: int) -> int:
        """Return the start of the comments above a line, at its column."""
        lead = self._line_start(start)
        while lead > earliest:
            before = self._line_start(lead - 1)
            line = self.text[before : lead - 1]
            if before < earliest or not line.strip().startswith("#") or line.index("#") != column:
                break
            lead = before
        return lead

    # --- collections ---

    def _change_collection(self, span: Span, old: Json, new: Json) -> None:
        if is_object(old) and is_object(new):
            self._change_object(span, old, new)
        elif is_array(old) and is_array(new):
            self._change_array(span, old, new)

    def _change_object(self, span: Span, old: dict[str, Json], new: dict[str, Json]) -> None:
        column = self._column(span.start)
        earliest = span.start
        for index, member in enumerate(span.members):
            end = self._lines_end(member.value, column)
            found = _COLON.match(self.text, member.end)
            if found is None or self._column(member.start) != column:
                raise RewriteError
            if member.name not in new:
                self._remove(member.start, end, column, earliest if index else member.start)
            else:
                values = (old[member.name], new[member.name])
                self._change_value(member.value, found.end(), end, *values, column=column, is_element=False)
            earliest = end
        indent = " " * column
        for name, value in new.items():
            if name not in old:
                self._insert(earliest, yaml_member(name, value, indent, self.step))

    def _change_array(self, span: Span, old: list[Json], new: list[Json]) -> None:
        column = self._column(span.start)
        dashes = [self._dash(member, column) for member in span.members]
        ends = [self._lines_end(member.value, column) for member in span.members]
        steps = _steps(old, new)
        kept = {step.old for step in steps}
        for index, dash in enumerate(dashes):
            if index not in kept:
                self._remove(dash, ends[index], column, ends[index - 1] if index else dash)
        at = self._line_start(dashes[0])
        for step in steps:
            if step.old is not None:
                span_of = span.members[step.old].value
                values = (old[step.old], step.value)
                self._change_value(
                    span_of, dashes[step.old] + 1, ends[step.old], *values, column=column, is_element=True
                )
                at = ends[step.old]
            elif at < dashes[0] and self.text[at : dashes[0]].strip():
                raise RewriteError
            else:
                self._insert(at, yaml_element(step.value, " " * column, self.step))

    def _dash(self, member: Member, column: int) -> int:
        """Return the place of the dash before an element. Raises RewriteError."""
        start = self._line_start(member.start)
        while True:
            line = self.text[start : self._next_line(start)]
            dash = start + column
            if not line.strip().startswith("#") and self.text[dash : dash + 1] == "-" and dash < max(member.start, 1):
                return dash
            if start == 0:
                raise RewriteError
            start = self._line_start(start - 1)

    def _remove(self, start: int, end: int, column: int, earliest: int) -> None:
        before = self.text[self._line_start(start) : start]
        if before.strip():
            # It begins on the line of a dash, which stays.
            self.edit(start - len(before) + len(before.rstrip()), end, "\n")
        else:
            self.edit(self._lead(start, column, earliest) if earliest < start else self._line_start(start), end, "")

    def _insert(self, offset: int, lines: Sequence[str]) -> None:
        self.edit(offset, offset, "".join(line + "\n" for line in lines))

    # --- values ---

    def _change_value(
        self, span: Span, colon: int, end: int, old: Json, new: Json, *, column: int, is_element: bool
    ) -> None:
        """Change the value after a colon or a dash. end: that of its lines."""
        if same_value(old, new):
            return
        if span.flow and isinstance(old, dict | list) and old and isinstance(new, dict | list) and new:
            self.edit(span.start, span.end, self.flow(span, old, new))
            return
        if not span.flow and _have_something_in_common(old, new):
            count = self.count
            try:
                self._change_collection(span, old, new)
            except RewriteError:
                self.forget(count)
            else:
                return
        # Comments below would become lines of a text.
        is_alone = end == self._next_line(max(self._end_of(span) - 1, 0))
        if not (is_alone and (span.style in {"|", ">"} or not self.has_more(span.end))) and isinstance(new, str):
            written = _Written(self.scalar(new, span.style), "")
        else:
            written = _Written.of(self, span, new, column=column, is_element=is_element)
        self._replace(span, colon, end, written)

    def _replace(self, span: Span, colon: int, end: int, written: "_Written") -> None:
        head = f" {written.head}" if written.head else ""
        is_beside = self._line_start(span.start) == self._line_start(colon)
        if not span.flow and span.members:
            if is_beside:
                self.edit(colon, end, head + "\n" + written.below)
            else:
                self.edit(colon, colon, head)
                self.edit(self._next_line(colon), end, written.below)
        elif span.style in {"|", ">"}:
            found = _HEADER.match(self.text, span.start)
            self.edit(colon, found.end() if found else span.end, head)
            self.edit(
                self._next_line(span.start), self._next_line(max(self._end_of(span) - 1, span.start)), written.below
            )
        elif is_beside:
            spaces = " " if written.below else self.text[colon : span.start] or " "
            self.edit(colon, span.end, spaces + written.head if written.head else "")
            self._insert_text(self._next_line(span.end), written.below)
        else:
            self._replace_lower(span, colon, head, written)

    def _replace_lower(self, span: Span, colon: int, head: str, written: "_Written") -> None:
        """Replace a value that begins on a line below its key."""
        if not written.below:
            self.edit(span.start, span.end, written.head)
            return
        rest = self.text[span.end : self._next_line(span.end)].strip()
        indent = " " * self._column(span.start)
        self.edit(colon, colon, head)
        comment = f"{indent}{rest}\n" if rest else ""
        self.edit(self._line_start(span.start), self._next_line(span.end), comment + written.below)

    def _insert_text(self, offset: int, text: str) -> None:
        if text:
            self.edit(offset, offset, text)

    def has_more(self, offset: int) -> bool:
        """Return true if something stands on the line from an offset on."""
        return bool(self.text[offset : self._next_line(offset)].strip())


@dataclass(frozen=True, slots=True)
class _Written:
    """A new value: the part beside its key or dash, and the lines below."""

    head: str
    below: str

    @classmethod
    def of(cls, splicer: _Block, span: Span, value: Json, *, column: int, is_element: bool) -> "_Written":
        """Return a value as it is written after a colon or a dash."""
        indent = " " * column
        if isinstance(value, dict | list) and value:
            if is_element:
                first, *others = yaml_element(value, indent, splicer.step)
                return cls(first[column + 2 :], _joined(others))
            return cls("", _joined(yaml_lines(value, indent + splicer.step, splicer.step)))
        if isinstance(value, str) and fits_a_block(value) and span.style not in {"'", '"'}:
            first, *others = yaml_member("x", value, indent, splicer.step)
            return cls(first.removeprefix(f"{indent}x: "), _joined(others))
        return cls(splicer.scalar(value, span.style), "")


def _joined(lines: Sequence[str]) -> str:
    return "".join(line + "\n" for line in lines)


def _have_something_in_common(old: Json, new: Json) -> bool:
    if is_object(old) and is_object(new):
        return bool(old.keys() & new.keys())
    return is_array(old) and is_array(new) and bool(old and new)


def comments_of(text: str) -> Iterator[str]:
    """Yield the lines before the first value: comments, empty lines, and directives."""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped and not stripped.startswith(("#", "%")) and stripped != "---":
            return
        yield line
