"""What users write on the command line: keys, versions, JSON Pointers and moments."""

import re
from datetime import UTC, datetime
from typing import Any

from configsvc.cli import pb
from configsvc.cli.documents import MAX_NUMBER, Json, is_array, is_object
from configsvc.cli.failures import CliError, ExitCode, UsageError

_INDEX = re.compile(r"0|[1-9][0-9]*")


def key_of(text: str) -> "pb.ConfigurationKey":
    """Parse APPLICATION/NAME. Raises UsageError."""
    application, slash, name = text.partition("/")
    if not (application and slash and name):
        raise UsageError(
            f"{text!r} is no key of a configuration: write APPLICATION/NAME, for example payments/limits",
            f"`configsvc config list {application or 'APPLICATION'}` shows the keys.",
        )
    return pb.ConfigurationKey(application=application, name=name)


def key_text(configuration: Any) -> str:
    """Return the key of anything that has an application and a name."""
    return f"{configuration.application}/{configuration.name}"


def schema_version_of(text: str) -> "pb.SchemaVersionRef":
    """Parse NAME or NAME@VERSION. Raises UsageError."""
    name, at, version = text.partition("@")
    if not name or (at and not version.isdecimal()) or (at and _number(version) == 0):
        raise UsageError(f"{text!r} is no schema: write NAME, or NAME@VERSION, for example service@3")
    return pb.SchemaVersionRef(schema=name, version=_number(version or "0"))


def schema_text(schema: "pb.SchemaVersionRef") -> str:
    """Return NAME@VERSION; empty if there is none."""
    return f"{schema.schema}@{schema.version}" if schema.schema else ""


def moment_of(text: str | None) -> dict[str, Any]:
    """Parse --at: a revision or a time in ISO 8601; UTC without a zone. Raises UsageError."""
    if text is None:
        return {"latest": True}
    if text.isdecimal():
        return {"as_of_revision": _number(text)}
    return {"as_of_time": timestamp_of(text)}


def _number(text: str) -> int:
    if len(text) > len(str(MAX_NUMBER)) or int(text) > MAX_NUMBER:
        raise UsageError(f"the number {text} is too large")
    return int(text)


def timestamp_of(text: str) -> "pb.Timestamp":
    """Parse a time in ISO 8601; UTC without a zone. Raises UsageError."""
    stamp = pb.Timestamp()
    try:
        time = datetime.fromisoformat(text)
        stamp.FromDatetime(time if time.tzinfo else time.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is no time: write it like 2026-01-31T12:00:00Z") from None
    return stamp


def pointer_of(text: str) -> list[str]:
    """Parse a JSON Pointer (RFC 6901) into its parts; / is the whole content. Raises UsageError."""
    if text in {"", "/"}:
        return []
    if not text.startswith("/"):
        suggested = "/" + text.lstrip("$.").replace(".", "/")
        raise UsageError(f"{text!r} is no JSON Pointer: it begins with a slash", f"Do you mean {suggested}?")
    return [part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")]


def pointer_text(parts: "list[str] | tuple[str, ...]") -> str:
    """Return a JSON Pointer; empty for the whole content."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def value_at(content: Json, parts: list[str], where: str) -> Json:
    """Return the value at a pointer. Raises CliError if there is none."""
    value = content
    for number, part in enumerate(parts):
        if is_object(value) and part in value:
            value = value[part]
        elif is_array(value) and _INDEX.fullmatch(part) and int(part) < len(value):
            value = value[int(part)]
        else:
            raise CliError(
                f"{where} has nothing at {pointer_text(parts)}",
                ExitCode.NOT_FOUND,
                hint=f"{pointer_text(parts[:number]) or 'The content'} has {members_of(value)}.",
            )
    return value


def members_of(value: Json) -> str:
    """Return what a value has, for a hint."""
    if is_object(value) and value:
        return f"the members {', '.join(list(value)[:20])}{', …' if len(value) > 20 else ''}"
    if is_array(value):
        return f"{len(value)} elements, counted from 0"
    return "no members"


def with_value(content: Json, parts: list[str], value: Json, where: str) -> Json:
    """Return the content with a value at a pointer; objects on the way are made. Raises CliError."""
    if not parts:
        return value
    part, rest = parts[0], parts[1:]
    if is_object(content):
        return {**content, part: with_value(content.get(part, {}), rest, value, where)}
    if is_array(content):
        return _with_element(content, part, rest, value, where)
    raise CliError(
        f"{where} cannot have a member {part!r} there: the value is no object",
        ExitCode.INVALID,
        hint="Set the value itself to an object first.",
    )


def _with_element(elements: list[Json], part: str, rest: list[str], value: Json, where: str) -> Json:
    if part == "-":
        return [*elements, with_value({}, rest, value, where)]
    if not _INDEX.fullmatch(part) or int(part) >= len(elements):
        raise CliError(
            f"{where} has no element {part} there: the array has {members_of(elements)}",
            ExitCode.INVALID,
            hint="- as the last part of the path appends an element.",
        )
    position = int(part)
    return [*elements[:position], with_value(elements[position], rest, value, where), *elements[position + 1 :]]


def without_value(content: Json, parts: list[str], where: str) -> Json:
    """Return the content without the value at a pointer. Raises CliError."""
    if not parts:
        raise UsageError(
            "the whole content cannot be removed", "`configsvc config delete KEY` deletes a configuration."
        )
    value_at(content, parts, where)
    return _without(content, parts)


def _without(content: Json, parts: list[str]) -> Json:
    part, rest = parts[0], parts[1:]
    if is_object(content):
        kept = {name: member for name, member in content.items() if name != part or rest}
        return {**kept, part: _without(content[part], rest)} if rest else kept
    position = int(part)
    replaced = [_without(content[position], rest)] if rest else []
    return [*content[:position], *replaced, *content[position + 1 :]]
