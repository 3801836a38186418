"""The comparison of three states of a configuration: applied last, in the files, and live."""

from typing import Any

from configsvc.cli.differences import same_value
from configsvc.cli.documents import Json, is_object
from configsvc.cli.sync.state import LiveConfiguration, Mark
from configsvc.cli.sync.tree import ConfigurationFile, Pin

_ABSENT: Any = object()


def differing_fields(file: ConfigurationFile, live: LiveConfiguration, pin: Pin | None) -> tuple[str, ...]:
    """Return what the file states otherwise than the service has it."""
    differing = {
        "name": file.name != live.name,
        "config": not same_value(file.config, live.config),
        "schema": file.schema is not None and pin != live.schema,
        "comments": file.comments is not None and file.comments != live.comments,
    }
    return tuple(name for name, differs in differing.items() if differs)


def changed_by_hand(
    fields: tuple[str, ...], live: LiveConfiguration, mark: Mark, file: ConfigurationFile | None
) -> tuple[str, ...]:
    """Return those of the fields that changed since the mark, so that the file would undo a change. All of them, if
    what was applied is no longer kept.
    """
    if live.version == mark.version:
        return ()
    applied = mark.applied
    if applied is None:
        return fields
    kept = live.config if file is None else merged(applied.config, file.config, live.config)
    changed = {
        "name": applied.name != live.name,
        "config": not same_value(kept, applied.config if file is None else file.config),
        "schema": schema_changed(applied, live),
        "comments": applied.comments != live.comments,
    }
    return tuple(name for name in fields if changed[name])


def schema_changed(applied: LiveConfiguration, live: LiveConfiguration) -> bool:
    """Return true if somebody pinned a configuration otherwise. New versions of a schema may move configurations to
    them: that is no change of theirs.
    """
    before, after = applied.schema, live.schema
    if before is None or after is None:
        return before is not after
    return before.schema != after.schema or (after.version or 0) < (before.version or 0)


def drift_text(by_hand: tuple[str, ...], live: LiveConfiguration) -> str:
    """Return what was done by hand; empty if nothing."""
    if not by_hand:
        return ""
    return "renamed" if by_hand == ("name",) else f"changed ({', '.join(by_hand)}; version {live.version})"


def merged(applied: Json, in_file: Json, live: Json) -> Json:
    """Return the content of a file with what changed on the service since it was applied. Members of objects are merged
    one by one; of what both changed, the service's stays.
    """
    if _same(applied, live):
        return in_file
    if _same(applied, in_file) or not (is_object(in_file) and is_object(live)):
        return live
    before = applied if is_object(applied) else {}
    names: list[str] = [*in_file, *(name for name in live if name not in in_file)]
    members = {
        name: merged(before.get(name, _ABSENT), in_file.get(name, _ABSENT), live.get(name, _ABSENT)) for name in names
    }
    return {name: member for name, member in members.items() if member is not _ABSENT}


def _same(one: Json, other: Json) -> bool:
    if one is _ABSENT or other is _ABSENT:
        return one is other
    return same_value(one, other)
