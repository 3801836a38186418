"""Origins as the database keeps them."""

from functools import lru_cache

from configsvc.domain.content import JsonObject, encode_json
from configsvc.domain.models import Origin


def as_object(origin: Origin) -> JsonObject:
    """What there is of the origin."""
    named: JsonObject = {"change_request": origin.change_request} if origin.change_request else {}
    return {"peer": origin.peer, **named}


# Of all writes of a batch it is one and the same.
@lru_cache(maxsize=1024)
def stored(origin: Origin) -> str:
    """The same as JSON text."""
    return encode_json(as_object(origin))


def origin_of(column: JsonObject) -> Origin:
    """The origin in a column; that of a change made in SQL is empty."""
    return Origin(peer=str(column.get("peer", "")), change_request=str(column.get("change_request", "")))
