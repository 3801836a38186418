"""Limits on what a client can have the server do without making a call."""


class TooManyError(Exception):
    """The client sends too much of something; the connection ends with ENHANCE_YOUR_CALM and this text."""


# Clients may ping every 10 s, with or without a call; more often after something was sent to them, to measure the way.
PING_SECONDS = 10.0
PING_STRIKES = 2
# Of frames that clients have little reason to send. The rest is limited by libnghttp2.
SETTINGS_BURST, SETTINGS_PER_SECOND = 100, 1
EMPTY_DATA_BURST, EMPTY_DATA_PER_SECOND = 1000, 10
# Deadlines reset streams: the usual limit, 1000 and then 33 a second, is that of browsers.
RESETS_BURST, RESETS_PER_SECOND = 10_000, 1000


class _Budget:
    """A number of frames, which grows with time up to the burst."""

    __slots__ = ("_burst", "_filled", "_left", "_rate")

    def __init__(self, burst: int, per_second: int, now: float) -> None:
        self._burst = burst
        self._rate = per_second
        self._left = float(burst)
        self._filled = now

    def take(self, now: float, what: str) -> None:
        """Count one more. Raises TooManyError."""
        self._left = min(self._burst, self._left + (now - self._filled) * self._rate) - 1
        self._filled = now
        if self._left < 0:
            raise TooManyError(f"too_many_{what}")


class Floods:
    """What one client has sent without making a call."""

    __slots__ = ("_budgets", "_last_ping", "_strikes")

    def __init__(self) -> None:
        self._strikes = 0
        self._last_ping = 0.0
        self._budgets: dict[str, _Budget] | None = None

    def sent(self) -> None:
        """Note that something of a call was sent: clients may ping to measure the way."""
        self._strikes = 0
        self._last_ping = 0.0

    def ping(self, now: float) -> None:
        """Count a PING. Raises TooManyError."""
        if self._last_ping and now - self._last_ping < PING_SECONDS:
            self._strikes += 1
            if self._strikes > PING_STRIKES:
                raise TooManyError("too_many_pings")
        self._last_ping = now

    def settings(self, now: float) -> None:
        """Count SETTINGS. Raises TooManyError."""
        self._take("settings", SETTINGS_BURST, SETTINGS_PER_SECOND, now)

    def empty_data(self, now: float) -> None:
        """Count DATA without contents. Raises TooManyError."""
        self._take("empty_frames", EMPTY_DATA_BURST, EMPTY_DATA_PER_SECOND, now)

    def reset(self, now: float) -> None:
        """Count RST_STREAM. Raises TooManyError."""
        self._take("resets", RESETS_BURST, RESETS_PER_SECOND, now)

    def _take(self, what: str, burst: int, per_second: int, now: float) -> None:
        # Made at the first need: most connections have none but for the first SETTINGS.
        if self._budgets is None:
            self._budgets = {}
        budget = self._budgets.get(what)
        if budget is None:
            budget = self._budgets[what] = _Budget(burst, per_second, now)
        budget.take(now, what)
