"""Credentials and origin of a call, from the values of its headers or its metadata."""

import re
from collections.abc import Sequence

from configsvc.domain.errors import InvalidRequestError, UnauthenticatedError, Violation
from configsvc.domain.names import MAX_CHANGE_REQUEST_LENGTH

AUTHORIZATION_KEY = "authorization"
# A change request, ticket or commit that the change belongs to, in the words of the caller.
CHANGE_REQUEST_KEY = "x-change-request"
# The addresses that a call came from, in the words of the proxies on its way.
FORWARDED_KEY = "x-forwarded-for"

_CHANGE_REQUEST = re.compile(rf"[ -~]{{1,{MAX_CHANGE_REQUEST_LENGTH}}}")
_SCHEME = "bearer "


def bearer_token(values: Sequence[str | bytes]) -> str | None:
    """Return the token of a call, if any, given its authorization headers.

    Raises UnauthenticatedError if they are ambiguous or malformed.
    """
    if not values:
        return None
    if len(values) > 1:
        raise UnauthenticatedError("the call has more than one authorization header")
    (value,) = values
    if not isinstance(value, str) or value[: len(_SCHEME)].lower() != _SCHEME:
        raise UnauthenticatedError("the call's authorization header must be: Bearer TOKEN")
    return value[len(_SCHEME) :].strip(" ")


def change_request(values: Sequence[str | bytes]) -> str:
    """Return the change request of a call, given the headers that name it; empty if none does.

    Raises InvalidRequestError.
    """
    if not values:
        return ""
    value = values[0]
    if len(values) > 1 or not isinstance(value, str) or not _CHANGE_REQUEST.fullmatch(value):
        description = f"must occur once, with 1 to {MAX_CHANGE_REQUEST_LENGTH} printable ASCII characters"
        raise InvalidRequestError((Violation(field=CHANGE_REQUEST_KEY, description=description),))
    return value
