"""The file _application.yaml: comments, bindings, and what the tree says of configurations beside their contents."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from configsvc.cli.documents import MAX_NUMBER, Json, is_array, is_object
from configsvc.cli.sync.files import Document, Faults
from configsvc.cli.sync.limits import comments_fault, is_id, is_principal, name_fault
from configsvc.cli.sync.tree import Binding, Pin, Unpinned

ROLES = ("viewer", "editor", "admin")

_MEMBERS = ("comments", "bindings", "configurations")
_BINDING_MEMBERS = ("principal", "role")
_ENTRY_MEMBERS = ("schema", "comments", "id")
_VERSION = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Statements about a configuration. None: the file says nothing of it."""

    schema: Pin | Unpinned | None = None
    comments: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """An _application.yaml that was read; without the file, it says nothing."""

    document: Document | None = None
    comments: str | None = None
    bindings: tuple[Binding, ...] | None = None
    entries: Mapping[str, Entry] = field(default_factory=dict[str, Entry])


def settings_of(document: Document, faults: Faults) -> Settings:
    """Return what an _application.yaml says."""
    return _Reading(document, faults).settings()


class _Reading:
    def __init__(self, document: Document, faults: Faults) -> None:
        self._document = document
        self._faults = faults

    def settings(self) -> Settings:
        content = self._object(self._document.content, (), _MEMBERS)
        return Settings(
            document=self._document,
            comments=self._comments(content, ()),
            bindings=self._bindings(content["bindings"]) if "bindings" in content else None,
            entries=self._entries(content.get("configurations", {})),
        )

    def _add(self, path: Path, message: str) -> None:
        self._faults.found.append(self._document.fault(path, message))

    def _object(self, value: Json, path: Path, members: tuple[str, ...] | None) -> dict[str, Json]:
        if not is_object(value):
            self._add(path, "must be an object")
            return {}
        for name in value if members else ():
            if name not in (members or ()):
                self._add((*path, name), f"is unknown here: {', '.join(members or ())} are known")
        return value

    def _comments(self, content: dict[str, Json], path: Path) -> str | None:
        comments = content.get("comments", "")
        fault = comments_fault(comments)
        if fault:
            self._add((*path, "comments"), fault)
        return content.get("comments")

    def _bindings(self, value: Json) -> tuple[Binding, ...]:
        if not is_array(value):
            self._add(("bindings",), "must be a list of {principal, role}")
            return ()
        found: dict[Binding, None] = {}
        for index, element in enumerate(value):
            path = ("bindings", str(index))
            binding = self._binding(self._object(element, path, _BINDING_MEMBERS), path)
            if binding in found:
                self._add(path, "stands twice in the list")
            found[binding] = None
        return tuple(found)

    def _binding(self, element: dict[str, Json], path: Path) -> Binding:
        principal, role = element.get("principal"), element.get("role")
        if not is_principal(principal):
            self._add((*path, "principal"), "must be user:NAME, group:NAME or certificate:NAME")
        if role not in ROLES:
            self._add((*path, "role"), f"must be one of {', '.join(ROLES)}")
        return Binding(principal=str(principal), role=str(role))

    def _entries(self, value: Json) -> dict[str, Entry]:
        entries = self._object(value, ("configurations",), None)
        return {name: self._entry(entry, ("configurations", name)) for name, entry in entries.items()}

    def _entry(self, value: Json, path: Path) -> Entry:
        content = self._object(value, path, _ENTRY_MEMBERS)
        identifier = content.get("id")
        if "id" in content and not is_id(identifier):
            self._add((*path, "id"), "must be the id of a configuration: 26 characters, in quotes if all are digits")
        return Entry(
            schema=self._schema(content["schema"], (*path, "schema")) if "schema" in content else None,
            comments=self._comments(content, path),
            id=identifier if is_id(identifier) else None,
        )

    def _schema(self, value: Json, path: Path) -> Pin | Unpinned | None:
        if value is None:
            return Unpinned()
        name, at, version = value.partition("@") if isinstance(value, str) else ("", "", "")
        if not isinstance(value, str) or name_fault(name) or (at and not _VERSION.fullmatch(version)):
            self._add(path, "must be NAME, NAME@VERSION, or null for none")
            return None
        if at and int(version) > MAX_NUMBER:
            self._add(path, "has a version that is too large")
            return None
        return Pin(schema=name, version=int(version) if at else None)
