"""ListWatches: the request and the response. The parser raises InvalidRequestError with every fault."""

from collections.abc import Iterable

from configapi.v1.configuration_service_pb2 import WatchInstance as WatchInstanceMessage
from configapi.v1.selector_pb2 import ConfigurationSelector
from configapi.v1.server_service_pb2 import ListWatchesRequest, ListWatchesResponse, Watch
from configsvc.domain.errors import Violations
from configsvc.domain.models import IdRef, NameRef, Page
from configsvc.domain.requests import PageRequest
from configsvc.domain.selection import Selector
from configsvc.domain.watching import OpenWatch, WatchInstance, WatchState
from configsvc.wire.paging import fitting_list, name_key, page_request
from configsvc.wire.times import timestamp

# Of one watch: the largest selector fits, and a page has room for several watches.
SELECTORS_LIMIT_BYTES = 512 * 1024

_STATES = {
    WatchState.UP_TO_DATE: Watch.STATE_UP_TO_DATE,
    WatchState.BEHIND: Watch.STATE_BEHIND,
    WatchState.BLOCKED: Watch.STATE_BLOCKED,
}


def listing(request: ListWatchesRequest) -> PageRequest[str]:
    with Violations() as violations:
        return page_request(request, name_key, violations)


def list_response(request: ListWatchesRequest, page: Page[OpenWatch], epoch: str) -> ListWatchesResponse:
    """Return the response that carries as much of the page as fits."""
    fitted = fitting_list(request, page, watch_message, lambda watch: (watch.id,))
    return ListWatchesResponse(
        watches=fitted.messages, next_page_token=fitted.next_page_token, revision=page.revision, epoch=epoch
    )


def watch_message(watch: OpenWatch) -> Watch:
    """Return the message of an open watch, with as many of its selectors as fit."""
    selectors = _fitting(map(_selector_message, watch.selectors))
    return Watch(
        watch_id=watch.id,
        instance=_instance_message(watch.watcher.instance) if watch.watcher.instance else None,
        principal=watch.watcher.principal,
        peer=watch.watcher.peer,
        selectors=selectors,
        omitted_selector_count=len(watch.selectors) - len(selectors),
        start_time=timestamp(watch.start_time),
        state=_STATES[watch.state],
        revision=watch.revision,
        behind_count=watch.behind_count,
    )


def _instance_message(instance: WatchInstance) -> WatchInstanceMessage:
    return WatchInstanceMessage(
        id=instance.id, labels=dict(instance.labels), program=instance.program, version=instance.version
    )


def _fitting(selectors: Iterable[ConfigurationSelector]) -> list[ConfigurationSelector]:
    fitted: list[ConfigurationSelector] = []
    size = 0
    for selector in selectors:
        size += selector.ByteSize()
        if size > SELECTORS_LIMIT_BYTES:
            break
        fitted.append(selector)
    return fitted


def _selector_message(selector: Selector) -> ConfigurationSelector:
    message = ConfigurationSelector(name_prefix=selector.name_prefix, names=sorted(selector.names))
    match selector.application:
        case IdRef(id=application_id):
            message.application.id = application_id
        case NameRef(name=name):
            message.application.name = name
        case None:
            pass
    return message
