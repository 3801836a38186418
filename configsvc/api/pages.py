"""Page tokens between clients and lists: each names the epoch of the history that its list was read from."""

from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from configsvc.access.caller import Caller
from configsvc.api.methods import EpochFor, UnaryMethod
from configsvc.wire.page_tokens import with_epoch, without_epoch


def has_pages(method: MethodDescriptor) -> bool:
    """Return whether the method is a list with page tokens."""
    return "page_token" in method.input_type.fields_by_name


def paged(answer: UnaryMethod, epoch_for: EpochFor) -> UnaryMethod:
    """Return the list, which refuses page tokens of another epoch with EpochChangedError."""

    async def answer_page(request: Any, caller: Caller) -> Message:
        expected = ""
        if request.page_token:
            request.page_token, expected = without_epoch(request.page_token)
        # Asked before the page is read, so that a token never claims a newer history than its page.
        epoch = epoch_for(expected)
        response: Any = await answer(request, caller)
        response.next_page_token = with_epoch(response.next_page_token, epoch)
        return response

    return answer_page
