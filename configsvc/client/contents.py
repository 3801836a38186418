"""Contents that a program reads from memory: JSON whose objects and arrays refuse changes."""

import json
from typing import Any, NoReturn


def _refuse(*_: object, **__: object) -> NoReturn:
    raise TypeError("a configuration is read-only: change a copy, such as copy.deepcopy(...)")


class ReadOnlyDict(dict[str, Any]):
    """A JSON object that refuses changes. Its copies, deep copies and pickles are plain dicts."""

    __slots__ = ()
    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (dict(self),)


class ReadOnlyList(list[Any]):
    """A JSON array that refuses changes. Its copies, deep copies and pickles are plain lists."""

    __slots__ = ()
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    def __reduce__(self) -> tuple[type[list[Any]], tuple[list[Any]]]:
        return list, (list(self),)


def parse(text: str) -> ReadOnlyDict:
    """Return the JSON object of a text, read-only at every depth."""
    return _read_only(json.loads(text))


def _read_only(value: Any) -> Any:
    if isinstance(value, dict):
        return ReadOnlyDict((key, _read_only(member)) for key, member in value.items())  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list):
        return ReadOnlyList(map(_read_only, value))  # pyright: ignore[reportUnknownArgumentType]
    return value
