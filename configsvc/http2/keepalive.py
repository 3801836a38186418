"""The life of a connection: pings to its peer, its age, and its end in two steps that cut off no accepted call."""

import random

from configsvc.http2.connections import Connection

# Detects a vanished peer after 30 s.
KEEPALIVE_SECONDS = 20.0
PING_SECONDS = 10.0
# From the beginning of a connection to its first frame.
HANDSHAKE_SECONDS = 10.0
# A connection with no call under way ends. Clients connect again when they need to.
IDLE_SECONDS = 300.0
# For the calls of a connection that is too old.
GRACE_SECONDS = 300.0
# For a client to acknowledge the first of two GOAWAYs.
NOTICE_SECONDS = 1.0
_AGE_JITTER = 0.1
_PING, _NOTICE = b"keepaliv", b"leaving."


class Keepalive:
    """The life of one connection."""

    __slots__ = ("_connection", "_grace_ends", "_idle_since", "_notice", "_old_at", "_pinged", "has_left", "is_leaving")

    def __init__(self, connection: Connection, opened: float) -> None:
        self._connection = connection
        self._pinged: float | None = None
        self._idle_since = opened
        self._notice: float | None = None
        self._old_at: float | None = None
        self._grace_ends: float | None = None
        # True once the client was told to make no further calls, and once later ones are not accepted.
        self.is_leaving = False
        self.has_left = False
        connection.ping_acknowledged = self._acknowledged

    def limit_age(self, opened: float, seconds: float) -> None:
        """Have the connection end when it is old, not all at once."""
        self._old_at = opened + seconds * random.uniform(1 - _AGE_JITTER, 1 + _AGE_JITTER)  # noqa: S311

    def tick(self, now: float, *, is_begun: bool) -> bool:
        """Ping, or tell the client to leave. Return whether the connection is dead."""
        connection = self._connection
        if self._grace_ends is not None and now > self._grace_ends:
            return True
        if not is_begun:
            return now - connection.last_frame > HANDSHAKE_SECONDS
        if self._is_dead(now):
            return True
        if self._notice is not None and now - self._notice > NOTICE_SECONDS:
            self._refuse_later_calls()
        self._check_age(now)
        return False

    def _is_dead(self, now: float) -> bool:
        silent_since = self._connection.last_frame
        if self._pinged is not None:
            if silent_since >= self._pinged:
                self._pinged = None
            else:
                return now - self._pinged > PING_SECONDS
        elif now - silent_since > KEEPALIVE_SECONDS:
            self._pinged = now
            self._connection.session.ping(_PING)
        return False

    def _check_age(self, now: float) -> None:
        if self._connection.streams:
            self._idle_since = now
        if self.is_leaving:
            return
        if self._old_at is not None and now > self._old_at:
            self._grace_ends = now + GRACE_SECONDS
            self.leave(now)
        elif now - self._idle_since > IDLE_SECONDS:
            self.leave(now)

    def leave(self, now: float) -> None:
        """Tell the client to make no further calls: those on their way are still accepted, until it has answered."""
        if not self.is_leaving:
            self.is_leaving = True
            self._notice = now
            self._connection.session.send_shutdown_notice()
            self._connection.session.ping(_NOTICE)

    def _acknowledged(self, data: bytes) -> None:
        if data == _NOTICE and self._notice is not None:
            self._refuse_later_calls()

    def _refuse_later_calls(self) -> None:
        self._notice = None
        self.has_left = True
        self._connection.session.send_goaway()
        self._connection.wake()
