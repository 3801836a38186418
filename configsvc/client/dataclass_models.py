"""JSON values as dataclasses, without a library."""

import dataclasses
import enum
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from configsvc.client.errors import Fault
from configsvc.client.models import UnfitError, pointer_of

_PLAIN: dict[Any, str] = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}


def check_annotations(model: Any) -> None:
    """Raise TypeError if a field of a dataclass has a type that cannot be read from JSON."""
    _check(model, set())


def _check(hint: Any, known: set[Any]) -> None:
    if dataclasses.is_dataclass(hint):
        _check_fields(hint, known)
        return
    if get_origin(hint) in _READERS:
        if get_origin(hint) in {dict, Mapping} and get_args(hint)[0] not in {str, Any}:
            raise _unfit(hint)
        for argument in get_args(hint):
            if get_origin(hint) is not Literal and argument is not Ellipsis:
                _check(argument, known)
        return
    if not (hint in {Any, type(None)} or hint in _PLAIN or hint in _READERS or _is(hint, enum.Enum)):
        raise _unfit(hint)


def _check_fields(model: Any, known: set[Any]) -> None:
    """Check a dataclass, unless it is known: it can have itself in a field."""
    if model in known:
        return
    known.add(model)
    ignored = {field.name for field in dataclasses.fields(model) if not field.init}
    for name, hint in get_type_hints(model).items():
        if name not in ignored and ClassVar not in {hint, get_origin(hint)}:
            _check(hint, known)


def _unfit(hint: Any) -> TypeError:
    return TypeError(f"a dataclass for configurations cannot have the type {hint!r}: use a pydantic model")


def convert(value: Any, hint: Any, pointer: str) -> Any:
    """Return a JSON value as the type of a field. Raises UnfitError."""
    if hint is Any:
        return value
    if hint in _PLAIN:
        return _plain(value, hint, pointer)
    if hint is type(None):
        return _demand(value, value is None, "null", pointer)
    if dataclasses.is_dataclass(hint):
        return _dataclass(value, hint, pointer)
    if _is(hint, enum.Enum):
        return _member(value, hint, pointer)
    return _READERS[get_origin(hint) or hint](value, get_args(hint), pointer)


def _is(hint: Any, base: type) -> bool:
    return isinstance(hint, type) and issubclass(hint, base)


def _demand(value: Any, fits: bool, wanted: str, pointer: str) -> Any:
    if not fits:
        raise UnfitError(Fault(pointer, f"must be {wanted}"))
    return value


def _plain(value: Any, hint: Any, pointer: str) -> Any:
    # JSON's true is no number, and 3 is a number with a fraction of nothing.
    accepted = (int, float) if hint is float else hint
    fits = isinstance(value, accepted) and isinstance(value, bool) == (hint is bool)
    return hint(_demand(value, fits, _PLAIN[hint], pointer))


def _dataclass(value: Any, model: Any, pointer: str) -> Any:
    _demand(value, isinstance(value, dict), "an object", pointer)
    hints, arguments, faults = get_type_hints(model), dict[str, Any](), list[Fault]()
    for field in dataclasses.fields(model):
        if not field.init:
            continue
        place = pointer + pointer_of(field.name)
        if field.name not in value:
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                faults.append(Fault(place, "is missing"))
            continue
        try:
            arguments[field.name] = convert(value[field.name], hints[field.name], place)
        except UnfitError as error:
            faults += error.faults
    if faults:
        raise UnfitError(*faults)
    return _built(model, arguments, pointer)


def _built(model: Any, arguments: dict[str, Any], pointer: str) -> Any:
    try:
        return model(**arguments)
    except ValueError as error:  # from __post_init__
        raise UnfitError(Fault(pointer, str(error))) from None


def _member(value: Any, hint: Any, pointer: str) -> Any:
    try:
        return hint(value)
    except ValueError:
        raise UnfitError(Fault(pointer, f"must be one of {[member.value for member in hint]}")) from None


def _literal(value: Any, choices: tuple[Any, ...], pointer: str) -> Any:
    fits = any(type(value) is type(choice) and value == choice for choice in choices)
    return _demand(value, fits, f"one of {list(choices)}", pointer)


def _union(value: Any, hints: tuple[Any, ...], pointer: str) -> Any:
    faults: list[Fault] = []
    for hint in hints:
        try:
            return convert(value, hint, pointer)
        except UnfitError as error:
            faults += error.faults
    # The deepest fault is in the alternative that was meant.
    raise UnfitError(max(faults, key=lambda fault: fault.pointer.count("/")))


def _elements(value: Any, hint: Any, pointer: str) -> list[Any]:
    _demand(value, isinstance(value, list), "an array", pointer)
    return [convert(element, hint, pointer + pointer_of(place)) for place, element in enumerate(value)]


def _list(value: Any, hints: tuple[Any, ...], pointer: str) -> Any:
    return _elements(value, hints[0] if hints else Any, pointer)


def _tuple(value: Any, hints: tuple[Any, ...], pointer: str) -> Any:
    if not hints or hints[1:] == (Ellipsis,):
        return tuple(_elements(value, hints[0] if hints else Any, pointer))
    _demand(value, isinstance(value, list), "an array", pointer)
    _demand(value, len(value) == len(hints), f"an array of {len(hints)}", pointer)
    return tuple(convert(value[place], hint, pointer + pointer_of(place)) for place, hint in enumerate(hints))


def _object(value: Any, hints: tuple[Any, ...], pointer: str) -> Any:
    _demand(value, isinstance(value, dict), "an object", pointer)
    hint = hints[1] if hints else Any
    return {key: convert(member, hint, pointer + pointer_of(key)) for key, member in value.items()}


_READERS: dict[Any, Callable[[Any, tuple[Any, ...], str], Any]] = {
    Union: _union,
    types.UnionType: _union,
    Literal: _literal,
    list: _list,
    Sequence: _list,
    tuple: _tuple,
    dict: _object,
    Mapping: _object,
}
