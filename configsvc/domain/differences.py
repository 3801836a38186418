"""Differences between two contents, as a JSON Patch (RFC 6902) and as text."""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Literal

from configsvc.domain.content import JsonObject, JsonValue, encode_json, escaped, same_json
from configsvc.domain.models import Configuration

# Patches up to this size always list single changes; larger ones are compared with the size of the content.
LEAST_PATCH_BYTES = 16 * 1024
# The size of a patch operation besides its path and value.
OPERATION_BYTES = 40
# The limit for pairs of items that are compared to align the arrays of a content. Beyond it, only items at the same
# index are compared.
ALIGNED_PAIRS = 250_000
MAX_LINES = 1000
MAX_VALUE_LENGTH = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A value that was added, removed or replaced.

    `path` is its JSON Pointer after all later differences of the list were applied. `before` of an added value and
    `after` of a removed one mean nothing.
    """

    operation: Literal["add", "remove", "replace"]
    path: str
    before: JsonValue = None
    after: JsonValue = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two versions of a configuration, the patch from the first to the second, and a line of text per difference."""

    before: Configuration
    after: Configuration
    patch: list[JsonValue]
    text: str


def compared(before: Configuration, after: Configuration) -> Comparison:
    """Compare two versions; a missing config counts as empty. Takes up to some tenths of a second."""
    found = differences(_value(before), _value(after))
    lines = [*_lines_of_fields(before, after), *map(_line, found[:MAX_LINES])]
    if len(found) > MAX_LINES:
        lines.append(f"… and {len(found) - MAX_LINES} more")
    return Comparison(before=before, after=after, patch=patch_of(found), text="".join(f"{line}\n" for line in lines))


def _value(configuration: Configuration) -> JsonObject:
    return configuration.config.value if configuration.config else {}


def differences(before: JsonObject, after: JsonObject) -> list[Difference]:
    """Return the differences that turn one content into another, in the order of the first.

    A value whose single changes would take more space than its new value is one change. The time grows linearly with
    the contents.
    """
    return _differences(before, after, _Alignment(ALIGNED_PAIRS))


def patch_of(found: Iterable[Difference]) -> list[JsonValue]:
    """Return the differences as a JSON Patch, last one first, so that the indexes of earlier items stay valid."""
    return [_operation(difference) for difference in reversed(list(found))]


def _operation(difference: Difference) -> JsonValue:
    operation: JsonObject = {"op": difference.operation, "path": difference.path}
    if difference.operation != "remove":
        operation["value"] = difference.after
    return operation


class _Alignment:
    """A budget of comparisons to find the common items of arrays."""

    def __init__(self, pairs: int) -> None:
        self._pairs_left = pairs

    def blocks(self, before: Sequence[JsonValue], after: Sequence[JsonValue]) -> list[list[int]]:
        """Return the ranges of one array that became other ranges of the other."""
        pairs = len(before) * len(after)
        if not pairs or pairs > self._pairs_left:
            return [[0, len(before), 0, len(after)]]
        self._pairs_left -= pairs
        matcher = SequenceMatcher(None, [*map(encode_json, before)], [*map(encode_json, after)], autojunk=False)
        return [ranges for tag, *ranges in matcher.get_opcodes() if tag != "equal"]


def _differences(before: JsonValue, after: JsonValue, alignment: _Alignment) -> list[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        return _fewest(before, after, _of_objects(before, after, alignment))
    if isinstance(before, list) and isinstance(after, list):
        return _fewest(before, after, _of_arrays(before, after, alignment))
    return [] if same_json(before, after) else [Difference(operation="replace", path="", before=before, after=after)]


def _fewest(before: JsonValue, after: JsonValue, single: Iterable[Difference]) -> list[Difference]:
    """Return the single differences, or one replacement if that takes less space."""
    found: list[Difference] = []
    size, limit = 0, LEAST_PATCH_BYTES
    for difference in single:
        found.append(difference)
        size += _size(difference)
        if size > limit:
            limit = max(LEAST_PATCH_BYTES, len(encode_json(after)))
            if size > limit:
                return [Difference(operation="replace", path="", before=before, after=after)]
    return found


def _size(difference: Difference) -> int:
    value = 0 if difference.operation == "remove" else len(encode_json(difference.after))
    return OPERATION_BYTES + len(difference.path) + value


def _of_objects(before: JsonObject, after: JsonObject, alignment: _Alignment) -> Generator[Difference]:
    for key, value in before.items():
        if key in after:
            yield from _under(escaped(key), _differences(value, after[key], alignment))
        else:
            yield Difference(operation="remove", path=f"/{escaped(key)}", before=value)
    for key, value in after.items():
        if key not in before:
            yield Difference(operation="add", path=f"/{escaped(key)}", after=value)


def _of_arrays(before: list[JsonValue], after: list[JsonValue], alignment: _Alignment) -> Generator[Difference]:
    start = _common(zip(before, after, strict=False))
    common_end = _common(zip(reversed(before[start:]), reversed(after[start:]), strict=False))
    changed = before[start : len(before) - common_end], after[start : len(after) - common_end]
    for first, end, new_first, new_end in alignment.blocks(*changed):
        old, new = changed[0][first:end], changed[1][new_first:new_end]
        base = start + first
        for offset, (item, new_item) in enumerate(zip(old, new, strict=False)):
            yield from _under(str(base + offset), _differences(item, new_item, alignment))
        for offset, item in enumerate(old[len(new) :], start=len(new)):
            yield Difference(operation="remove", path=f"/{base + offset}", before=item)
        for item in new[len(old) :]:
            yield Difference(operation="add", path=f"/{base + len(old)}", after=item)


def _common(pairs: Iterable[tuple[JsonValue, JsonValue]]) -> int:
    return sum(1 for _ in takewhile(lambda pair: same_json(*pair), pairs))


def _under(token: str, found: Iterable[Difference]) -> Generator[Difference]:
    for difference in found:
        yield replace(difference, path=f"/{token}{difference.path}")


def _lines_of_fields(before: Configuration, after: Configuration) -> Generator[str]:
    for field in ("application", "name", "comments", "schema"):
        old, new = (_field_text(getattr(version, field)) for version in (before, after))
        if old != new:
            yield f"~ {field}: {old} → {new}"


def _field_text(value: object) -> str:
    return "none" if value is None else _shortened(encode_json(str(value)))


def _line(difference: Difference) -> str:
    where = difference.path if difference.path.isprintable() else encode_json(difference.path)
    where = where or "config"
    before, after = (_shortened(encode_json(value)) for value in (difference.before, difference.after))
    match difference.operation:
        case "add":
            return f"+ {where}: {after}"
        case "remove":
            return f"- {where}: {before}"
        case "replace":
            return f"~ {where}: {before} → {after}"


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_VALUE_LENGTH else f"{text[: MAX_VALUE_LENGTH - 1]}…"
