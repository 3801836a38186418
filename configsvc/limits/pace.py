"""A pace at which things may happen, however many want to."""


class Pace:
    """Gives out moments that lie far enough apart, in order of request."""

    __slots__ = ("_gap", "_next")

    def __init__(self, per_second: float) -> None:
        self._gap = 1 / per_second
        self._next = 0.0

    def next_moment(self, now: float) -> float:
        """Return the next free moment that is not before `now`, and take it."""
        moment = max(now, self._next)
        self._next = moment + self._gap
        return moment
