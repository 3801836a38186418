"""Log lines about something that is tried again and again: the first one, then ever fewer."""

import time

FIRST_PAUSE_SECONDS = 5.0
LAST_PAUSE_SECONDS = 300.0


class Repetition:
    """Failures of one thing that is retried until it succeeds."""

    def __init__(self) -> None:
        self._reason = ""
        self._pause = 0.0
        self._logged = 0.0

    def is_worth_a_line(self, reason: str) -> bool:
        """Return whether to log a failure: one for another reason, or after a pause that doubles up to five minutes."""
        now = time.monotonic()
        if reason == self._reason and now - self._logged < self._pause:
            return False
        self._pause = FIRST_PAUSE_SECONDS if reason != self._reason else min(2 * self._pause, LAST_PAUSE_SECONDS)
        self._reason, self._logged = reason, now
        return True

    def end(self) -> None:
        """Note a success: the next failure is worth a line."""
        self._reason = ""
