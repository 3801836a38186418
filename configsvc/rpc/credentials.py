"""Where calls come from."""

import re

from configsvc.domain.errors import InvalidRequestError, Violation
from configsvc.domain.models import Origin
from configsvc.identity.authenticator import Context

# A change request, ticket or commit that the change belongs to, in the words of the caller.
CHANGE_REQUEST_KEY = "x-change-request"
MAX_CHANGE_REQUEST_LENGTH = 256

_CHANGE_REQUEST = re.compile(rf"[ -~]{{1,{MAX_CHANGE_REQUEST_LENGTH}}}")


def origin_of(context: Context) -> Origin:
    """Where the call comes from. Raises InvalidRequestError."""
    given = [value for key, value in context.invocation_metadata() or () if key == CHANGE_REQUEST_KEY]
    return Origin(peer=context.peer(), change_request=_checked(given))


def _checked(given: list[str | bytes]) -> str:
    if not given:
        return ""
    value = given[0]
    if len(given) > 1 or not isinstance(value, str) or not _CHANGE_REQUEST.fullmatch(value):
        description = f"must come once, with 1 to {MAX_CHANGE_REQUEST_LENGTH} printable ASCII characters"
        raise InvalidRequestError((Violation(field=CHANGE_REQUEST_KEY, description=description),))
    return value
