"""JSON and YAML files of configurations: a folder for each application, or its subfolder `valid`."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

PROJECT = Path(__file__).parent.parent
# Real configurations, if they are beside the project.
CORPUS = PROJECT.parent / "shared" / "corpus"
SHIPPED = PROJECT / "demo" / "configurations"

SUFFIXES = frozenset({".json", ".yaml", ".yml"})
# Marks the demo's own applications, because it renames and deletes configurations of these.
APPLICATION_PREFIX = "demo-"
MAX_NAME_PART = 200
# A google.protobuf.Struct contains doubles, which are inexact beyond this.
MAX_NUMBER = 2**53 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One configuration to load."""

    application: str
    name: str
    content: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The configurations of a folder, and the number of skipped files by reason."""

    items: tuple[Item, ...]
    skipped: Counter[str]


class UnfitError(Exception):
    """A file that the service cannot store, with the reason."""


def default_folder() -> Path:
    """Return the corpus if it exists, else the folder that the project ships."""
    return CORPUS if CORPUS.is_dir() else SHIPPED


def find(folder: Path, limit: int | None) -> Found:
    """Read at most `limit` configurations of a folder, in the order of their paths."""
    items: list[Item] = []
    skipped: Counter[str] = Counter()
    for application, name, path in islice(_paths(folder), limit):
        try:
            content = _content(path)
        except UnfitError as error:
            skipped[str(error)] += 1
        else:
            items.append(Item(application=application, name=name, content=content))
    return Found(items=tuple(items), skipped=skipped)


def _paths(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Yield the application, the name and the path of each file."""
    for application in sorted(path for path in folder.iterdir() if path.is_dir()):
        nested = application / "valid"
        paths = sorted(nested.iterdir() if nested.is_dir() else application.iterdir())
        same_stem = Counter(path.stem for path in paths)
        for path in paths:
            if path.suffix in SUFFIXES:
                name = path.stem if same_stem[path.stem] == 1 else path.name
                yield APPLICATION_PREFIX + valid_name(application.name), valid_name(name), path


def valid_name(name: str) -> str:
    """Return the nearest valid name."""
    return re.sub(r"^[^A-Za-z0-9]+", "", re.sub(r"[^A-Za-z0-9._-]+", "-", name))[:MAX_NAME_PART] or "unnamed"


def _content(path: Path) -> dict[str, Any]:
    content = _parsed(path)
    if not isinstance(content, dict):
        raise UnfitError("its root is not an object")
    fault = _fault(content)
    if fault:
        raise UnfitError(f"it contains {fault}")
    return cast("dict[str, Any]", content)


def _parsed(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8-sig")
        return json.loads(text) if path.suffix == ".json" else _yaml().load(text)
    except json.JSONDecodeError:
        raise UnfitError("it is not JSON (perhaps it has comments)") from None
    except (YAMLError, ValueError):
        raise UnfitError("it is not YAML with one document and standard tags") from None


def _yaml() -> Any:
    # The library does not type what it reads.
    return YAML(typ="safe", pure=True)


def _fault(value: Any) -> str | None:
    """Return the first part of the value that JSON or a Struct cannot represent, or None."""
    match value:
        case None | bool() | str():
            return None
        case float() if not math.isfinite(value):
            return "NaN or an infinity"
        case int() | float():
            return None if abs(value) <= MAX_NUMBER else "a number beyond 2^53-1"
        case list():
            return _first_fault(cast("list[Any]", value))
        case dict():
            members = cast("dict[Any, Any]", value)
            named = all(isinstance(key, str) for key in members)
            return _first_fault(members.values()) if named else "a key that is not text"
        case _:
            return f"a {type(value).__name__}"


def _first_fault(values: Iterable[Any]) -> str | None:
    return next(filter(None, map(_fault, values)), None)
