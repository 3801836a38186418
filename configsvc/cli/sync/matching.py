"""Files and the live configurations that they describe: by id, by name, and by the name that was applied."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from configsvc.cli.sync.state import Live, LiveConfiguration, Mark
from configsvc.cli.sync.tree import ConfigurationFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A file, its configuration, and what was applied last. A mark without a configuration: it was deleted by hand.

    `is_replaced`: what was applied last is gone, and another configuration has its name.
    """

    file: ConfigurationFile
    live: LiveConfiguration | None = None
    mark: Mark | None = None
    is_replaced: bool = False


@dataclass(slots=True)
class Matched:
    """The files of an application with their configurations, and what is left on either side.

    `gone` are marks of configurations that no longer exist.
    """

    pairs: list[Pair] = field(default_factory=list[Pair])
    without_file: list[LiveConfiguration] = field(default_factory=list[LiveConfiguration])
    gone: list[Mark] = field(default_factory=list[Mark])
    problems: list[str] = field(default_factory=list[str])


def pairs_of(application: str, files: Mapping[str, ConfigurationFile], live: Live) -> Matched:
    """Match the files of an application with its live configurations. An id that the service does not know is ignored:
    the tree may be for several services.
    """
    matched = Matched()
    existing = {one.id: one for one in live.configurations.values() if one.application == application}
    by_name = {one.name: one for one in existing.values()}
    found: dict[str, LiveConfiguration] = {}
    taken: set[str] = set()
    for file, one in _by_id(files, live):
        if one.application != application:
            matched.problems.append(f"{file.path}: its id is that of {one.application}/{one.name}")
        elif one.id in taken:
            matched.problems.append(f"{file.path}: another file has the same id")
        else:
            found[file.name] = one
            taken.add(one.id)
    for name in files:
        one = by_name.get(name)
        if name not in found and one is not None and one.id not in taken:
            found[name] = one
            taken.add(one.id)
    for name, one in _renamed_by_hand(files, found, taken, existing, live):
        found[name] = one
        taken.add(one.id)
    gone = [mark for mark in live.marks.values() if mark.application == application and mark.id not in existing]
    deleted = {mark.name: mark for mark in gone}
    for name, file in sorted(files.items()):
        one = found.get(name)
        mark = live.marks.get(one.id) if one else deleted.get(name)
        is_replaced = one is not None and mark is None and name in deleted
        matched.pairs.append(Pair(file=file, live=one, mark=mark, is_replaced=is_replaced))
    matched.without_file = [one for one in existing.values() if one.id not in taken]
    matched.gone = gone
    return matched


def _by_id(files: Mapping[str, ConfigurationFile], live: Live) -> Iterator[tuple[ConfigurationFile, LiveConfiguration]]:
    for file in files.values():
        one = live.configurations.get(file.id) if file.id else None
        if one is not None:
            yield file, one


def _renamed_by_hand(
    files: Mapping[str, ConfigurationFile],
    found: Mapping[str, LiveConfiguration],
    taken: set[str],
    existing: Mapping[str, LiveConfiguration],
    live: Live,
) -> Iterator[tuple[str, LiveConfiguration]]:
    applied = {
        mark.name: existing[mark.id] for mark in live.marks.values() if mark.id in existing and mark.id not in taken
    }
    for name in files:
        if name not in found and name in applied:
            yield name, applied[name]
