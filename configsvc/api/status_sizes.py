"""Statuses that fit into the trailers of a call: what does not fit is shortened, or left out and counted."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

# nginx holds the headers of an answer in 4 KiB by default. For larger ones its clients get 502, and it takes the server
# for broken. Headers that the transport adds need the rest.
MAX_WIRE_BYTES = 3584
MAX_MESSAGE_BYTES = 300
# Limits of each text in the details, tried in turn. The first leaves every resource name whole.
TEXT_LIMITS = (600, 300, 150, 75, 40)

_TRAILERS = ("grpc-status", "grpc-message", "grpc-status-details-bin")
# HTTP/2 counts these for each header, and no status code has more digits.
_HEADER_BYTES = 32
_CODE_DIGITS = 2
# The lengths of an entry, of its detail and of the status can take these bytes more than without it.
_LENGTH_BYTES = 9
# All other bytes of a message travel as %XX.
_PLAIN = bytes(byte for byte in range(0x20, 0x7F) if byte != ord("%"))

AnyDetail = TypeVar("AnyDetail", bound=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A detail with a list of entries, of which as many stay as fit.

    `count` is the number of all, made or not, so that the message counts those left out; 0: the detail counts them.
    """

    detail: Callable[[list[Any]], Message]
    entries: Iterable[Message]
    count: int


@dataclass(slots=True)
class _Kept:
    """The entries of a listing that are in the status, and the others."""

    listing: Listing
    entries: Iterator[Message]
    kept: list[Message]

    def keep_next(self, room: int, limit: int) -> int:
        """Keep the next entry if it fits into the room, and return its size; 0 if it does not, or there is none."""
        entry = next(self.entries, None)
        if entry is None:
            return 0
        size = -(-(_short(entry, limit).ByteSize() + _LENGTH_BYTES) // 3) * 4
        if size > room:
            return 0
        self.kept.append(entry)
        return size


def fitting_status(
    code: Code, text: str, info: ErrorInfo, details: Sequence[Message], listings: Sequence[Listing]
) -> Status:
    """Return a status of at most MAX_WIRE_BYTES in the trailers.

    `info` stays as it is, and the first entry of each listing stays. The message counts the entries that are left out.
    """
    parts = [_first_kept(listing) for listing in listings]
    status, limit = Status(), 0
    for limit in TEXT_LIMITS:
        # If more entries fit, the number in the message gets no longer.
        status = _status(code, text, [info, *details], parts, limit)
        if wire_bytes(status) <= MAX_WIRE_BYTES:
            break
    if not _keep_fitting(parts, MAX_WIRE_BYTES - wire_bytes(status), limit):
        return status
    return _status(code, text, [info, *details], parts, limit)


def _first_kept(listing: Listing) -> _Kept:
    entries = iter(listing.entries)
    return _Kept(listing, entries, list(islice(entries, 1)))


def _keep_fitting(parts: Iterable[_Kept], room: int, limit: int) -> bool:
    """Keep one entry of each listing in turn, as long as they fit; return whether any did."""
    any_fits = False
    growing = list(parts)
    while growing:
        for part in tuple(growing):
            size = part.keep_next(room, limit)
            room -= size
            any_fits = any_fits or size > 0
            if not size:
                growing.remove(part)
    return any_fits


def wire_bytes(status: Status) -> int:
    """Return the size of the trailers that carry a status, before compression."""
    names = sum(len(name) + _HEADER_BYTES for name in _TRAILERS)
    text = status.message.encode()
    message = len(text) + 2 * len(text.translate(None, _PLAIN))
    base64 = -(-status.ByteSize() // 3) * 4
    return names + _CODE_DIGITS + message + base64


def shortened(text: str, limit: int) -> str:
    """Return the text, cut to a number of bytes in UTF-8."""
    encoded = text.encode()
    return text if len(encoded) <= limit else encoded[: limit - 3].decode(errors="ignore") + "…"


def _counted(message: str, omitted: int) -> str:
    return f"{message}; and {omitted} more than the details list" if omitted else message


def _status(code: Code, text: str, details: Iterable[Message], parts: Sequence[_Kept], limit: int) -> Status:
    omitted = sum(max(part.listing.count - len(part.kept), 0) for part in parts)
    message = _counted(shortened(text, min(limit, MAX_MESSAGE_BYTES)), omitted)
    listed = (part.listing.detail(part.kept) for part in parts if part.kept)
    return Status(
        code=code, message=message, details=[_packed(_short(detail, limit)) for detail in (*details, *listed)]
    )


def _short(detail: AnyDetail, limit: int) -> AnyDetail:
    """Return the detail with each text cut to the limit. ErrorInfo is for programs and stays as it is."""
    if detail.ByteSize() <= limit or isinstance(detail, ErrorInfo):
        return detail
    copy = type(detail)()
    copy.CopyFrom(detail)
    _shorten(copy, limit)
    return copy


def _shorten(message: Message, limit: int) -> None:
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_STRING:
            setattr(message, field.name, shortened(value, limit))
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for part in value if field.is_repeated else (value,):
                _shorten(part, limit)


def _packed(detail: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(detail)
    return packed
