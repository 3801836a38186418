"""What the writes of one transaction may not do to each other."""

from collections.abc import Mapping, Sequence

from configsvc.domain.errors import ConfigsvcError, InvalidRequestError, ResourceExistsError, Violation
from configsvc.domain.models import Configuration
from configsvc.domain.writes import ConfigurationWrite, Creation, Deletion, Owner, Update

# The id of an application, and a name in it.
Key = tuple[str, str]


def conflicts(
    writes: Sequence[ConfigurationWrite],
    found: Mapping[int, Owner | Configuration | None],
    holders: Mapping[Key, str],
) -> dict[int, ConfigsvcError]:
    """Why writes cannot be done together, by their places; holders has the ids of those who have the new names.

    Each configuration is written once, and each name taken once. A name that is given up by a deletion may be taken,
    and one that is given up by a rename may be taken by a creation. It may not be taken by another rename: who follows
    the log and knows configurations by their names would be told of the two in any order.
    """
    errors: dict[int, ConfigsvcError] = {}
    seen: dict[str | Key, int] = {}
    for place, write in enumerate(writes):
        for what, wanted in _wanted(write, found.get(place)):
            first = seen.setdefault(wanted, place)
            if first != place:
                errors[place] = _fault(f"{what} writes[{first}]")
                errors.setdefault(first, _fault(f"{what} writes[{place}]"))
    renames = _renames(writes, found)
    given_up = {old: place for place, (old, _) in renames.items()}
    deleted = {one.id for place, one in _current(found) if isinstance(writes[place], Deletion)}
    for place, (_, new) in renames.items():
        if new in given_up:
            reason = f"takes the name that writes[{given_up[new]}] gives up: rename in two calls"
            errors.setdefault(place, _fault(reason))
        elif new in holders and holders[new] not in deleted:
            errors.setdefault(place, ResourceExistsError("configuration", new[1]))
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
    """The old and the new keys of renames, by their places."""
    return {
        place: ((current.application_id, current.name), new)
        for place, current in _current(found)
        if (new := _new_key(writes[place], current))
    }


def _current(found: Mapping[int, Owner | Configuration | None]) -> list[tuple[int, Configuration]]:
    return [(place, one) for place, one in found.items() if isinstance(one, Configuration)]


def _new_key(write: ConfigurationWrite, current: Configuration) -> Key | None:
    if not isinstance(write, Update) or write.values.name in (None, current.name):
        return None
    return current.application_id, write.values.name


def _fault(description: str) -> InvalidRequestError:
    return InvalidRequestError((Violation(field="ref", description=description),))
