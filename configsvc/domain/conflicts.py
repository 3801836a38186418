"""Conflicts between the writes of one transaction."""

from collections.abc import Mapping, Sequence

from configsvc.domain.errors import ConfigsvcError, InvalidRequestError, ResourceExistsError, Violation
from configsvc.domain.models import Configuration
from configsvc.domain.writes import ConfigurationWrite, Creation, Deletion, Owner, Update

# The id of an application, and a name in it.
Key = tuple[str, str]


def conflicts(
    writes: Sequence[ConfigurationWrite],
    found: Mapping[int, Owner | Configuration | None],
    name_owners: Mapping[Key, str],
) -> dict[int, ConfigsvcError]:
    """Return the errors of conflicting writes, by index; name_owners has the ids of the current owners of new names.

    Each configuration is written once, and each name taken once. A name given up by a deletion may be taken; one given
    up by a rename may be taken by a creation, but not by another rename: the log orders the updates of a commit by id,
    so a watcher that knows configurations by name could see the two in the wrong order.
    """
    errors: dict[int, ConfigsvcError] = {}
    seen: dict[str | Key, int] = {}
    for index, write in enumerate(writes):
        for what, wanted in _wanted(write, found.get(index)):
            first = seen.setdefault(wanted, index)
            if first != index:
                errors[index] = _fault(f"{what} writes[{first}]")
                errors.setdefault(first, _fault(f"{what} writes[{index}]"))
    renames = _renames(writes, found)
    given_up = {old: index for index, (old, _) in renames.items()}
    deleted = {one.id for index, one in _current(found) if isinstance(writes[index], Deletion)}
    for index, (_, new) in renames.items():
        if new in given_up:
            reason = f"takes the name that writes[{given_up[new]}] gives up: rename in two calls"
            errors.setdefault(index, _fault(reason))
        elif new in name_owners and name_owners[new] not in deleted:
            errors.setdefault(index, ResourceExistsError("configuration", new[1]))
    return errors


def _wanted(write: ConfigurationWrite, found: Owner | Configuration | None) -> list[tuple[str, str | Key]]:
    if isinstance(found, Owner):
        assert isinstance(write, Creation)
        return [("takes the same name as", (found.id, write.name))]
    if found is None:
        return []
    wanted: list[tuple[str, str | Key]] = [("is about the same configuration as", found.id)]
    new = _new_key(write, found)
    if new:
        wanted.append(("takes the same name as", new))
    return wanted


def _renames(
    writes: Sequence[ConfigurationWrite], found: Mapping[int, Owner | Configuration | None]
) -> dict[int, tuple[Key, Key]]:
    """Return the old and the new keys of renames, by index."""
    return {
        index: ((current.application_id, current.name), new)
        for index, current in _current(found)
        if (new := _new_key(writes[index], current))
    }


def _current(found: Mapping[int, Owner | Configuration | None]) -> list[tuple[int, Configuration]]:
    return [(index, one) for index, one in found.items() if isinstance(one, Configuration)]


def _new_key(write: ConfigurationWrite, current: Configuration) -> Key | None:
    if not isinstance(write, Update) or write.values.name in (None, current.name):
        return None
    return current.application_id, write.values.name


def _fault(description: str) -> InvalidRequestError:
    return InvalidRequestError((Violation(field="ref", description=description),))
