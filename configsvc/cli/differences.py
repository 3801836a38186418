"""Differences of contents, and who made them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from configsvc.cli.documents import Json, compact_json, is_array, is_object
from configsvc.cli.keys import pointer_text

if TYPE_CHECKING:
    from configsvc.cli import pb

Path = tuple[str, ...]
_ABSENT: Any = object()
_LONGEST = 80


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that was added (+), removed (-) or changed (~)."""

    sign: str
    pointer: str
    old: Json = None
    new: Json = None

    @property
    def line(self) -> str:
        """The difference as a line for people."""
        where = self.pointer or "(the content)"
        match self.sign:
            case "+":
                return f"+ {where}: {_short(self.new)}"
            case "-":
                return f"- {where}: {_short(self.old)}"
            case _:
                return f"~ {where}: {_short(self.old)} → {_short(self.new)}"

    @property
    def plain(self) -> dict[str, Json]:
        """The difference as an operation of a JSON Patch."""
        operation = {"+": "add", "-": "remove"}.get(self.sign, "replace")
        value = {} if self.sign == "-" else {"value": self.new}
        return {"op": operation, "path": self.pointer, **value}


def _short(value: Json) -> str:
    text = compact_json(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def differences(old: Json, new: Json, path: Path = ()) -> Iterator[Difference]:
    """Yield the differences of two values, in an order in which they can be applied. Elements of arrays are compared
    by index.
    """
    if same_value(old, new):
        return
    if is_object(old) and is_object(new):
        names: list[str] = [*old, *(name for name in new if name not in old)]
        for name in names:
            yield from _member(old.get(name, _ABSENT), new.get(name, _ABSENT), (*path, name))
    elif is_array(old) and is_array(new):
        for position in range(min(len(old), len(new))):
            yield from differences(old[position], new[position], (*path, str(position)))
        for position in reversed(range(len(new), len(old))):
            yield Difference("-", pointer_text((*path, str(position))), old=old[position])
        for position in range(len(old), len(new)):
            yield Difference("+", pointer_text((*path, str(position))), new=new[position])
    else:
        yield Difference("~", pointer_text(path), old=old, new=new)


def _member(old: Json, new: Json, path: Path) -> Iterator[Difference]:
    if new is _ABSENT:
        yield Difference("-", pointer_text(path), old=old)
    elif old is _ABSENT:
        yield Difference("+", pointer_text(path), new=new)
    else:
        yield from differences(old, new, path)


def same_value(one: Json, other: Json) -> bool:
    """Compare as JSON does: 1 is 1.0, and not true."""
    if is_object(one) and is_object(other):
        return one.keys() == other.keys() and all(same_value(one[name], other[name]) for name in one)
    if is_array(one) and is_array(other):
        return len(one) == len(other) and all(map(same_value, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other


@dataclass(slots=True)
class Blame:
    """A leaf of a content, and the version that last set it."""

    pointer: str
    value: Json
    version: "pb.ConfigurationVersion"
    # The history before that version is gone: it may have had the value already.
    oldest_kept: bool = False


class Blamer:
    """Finds the version that last set each leaf of the newest content, from versions newest first."""

    def __init__(self, newest: "pb.ConfigurationVersion", content: Json) -> None:
        self.found = [Blame(pointer_text(path), value, newest) for path, value in _leaves(content, ())]
        self._open = {path: blame for (path, _), blame in zip(_leaves(content, ()), self.found, strict=True)}

    @property
    def done(self) -> bool:
        """True if older versions can change nothing."""
        return not self._open

    def look_at(self, version: "pb.ConfigurationVersion", content: Json) -> None:
        """Take the next older version into account."""
        for path, blame in list(self._open.items()):
            if same_value(_value_or_absent(content, path), blame.value):
                blame.version = version
            else:
                del self._open[path]

    def end_at_compaction(self) -> None:
        """Mark what the oldest version that is kept already had."""
        for blame in self._open.values():
            blame.oldest_kept = True


def _leaves(content: Json, path: Path) -> Iterator[tuple[Path, Json]]:
    if is_object(content) and content:
        for name, member in content.items():
            yield from _leaves(member, (*path, name))
    elif is_array(content) and content:
        for position, element in enumerate(content):
            yield from _leaves(element, (*path, str(position)))
    else:
        yield path, content


def _value_or_absent(content: Json, path: Path) -> Json:
    value = content
    for part in path:
        if is_object(value):
            value = value.get(part, _ABSENT)
        elif is_array(value) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return _ABSENT
    return value
