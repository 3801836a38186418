"""Pages of lists: the one that a request asks for, and the one that answers it."""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from configsvc.domain.audit import LogPosition
from configsvc.domain.errors import Violations
from configsvc.domain.models import Page
from configsvc.domain.requests import PageRequest
from configsvc.wire.page_tokens import AnyKey, AnyList, add_foreign_token, page_token, parsed_page_token
from configsvc.wire.parsing import AnyMessage
from configsvc.wire.responses import fitting

MAX_PAGE_SIZE = 1000
DEFAULT_PAGE_SIZE = 50

Key = TypeVar("Key")
Resource = TypeVar("Resource")


def name_key(after: AnyKey) -> str | None:
    """Return a key that is one name or id; None if it is of another form."""
    match after:
        case [str(name)]:
            return name
        case _:
            return None


def configuration_key(after: AnyKey) -> tuple[str, ...] | None:
    """Return the names of an application and a configuration, with an id in lists of deleted ones; None if it is of
    another form.
    """
    match after:
        case [str(application), str(name)]:
            return application, name
        case [str(application), str(name), str(configuration_id)]:
            return application, name, configuration_id
        case _:
            return None


def number_key(after: AnyKey) -> int | None:
    """Return a key that is one number; None if it is of another form."""
    match after:
        case [int(number)]:
            return number
        case _:
            return None


def log_position_key(after: AnyKey) -> LogPosition | None:
    """Return a key that is a position in the log; None if it is of another form."""
    match after:
        case [int(revision), int(ordinal), int(version)]:
            return LogPosition(revision, ordinal, version)
        case _:
            return None


def page_request(request: AnyList, key: Callable[[AnyKey], Key | None], violations: Violations) -> PageRequest[Key]:
    """Return the page that a list request asks for, whose token must hold a key of the given form."""
    limit = _page_size(request.page_size, violations)
    token = parsed_page_token(request, violations)
    if token is None:
        return PageRequest(limit=limit, revision=None, resource_id=None, after=None)
    after = key(token.after)
    if after is None:
        add_foreign_token(violations)
    return PageRequest(limit=limit, revision=token.revision, resource_id=token.resource_id, after=after)


def _page_size(value: int, violations: Violations) -> int:
    """Return the number of results: more than a page can have are cut, not refused, as the limit may change."""
    if value < 0:
        violations.add("page_size", f"is {value}: must not be negative; 0 means {DEFAULT_PAGE_SIZE}")
    return min(value, MAX_PAGE_SIZE) or DEFAULT_PAGE_SIZE


class FittingPage(NamedTuple, Generic[AnyMessage]):
    """The messages that fit into one response, and the token of the page after them; empty: there is none."""

    messages: list[AnyMessage]
    next_page_token: str


def fitting_page(
    request: AnyList,
    resources: Sequence[Resource],
    message: Callable[[Resource], AnyMessage],
    key: Callable[[Resource], tuple[str | int, ...]],
    *,
    last_key: tuple[str | int, ...] | None,
    revision: int = 0,
    resource_id: str | None = None,
) -> FittingPage[AnyMessage]:
    """Return as many of the resources as fit into one response, at least one.

    `last_key` is where the next page goes on if all of them fit; None: on the last page. `revision` and `resource_id`
    are kept in the token.
    """
    messages = fitting(map(message, resources))
    after = last_key if len(messages) == len(resources) else key(resources[len(messages) - 1])
    return FittingPage(messages, page_token(request, revision=revision, resource_id=resource_id, after=after))


def fitting_list(
    request: AnyList,
    page: Page[Resource],
    message: Callable[[Resource], AnyMessage],
    key: Callable[[Resource], tuple[str, ...]],
    *,
    resource_id: str | None = None,
) -> FittingPage[AnyMessage]:
    """Return as many resources of a page at one revision as `fitting_page` does."""
    return fitting_page(
        request,
        page.resources,
        message,
        key,
        last_key=page.last_key,
        revision=page.revision,
        resource_id=resource_id,
    )
