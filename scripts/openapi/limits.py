"""Limits that the comments of fields state in words that a program can read, as keywords of JSON Schema."""

import re
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from scripts.openapi.comments import Comments

Json = dict[str, Any]

_LENGTH = re.compile(r"(?:^|: |\. )(?:(?P<least>[\d,]+) to |[Aa]t most )(?P<most>[\d,]+) (?:printable )?characters")
_ALPHABET = re.compile(
    r"1 to (?P<most>[\d,]+) characters of (?P<all>A-Z a-z 0-9[A-Za-z0-9._/ -]*), starting with a letter"
)
_COUNT = re.compile(r": (?:(?P<least>\d+) to |at most |the first )(?P<most>[\d,]+)\b(?! characters)")
_REFERRED = re.compile(r"(?:see |rules of )(?P<message>[A-Z]\w+)\.(?P<field>\w+)")


def limits_of(field: FieldDescriptor, comments: Comments) -> Json:
    """Return the keywords that the comment of a field states, or that of the field that it refers to."""
    comment = comments.of_field(field)
    if field.is_repeated:
        return {} if is_map(field) else _bounded(_COUNT.search(comment), "Items")
    if field.type != FieldDescriptor.TYPE_STRING:
        return {}
    for text in _chain(comment, comments):
        found = _text_limits(text)
        if found:
            return _with_empty(found) if "Empty:" in comment else found
    return {}


def is_required(comment: str) -> bool:
    """Return whether a comment says that requests must set the field."""
    return re.search(r"\bRequired\b[.;]", comment) is not None


def is_map(field: FieldDescriptor) -> bool:
    """Return whether the field is a map."""
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _chain(comment: str, comments: Comments) -> list[str]:
    """Return a comment, and those of the fields that it and they refer to."""
    found = [comment]
    while referred := _REFERRED.search(found[-1]):
        text = comments.of(f"configapi.v1.{referred['message']}.{referred['field']}")
        if not text or text in found:
            break
        found.append(text)
    return found


def _text_limits(comment: str) -> Json:
    if alphabet := _ALPHABET.search(comment):
        others = "".join(
            sorted(alphabet["all"].removeprefix("A-Z a-z 0-9").replace(" ", ""), key=lambda sign: sign == "-")
        )
        return {"pattern": f"^[A-Za-z0-9][A-Za-z0-9{others}]{{0,{_number(alphabet['most']) - 1}}}$"}
    if re.search(r"\bULID\b", comment) and "UUID" not in comment:
        return {"minLength": 26, "maxLength": 26}
    return _bounded(_LENGTH.search(comment), "Length")


def _bounded(found: re.Match[str] | None, what: str) -> Json:
    if found is None:
        return {}
    least = {f"min{what}": _number(found["least"])} if found["least"] else {}
    return {**least, f"max{what}": _number(found["most"])}


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def _with_empty(limits: Json) -> Json:
    """Return the limits of a text that may be empty."""
    return {key: value for key, value in limits.items() if key in ("maxLength", "maxItems")}
