"""Log lines about failures that return: the first one of each, and then how often it has returned."""

import logging
import time

# Between two lines about the same failure.
SUMMARY_SECONDS = 300.0
# Different failures in that time that get a line of their own.
MOST_FAILURES = 10

log = logging.getLogger("configsvc.client")


class Repetition:
    """Failures of one thing that is tried again."""

    def __init__(self) -> None:
        self._began_at = time.monotonic()
        # By failure: how often it has returned without a line.
        self._returned: dict[str, int] = {}

    def log(self, level: int, text: str, error: BaseException | None = None) -> None:
        """Log a failure, with the traceback of the error if there is one, or count it."""
        self._sum_up(level)
        if text in self._returned:
            self._returned[text] += 1
        elif len(self._returned) < MOST_FAILURES:
            self._returned[text] = 0
            log.log(level, "%s", text, exc_info=error)

    def _sum_up(self, level: int) -> None:
        """Log what has returned, if it is time."""
        now = time.monotonic()
        if now - self._began_at < SUMMARY_SECONDS:
            return
        for text, count in self._returned.items():
            if count:
                log.log(level, "%d more times in %.0f s: %s", count, now - self._began_at, text)
        # What has not returned is new if it comes again.
        self._returned = {text: 0 for text, count in self._returned.items() if count}
        self._began_at = now
