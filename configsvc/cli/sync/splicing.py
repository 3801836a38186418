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
    is_array,
    is_object,
    yaml_element,
    yaml_lines,
    yaml_member,
)
from configsvc.cli.spans import Member, Span, spans_of
from configsvc.cli.sync.flow import Flow, RewriteError, steps_between

_COLON = re.compile(r"[ \t]*:")
_HEADER = re.compile(r"[|>][-+0-9]*")


def spliced(text: str, old: Json, new: Json, *, is_json: bool) -> str:
    """Return the text of a document with the new value. Raises RewriteError."""
    newline = "\r\n" if "\r\n" in text else "\n"
    plain = text.replace("\r\n", "\n")
    if not is_json and not plain.endswith("\n"):
        plain += "\n"
    splicer = (Flow if is_json else _Block)(plain, is_json=is_json)
    splicer.change_root(spans_of(plain, is_json=is_json), old, new)
    return splicer.result().replace("\n", newline)


class _Block(Flow):
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
        steps = steps_between(old, new)
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
