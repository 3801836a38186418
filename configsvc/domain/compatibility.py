"""Whether whatever satisfies one schema satisfies another, by the documents alone."""

from configsvc.domain.content import JsonObject, same_json
from configsvc.domain.schemas import Fault


def incompatibilities(old: JsonObject, new: JsonObject) -> tuple[Fault, ...]:
    """Where the new schema may refuse what the old one accepts; empty only if it never does."""
    if same_json(old, new):
        return ()
    return (Fault(pointer="", keyword="", message="is another document"),)
