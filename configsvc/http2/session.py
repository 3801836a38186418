"""HTTP/2 without I/O: the only module that knows the package ngh2, libnghttp2 for Python.

It is young, and its interface may change before its first stable release.
"""

import ngh2
from ngh2 import (
    ConnectionClosed,
    DataReceived,
    Event,
    GoAwayReceived,
    PingAcknowledged,
    PingReceived,
    RequestReceived,
    SettingsReceived,
    StreamClosed,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)

from configsvc.domain.connections import MAX_METADATA_BYTES, MAX_STREAMS, STREAM_WINDOW_BYTES

__all__ = [
    "ConnectionClosed",
    "DataReceived",
    "Event",
    "GoAwayReceived",
    "PingAcknowledged",
    "PingReceived",
    "RequestReceived",
    "Session",
    "SessionError",
    "SettingsReceived",
    "StreamClosed",
    "StreamReset",
    "TrailersReceived",
    "WindowUpdated",
    "error_code_of",
    "goaway",
    "new_session",
]

Session = ngh2.Connection
SessionError = ngh2.NGH2Error

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR = 0, 1, 2
REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 7, 8, 11

MAX_HEADERS = 1000
# What a client may send on a stream whose request is awaited, and on all streams of a connection.
READING_WINDOW_BYTES = 256 * 1024
CONNECTION_WINDOW_BYTES = 4 * 1024 * 1024

SETTINGS = {
    ngh2.Setting.ENABLE_PUSH: 0,
    ngh2.Setting.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
    ngh2.Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
    ngh2.Setting.MAX_HEADER_LIST_SIZE: MAX_METADATA_BYTES,
}
_CONFIGURATION = ngh2.Configuration(
    auto_window_update=False,
    # Beyond its own limit the library ends the connection; calls with more than MAX_METADATA_BYTES are refused one by
    # one.
    max_inbound_header_list_size=8 * MAX_METADATA_BYTES,
    max_inbound_header_count=MAX_HEADERS,
    # Limited by `Floods`: the library ends the connection with another code.
    stream_reset_rate_limit=(1_000_000, 100_000),
)
_FRAME_GOAWAY = 7


def new_session() -> Session:
    """Return a session whose first frames wait to be sent."""
    session = ngh2.Connection(ngh2.Role.SERVER, _CONFIGURATION)
    session.initiate_connection(SETTINGS)
    session.set_local_window_size(CONNECTION_WINDOW_BYTES)
    return session


def error_code_of(error: SessionError) -> int:
    """Return the code with which to end a session that has failed."""
    if isinstance(error, ngh2.DenialOfServiceError):
        return ENHANCE_YOUR_CALM
    return PROTOCOL_ERROR if isinstance(error, ngh2.ProtocolError) else INTERNAL_ERROR


def goaway(code: int, last_stream: int, text: bytes) -> bytes:
    """Return the frame that ends a connection: a session that has failed sends nothing any more."""
    payload = last_stream.to_bytes(4) + code.to_bytes(4) + text
    return len(payload).to_bytes(3) + bytes((_FRAME_GOAWAY, 0)) + bytes(4) + payload
