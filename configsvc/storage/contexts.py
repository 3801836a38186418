"""Write contexts as JSON: one parameter carries who changes something, why, by which call and from where.

Statements read `->> 'actor'`, `->> 'reason'`, `->> 'request_id'` and `-> 'origin'` of it. Those that write many rows
take a context for each as an array of text, which is cast to jsonb once and not for each column.
"""

import json
from collections.abc import Mapping
from functools import lru_cache

from configsvc.domain.content import JsonObject, encode_json
from configsvc.domain.models import Origin, WriteContext
from configsvc.domain.operations import BulkOperation

Context = WriteContext | BulkOperation


def encoded(context: Context) -> str:
    """Return the context as a JSON object."""
    return _encoded(context.actor, context.reason, context.request_id, context.origin)


def encoded_by_id(contexts: Mapping[str, Context]) -> str:
    """Return the contexts as a JSON object by resource id."""
    return f"{{{','.join(f'{encode_json(key)}:{encoded(context)}' for key, context in contexts.items())}}}"


# All writes of a batch have one context, and the calls of one client often share all but the request_id.
@lru_cache(maxsize=64)
def _encoded(actor: str, reason: str, request_id: str, origin: Origin) -> str:
    named: JsonObject = {"change_request": origin.change_request} if origin.change_request else {}
    return encode_json(
        {"actor": actor, "reason": reason, "request_id": request_id, "origin": {"peer": origin.peer, **named}}
    )


def origin_of(column: str) -> Origin:
    """Return the origin in a column; a change made in SQL has an empty one."""
    stored: JsonObject = json.loads(column)
    return Origin(peer=str(stored.get("peer", "")), change_request=str(stored.get("change_request", "")))
